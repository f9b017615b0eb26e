//! What compaction leaves of a batch.
//!
//! A compacted log keeps the newest record of each key. Which that is, the caller knows from a pass over the log; here it is
//! decided what goes along with it, as Kafka decides it:
//!
//! - A tombstone, the newest record of a key that says there is no value any more, must be seen by readers before it goes.
//!   The first pass that keeps one sets its batch a *delete horizon*, `delete.retention.ms` from then (KIP-534); a later pass
//!   drops it. The horizon stands in the place of the batch's base timestamp, and a bit says so.
//! - Records of aborted transactions go at once. The marker that ended a transaction goes as tombstones do, counted from the
//!   pass that found no batch of the transaction any more.
//! - A batch without records stays if it is the last of a producer that is still known, because it has the sequence that
//!   comes next; and where the end of a segment would be forgotten without it.
//! - Offsets, sequences, leader epochs and the extent of a batch stay as they are.
//!
//! `verdict` decides from the head, `transactions` remembers what that takes, `filter` makes the bytes.

mod filter;
mod transactions;
mod verdict;

pub use filter::{CompactBatch, Compacted, Fate};
pub use transactions::{Aborted, Transactions};
pub use verdict::{Keep, LastBatch, Pass, Stay, Verdict};
