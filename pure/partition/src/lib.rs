//! A partition's leader: numbers in, decision out; never a byte, never a file.
//!
//! The log ([`ottla_records`] batches in files) stores whatever it is given. What may be stored, at which offset, when it
//! counts as kept and who may read it is decided here, from the 61 bytes of a batch's head:
//!
//! ```text
//! recovery    epochs and producers as the files tell them: checkpoint, snapshot, then the heads of the last batches
//! leader      a leadership: admits and abandons batches by the turn, moves start, end and high watermark
//!   epochs      which leader epoch wrote which offsets (KIP-101, KIP-320)
//!   producers   sequences and duplicates of idempotent producers (KIP-98, KIP-360)
//!   transactions   which of them are not over, and so where committed records end
//!   acks        when a batch counts as kept
//! marks       the few numbers that readers copy, and what they check against them
//! retention   which of its oldest segments a log is done with
//! cleaning    which part of a log can be compacted, and whether it is worth it
//! ```
//!
//! The life of a turn, under the partition's lock:
//!
//! ```text
//! let mut staged = leader.stage();
//! let admitted = staged.admit(&header, acks)?;   // once per batch: its offset, or the duplicate's, or a refusal
//! log.append(&pieces)?;                          // one write; on failure `staged` is dropped and nothing has happened
//! let moved = staged.commit();                   // what replies and readers may now be released
//! ```

mod acks;
mod cleaning;
mod epochs;
mod leader;
mod marks;
mod producer;
mod producers;
mod recovery;
mod refusal;
mod retention;
mod transactions;

pub use acks::Acks;
pub use cleaning::{CleanAt, Cleanable, Compaction, SegmentTimes, cleanable};
pub use epochs::{Checkpoint, EpochEnd, EpochEntry, Epochs};
pub use leader::{Admitted, Duplicate, LastFetched, Leader, Moved, OffsetOutOfRange, Opened, Rules, Staged};
pub use marks::{EpochMismatch, Marks};
pub use producers::{Expiry, PRODUCERS_PER_PARTITION_MAX, ProducerEntry, ProducerSnapshot};
pub use recovery::Recovery;
pub use refusal::Refusal;
pub use retention::{Expired, LogAt, LogSegment, Retention, Why, expired};
pub use transactions::Marker;
