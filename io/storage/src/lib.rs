//! Kafka's log on disk.
//!
//! A log is a directory of segments: files of record batches, one behind the other, with two indexes each. [`Log`] appends
//! batches whose offsets are given, [`Reader`] finds where they lie, [`Flusher`] makes them survive a power loss, and
//! opening a log repairs what a crash has left. What a log is done with leaves it from its beginning ([`Log::advance_start`]),
//! or everywhere but at its end, where the newest record of each key is all that counts ([`Cleaner`]); the files go later
//! ([`Removed`]). The files are Kafka's, byte for byte; a [`LogDir`] is a directory of them.
//!
//! What the batches mean is decided elsewhere: nothing here knows of leaders, high watermarks or error codes. All of it
//! goes through [`disk`], whose second implementation lies, tears and forgets.

mod aborted;
mod active;
pub mod checkpoint;
mod clean;
mod copy;
pub mod disk;
mod error;
mod flush;
mod index;
mod indexing;
mod leftovers;
mod log;
mod log_dir;
mod lookup;
mod offset_index;
mod open_files;
mod reader;
mod recovery;
mod removed;
mod reserve;
mod scan;
mod segment;
mod segment_info;
mod time_index;
mod walk;

use std::sync::{Mutex, MutexGuard};

pub use aborted::ABORTED_MAX;
pub use clean::{CleanError, Cleaned, Cleaner, CleanerOptions, Cleaning, Job};
pub use copy::Stretch;
pub use error::LogError;
pub use flush::{FlushOptions, Flushed, Flusher, WriteBack};
pub use log::{Appended, Log, LogOptions, Piece};
pub use log_dir::{LogDir, NameTooLong, OpenDirError};
pub use reader::{FirstBatch, Reader, Stamped, View, Want};
pub use recovery::{Checkpointed, Recovered};
pub use removed::Removed;
pub use segment_info::SegmentInfo;

/// A batch boundary of a log: the position of the first byte of the batch with this offset, or the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub offset: i64,
    /// Base offset of the segment.
    pub segment: i64,
    pub position: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds a lock of this crate")
}
