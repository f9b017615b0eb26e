//! Which part of a compacted log can be compacted, and whether it is worth it.
//!
//! Kafka's numbers. A log is clean up to the first dirty offset, where the last compaction ended; behind it records of the same
//! keys may have come. The dirty part ends where the active segment begins, or before: at the last stable offset, as nobody
//! knows yet what becomes of an open transaction, and at the first segment with a record younger than
//! `min.compaction.lag.ms`. Only whole segments are compacted. It is worth it when so many of the bytes are dirty
//! (`min.cleanable.dirty.ratio`), or when a record has waited for `max.compaction.lag.ms`.

use crate::retention::LogSegment;

/// What a topic asks of compaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compaction {
    /// `min.compaction.lag.ms`
    pub lag_ms_min: i64,
    /// `max.compaction.lag.ms`. Kafka also ends segments by it: the time after which a log rolls is this or `segment.ms`,
    /// whichever is less.
    pub lag_ms_max: i64,
    /// `min.cleanable.dirty.ratio`
    pub dirty_ratio_min: f64,
}

/// The moment at which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanAt {
    pub now_wall_ms: i64,
    pub log_start: i64,
    pub last_stable: i64,
    /// What `cleaner-offset-checkpoint` says.
    pub first_dirty: Option<i64>,
}

/// The times of a log's segments, by their places in the list. Asked for only where they decide.
pub trait SegmentTimes {
    type Error;

    fn largest_timestamp(&self, segment: usize) -> Result<i64, Self::Error>;
    /// Of the first batch, where it has one.
    fn first_timestamp(&self, segment: usize) -> Result<Option<i64>, Self::Error>;
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cleanable {
    /// Where the dirty part begins: the log's start if the checkpoint cannot be right.
    pub first_dirty: i64,
    /// Where the part that can be compacted ends: a segment begins here.
    pub bound: i64,
    pub clean_bytes: u64,
    /// Dirty bytes that can be compacted.
    pub cleanable_bytes: u64,
    /// To be compacted now.
    pub is_due: bool,
    /// By how much the first dirty segment that is older than `max.compaction.lag.ms` is so.
    pub overdue_ms: i64,
}

impl Cleanable {
    /// The dirty part of what can be compacted: the log with the largest is compacted first. 0 if there is nothing.
    pub fn ratio(&self) -> f64 {
        let total = self.clean_bytes + self.cleanable_bytes;
        if total == 0 { 0.0 } else { self.cleanable_bytes as f64 / total as f64 }
    }
}

/// Looks at a log. `segments` are all of it, the last is active.
pub fn cleanable<T: SegmentTimes>(
    segments: &[LogSegment],
    compaction: &Compaction,
    at: &CleanAt,
    times: &T,
) -> Result<Cleanable, T::Error> {
    let active = segments.len() - 1;
    let log_end = segments[active].next_offset;
    let may_be = |first_dirty: &i64| (at.log_start..=log_end).contains(first_dirty);
    let first_dirty = at.first_dirty.filter(may_be).unwrap_or(at.log_start);
    let closed = holding(segments, first_dirty)..active;
    let mut bound = at.last_stable.min(segments[active].base_offset);
    if compaction.lag_ms_min > 0 {
        let youngest = at.now_wall_ms.saturating_sub(compaction.lag_ms_min);
        for i in closed.clone() {
            if times.largest_timestamp(i)? > youngest {
                bound = bound.min(segments[i].base_offset);
                break;
            }
        }
    }
    let end = holding(segments, bound.max(first_dirty));
    let bytes = |range: std::ops::Range<usize>| segments[range].iter().map(|segment| segment.bytes).sum();
    let clean_to = segments.partition_point(|segment| segment.base_offset < first_dirty);
    let found = Cleanable {
        first_dirty,
        bound: segments[end].base_offset,
        clean_bytes: bytes(0..clean_to),
        cleanable_bytes: bytes(closed.start..end),
        is_due: false,
        overdue_ms: 0,
    };
    let overdue_ms = if found.cleanable_bytes > 0 { overdue_ms(closed, compaction, at, times)? } else { 0 };
    let is_due = found.ratio() > compaction.dirty_ratio_min || overdue_ms > 0;
    Ok(Cleanable { is_due, overdue_ms, ..found })
}

/// How much longer ago than `max.compaction.lag.ms` the first dirty segment began that did so; 0 if none did.
fn overdue_ms<T: SegmentTimes>(
    closed: std::ops::Range<usize>,
    compaction: &Compaction,
    at: &CleanAt,
    times: &T,
) -> Result<i64, T::Error> {
    if compaction.lag_ms_max == i64::MAX {
        return Ok(0);
    }
    let oldest = at.now_wall_ms.saturating_sub(compaction.lag_ms_max.max(0));
    for i in closed {
        if let Some(first) = times.first_timestamp(i)?.filter(|first| *first > 0 && *first < oldest) {
            return Ok(oldest - first);
        }
    }
    Ok(0)
}

/// The segment in which an offset lies, or would.
fn holding(segments: &[LogSegment], offset: i64) -> usize {
    segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// The first and the largest timestamp of each segment.
    struct Times(Vec<(i64, i64)>);

    impl SegmentTimes for Times {
        type Error = Infallible;

        fn largest_timestamp(&self, segment: usize) -> Result<i64, Infallible> {
            Ok(self.0[segment].1)
        }

        fn first_timestamp(&self, segment: usize) -> Result<Option<i64>, Infallible> {
            Ok(Some(self.0[segment].0).filter(|&time| time >= 0))
        }
    }

    const AT: CleanAt = CleanAt { now_wall_ms: 1000, log_start: 0, last_stable: 45, first_dirty: Some(20) };
    const EVERY: Compaction = Compaction { lag_ms_min: 0, lag_ms_max: i64::MAX, dirty_ratio_min: 0.5 };

    /// Five segments of ten offsets and 100 bytes each, the last active with five offsets; times rise by 100 a segment.
    fn look(compaction: Compaction, at: CleanAt) -> Cleanable {
        let segment = |i: i64| LogSegment { base_offset: i * 10, next_offset: (i * 10 + 10).min(45), bytes: 100 };
        let segments: Vec<_> = (0..5).map(segment).collect();
        let times = Times((0..5).map(|i| (i * 100, i * 100 + 99)).collect());
        let Ok(found) = cleanable(&segments, &compaction, &at, &times);
        found
    }

    #[test]
    fn what_can_be_compacted_ends_with_a_segment() {
        let check = |at: CleanAt, expected: (i64, i64, u64, u64)| {
            let found = look(EVERY, at);
            let numbers = (found.first_dirty, found.bound, found.clean_bytes, found.cleanable_bytes);
            assert_eq!(numbers, expected, "{at:?}");
        };
        check(AT, (20, 40, 200, 200));
        check(CleanAt { first_dirty: Some(0), ..AT }, (0, 40, 0, 400));
        check(CleanAt { first_dirty: Some(40), ..AT }, (40, 40, 400, 0));
        check(CleanAt { first_dirty: Some(45), ..AT }, (45, 40, 500, 0));
        // In the middle of a segment, which counts for both.
        check(CleanAt { first_dirty: Some(25), ..AT }, (25, 40, 300, 200));
        // Not past the last stable offset.
        check(CleanAt { last_stable: 39, ..AT }, (20, 30, 200, 100));
        check(CleanAt { last_stable: 30, ..AT }, (20, 30, 200, 100));
        check(CleanAt { last_stable: 5, ..AT }, (20, 20, 200, 0));
        // A checkpoint that cannot be.
        check(CleanAt { first_dirty: None, ..AT }, (0, 40, 0, 400));
        check(CleanAt { first_dirty: Some(46), ..AT }, (0, 40, 0, 400));
        check(CleanAt { first_dirty: Some(5), log_start: 7, ..AT }, (7, 40, 100, 400));
    }

    #[test]
    fn young_records_stay() {
        let bound = |lag_ms_min| look(Compaction { lag_ms_min, ..EVERY }, AT).bound;
        assert_eq!([0, 601, 602, 701, 702, 10_000].map(bound), [40, 40, 30, 30, 20, 20]);
    }

    #[test]
    fn it_is_due_when_much_is_dirty_or_has_waited() {
        let is_due = |compaction: Compaction, at: CleanAt| look(compaction, at).is_due;
        assert!(!is_due(EVERY, AT), "exactly half");
        assert!(is_due(Compaction { dirty_ratio_min: 0.49, ..EVERY }, AT));
        assert!(is_due(EVERY, CleanAt { first_dirty: Some(10), ..AT }));
        let waits = |lag_ms_max| Compaction { lag_ms_max, ..EVERY };
        assert!(is_due(waits(799), AT));
        assert!(!is_due(waits(800), AT));
        assert!(is_due(waits(0), AT));
        // What has waited can be compacted or not: that it cannot is no reason.
        assert!(!is_due(waits(0), CleanAt { last_stable: 20, ..AT }));
        assert!(!is_due(Compaction { dirty_ratio_min: 0.0, ..waits(0) }, CleanAt { first_dirty: Some(40), ..AT }));
    }

    #[test]
    fn an_empty_log_has_nothing() {
        let segments = [LogSegment { base_offset: 7, next_offset: 7, bytes: 0 }];
        let at = CleanAt { now_wall_ms: 0, log_start: 7, last_stable: 7, first_dirty: None };
        let Ok(found) = cleanable(&segments, &EVERY, &at, &Times(vec![(0, 0)]));
        assert_eq!((found.ratio(), found.is_due, found.bound), (0.0, false, 7));
    }
}
