//! What the compaction of a partition's log needs to know.

use std::sync::atomic::Ordering;

use ottla_partition::{CleanAt, Cleanable, Compaction, LogSegment, SegmentTimes, cleanable};
use ottla_records::LastBatch;
use ottla_storage::{LogError, SegmentInfo};

use super::Partition;

/// A log with something to compact.
#[derive(Debug)]
pub struct Dirty {
    pub found: Cleanable,
    pub last_stable: i64,
    pub last_batches: Vec<LastBatch>,
}

struct Times<'a>(&'a [SegmentInfo]);

impl SegmentTimes for Times<'_> {
    type Error = LogError;

    fn largest_timestamp(&self, segment: usize) -> Result<i64, LogError> {
        self.0[segment].largest_timestamp()
    }

    fn first_timestamp(&self, segment: usize) -> Result<Option<i64>, LogError> {
        self.0[segment].first_timestamp()
    }
}

/// The segments as the rules of retention and compaction look at them.
pub(super) fn log_segments(infos: &[SegmentInfo]) -> Vec<LogSegment> {
    let segment = |info: &SegmentInfo| {
        let SegmentInfo { base_offset, next_offset, bytes, .. } = *info;
        LogSegment { base_offset, next_offset, bytes }
    };
    infos.iter().map(segment).collect()
}

impl Partition {
    /// Up to where the log is compacted, if any of it is.
    pub fn first_dirty(&self) -> Option<i64> {
        Some(self.first_dirty.load(Ordering::Relaxed)).filter(|offset| *offset > 0)
    }

    pub fn set_first_dirty(&self, offset: i64) {
        self.first_dirty.store(offset, Ordering::Relaxed);
    }

    /// Until it is opened again.
    pub fn is_uncleanable(&self) -> bool {
        self.is_uncleanable.load(Ordering::Relaxed)
    }

    pub fn set_uncleanable(&self) {
        self.is_uncleanable.store(true, Ordering::Relaxed);
    }

    /// Whether nobody has been told yet, since the log was opened, that it has a batch that is too large to be compacted.
    pub fn is_first_told_too_large(&self) -> bool {
        !self.is_told_too_large.swap(true, Ordering::Relaxed)
    }

    /// What could be compacted of the log, and whether it should; `None` where the topic does not want that.
    pub fn cleanable(&self, now_wall_ms: i64) -> Result<Option<Cleanable>, LogError> {
        let settings = self.settings();
        let config = &settings.config;
        let Some(marks) = self.marks().ok().filter(|_| config.compact) else { return Ok(None) };
        let infos = self.reader.segments()?;
        let segments = log_segments(&infos);
        let compaction = Compaction {
            lag_ms_min: config.min_compaction_lag_ms,
            lag_ms_max: config.max_compaction_lag_ms,
            dirty_ratio_min: config.min_cleanable_dirty_ratio,
        };
        let at = CleanAt {
            now_wall_ms,
            log_start: marks.start,
            last_stable: marks.last_stable,
            first_dirty: self.first_dirty(),
        };
        cleanable(&segments, &compaction, &at, &Times(&infos)).map(Some)
    }

    /// What is known of the producers, and up to where transactions are decided, at one moment.
    pub fn dirty(&self, found: Cleanable) -> Option<Dirty> {
        let guard = self.state.lock();
        let leader = &guard.as_deref().ok()?.as_ref()?.leader;
        Some(Dirty { found, last_stable: leader.marks().last_stable, last_batches: leader.last_batches() })
    }
}
