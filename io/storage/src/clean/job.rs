//! What a cleaner is given, and what it gives back.

use std::ops::ControlFlow;

use ottla_records::LastBatch;

use crate::LogError;
use crate::reader::Reader;
use crate::removed::Removed;

/// What a cleaner may take.
#[derive(Clone, Copy, Debug)]
pub struct CleanerOptions {
    /// Of the map: its share of `log.cleaner.dedupe.buffer.size`.
    pub map_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`
    pub load_factor: f64,
    /// Of each of two buffers: its share of `log.cleaner.io.buffer.size`. A larger batch makes them larger for a while.
    pub buffer_bytes: usize,
    /// What the records of a batch may unpack to. A batch of more is kept whole.
    pub unpacked_bytes_max: usize,
}

/// What to compact.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    pub log: Reader,
    /// Where the dirty part begins.
    pub first_dirty: i64,
    /// Whole segments below this offset are compacted, never the active one.
    pub bound: i64,
    /// Below it all transactions are decided, as far as the caller knows.
    pub last_stable: i64,
    pub now_wall_ms: i64,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `segment.bytes`
    pub segment_bytes: u64,
    /// `segment.index.bytes`
    pub index_bytes: u64,
    /// Of the producers that are known, in order of their ids.
    pub last_batches: &'a [LastBatch],
}

/// What came of compacting a log.
#[derive(Debug)]
#[must_use]
pub struct Cleaning {
    /// Segments that others have taken the place of. Also where not all was done.
    pub removed: Removed,
    pub outcome: Result<Cleaned, CleanError>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cleaned {
    /// The log is clean up to here.
    pub first_dirty: i64,
    /// Of the segments that were copied.
    pub bytes_read: u64,
    pub bytes_kept: u64,
    pub records_read: u64,
    pub records_kept: u64,
    /// How full the map was: 0 to 1.
    pub map_use: f64,
    /// Where the first batch begins that was kept whole, as its records unpack to too much. Tombstones behind it were kept.
    pub too_large: Option<i64>,
}

#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// By its owner; or the log was deleted, or its start has moved. Nothing is wrong, and nothing is left over.
    #[error("compaction was stopped")]
    Stopped,
    /// Nothing has changed, but for segments that were finished.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Is told of bytes that were read or written, and may take its time, or end it.
pub(super) struct Pace<'a>(pub &'a mut dyn FnMut(u64) -> ControlFlow<()>);

impl Pace<'_> {
    pub fn spend(&mut self, bytes: u64) -> Result<(), CleanError> {
        match self.0(bytes) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(CleanError::Stopped),
        }
    }
}
