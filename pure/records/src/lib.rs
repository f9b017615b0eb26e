//! Record batches, format 2 (magic 2): the unit in which records are sent, checked, stored, fetched and packed.
//!
//! - [`BatchHeader`]: the 61 bytes in front.
//! - [`check`]: what a leader asks of a client's batch; [`Stamp`]: the head it is stored with.
//! - [`BatchBuilder`] makes batches, [`records`] reads them, [`find_timestamp`] searches one.
//! - [`repack`]: the same records in another packing.
//! - [`Pass`]: what compaction leaves of them.
//!
//! The crate knows batches as bytes, and neither logs nor partitions nor error codes.

mod build;
mod check;
mod codec;
mod compact;
mod control;
mod crc;
mod header;
mod read;
mod repack;
mod stamp;
mod walk;

pub use build::{BatchBuilder, BatchOptions, Header, NewRecord};
pub use check::{HeaderFault, RECORD_FAULTS_MAX, RecordCause, RecordFault, Refusal, Rules, check};
pub use codec::{Codec, Damage, Scratch};
pub use compact::{Aborted, CompactBatch, Compacted, Fate, Keep, LastBatch, Pass, Stay, Transactions, Verdict};
pub use control::{ControlType, control_type};
pub use crc::{crc_of, crc32c};
pub use header::{Attributes, BatchHeader, Corrupt, HEADER_BYTES, NO_TIMESTAMP, TimestampType, next_sequence};
pub use read::{Found, ReadError, Record, Records, Sought, find_timestamp, records};
pub use repack::{Packing, repack};
pub use stamp::{STAMP_BYTES, Stamp};
pub use walk::Malformed;
