//! Which of its oldest segments a log is done with.
//!
//! Kafka removes whole segments, the oldest first, and stops at the first that stays. It asks three questions, each of the log
//! that the one before has left: does the segment lie below the log's start, is the log large enough without it, are all its
//! records too old? None goes that holds anything the high watermark has not passed. The active segment goes as well if its
//! time has come (and it is not empty): then another must be begun first. Below the start it stays until it is no longer
//! active.

use crate::retention::Why::{LogStart, Size, Time};

/// A segment of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSegment {
    pub base_offset: i64,
    /// Where the next one begins, or the log ends.
    pub next_offset: i64,
    pub bytes: u64,
}

/// How long records are kept. `None` is for good; and that is what a log gets whose `cleanup.policy` has no `delete`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// `retention.ms`
    pub ms: Option<i64>,
    /// `retention.bytes`
    pub bytes: Option<u64>,
}

/// The moment at which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogAt {
    pub now_wall_ms: i64,
    pub log_start: i64,
    pub high_watermark: i64,
}

/// The oldest segments are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// So many of them.
    pub segments: usize,
    /// Where the log is to begin.
    pub start: i64,
    pub why: Why,
    /// The active one is among them: a new one is to be begun first.
    pub takes_active: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    LogStart,
    Size,
    Time,
}

/// What goes for the first reason there is. When it is gone there may be another: ask again.
///
/// `segments` are all of the log, the last is active. `largest_timestamp` tells that of a segment, by its place in the list;
/// it is asked of as few as possible.
pub fn expired<E>(
    segments: &[LogSegment],
    retention: &Retention,
    at: &LogAt,
    mut largest_timestamp: impl FnMut(usize) -> Result<i64, E>,
) -> Result<Option<Expired>, E> {
    let active = segments.len() - 1;
    let below_start = |i: usize| Ok(i < active && segments[i].next_offset <= at.log_start);
    let found = first_ones(segments, at, LogStart, below_start)?;
    if found.is_some() {
        return Ok(found);
    }
    if let Some(retained) = retention.bytes {
        let total: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let mut left = total;
        let is_surplus = |i: usize| {
            left -= segments[i].bytes;
            Ok(left >= retained)
        };
        let found = first_ones(segments, at, Size, is_surplus)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    let Some(retained_ms) = retention.ms else { return Ok(None) };
    let is_old = |i: usize| Ok(at.now_wall_ms.saturating_sub(largest_timestamp(i)?) > retained_ms);
    first_ones(segments, at, Time, is_old)
}

/// The oldest segments for which `goes` holds.
fn first_ones<E>(
    segments: &[LogSegment],
    at: &LogAt,
    why: Why,
    mut goes: impl FnMut(usize) -> Result<bool, E>,
) -> Result<Option<Expired>, E> {
    let active = segments.len() - 1;
    let mut expired = None;
    for (i, segment) in segments.iter().enumerate() {
        let is_empty = i == active && segment.bytes == 0;
        if is_empty || segment.next_offset > at.high_watermark || !goes(i)? {
            break;
        }
        expired = Some(Expired { segments: i + 1, start: segment.next_offset, why, takes_active: i == active });
    }
    Ok(expired)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const FOR_GOOD: Retention = Retention { ms: None, bytes: None };

    /// Segments of ten offsets each, with these bytes and largest timestamps; asked at time 1000.
    fn check(
        segments: &[(u64, i64)],
        retention: Retention,
        [log_start, high_watermark]: [i64; 2],
        expected: Option<(usize, Why)>,
    ) {
        let with_offsets = (0..).step_by(10).zip(segments);
        let list: Vec<_> = with_offsets
            .map(|(base_offset, &(bytes, _))| {
                let next_offset = if bytes == 0 { base_offset } else { base_offset + 10 };
                LogSegment { base_offset, next_offset, bytes }
            })
            .collect();
        let at = LogAt { now_wall_ms: 1000, log_start, high_watermark };
        let Ok(found) = expired::<Infallible>(&list, &retention, &at, |i| Ok(segments[i].1));
        assert_eq!(found.map(|expired| (expired.segments, expired.why)), expected, "{segments:?} {retention:?} {at:?}");
        if let Some(Expired { segments, start, takes_active, .. }) = found {
            assert_eq!((start, takes_active), (list[segments - 1].next_offset, segments == list.len()));
        }
    }

    #[test]
    fn old_segments_go_up_to_the_first_that_is_not() {
        let ms = |ms| Retention { ms: Some(ms), bytes: None };
        let log = [(5, 100), (5, 300), (5, 200), (5, 900)];
        check(&log, FOR_GOOD, [0, 40], None);
        check(&log, ms(900), [0, 40], None);
        check(&log, ms(899), [0, 40], Some((1, Time)));
        check(&log, ms(700), [0, 40], Some((1, Time)));
        check(&log, ms(699), [0, 40], Some((3, Time)));
        check(&log, ms(99), [0, 40], Some((4, Time)));
        check(&log, ms(0), [0, 40], Some((4, Time)));
        // Not past the high watermark.
        check(&log, ms(0), [0, 39], Some((3, Time)));
        check(&log, ms(0), [0, 9], None);
        // An empty segment stays, however old its file is; one of the future, too.
        check(&[(5, 100), (0, 100)], ms(0), [0, 10], Some((1, Time)));
        check(&[(0, 100)], ms(0), [0, 0], None);
        check(&[(5, 2000), (5, 100)], ms(0), [0, 20], None);
    }

    #[test]
    fn a_log_keeps_as_many_bytes_as_it_may() {
        let bytes = |bytes| Retention { ms: None, bytes: Some(bytes) };
        let log = [(5, 0), (5, 0), (5, 0), (5, 0)];
        check(&log, bytes(20), [0, 40], None);
        check(&log, bytes(16), [0, 40], None);
        check(&log, bytes(15), [0, 40], Some((1, Size)));
        check(&log, bytes(6), [0, 40], Some((2, Size)));
        check(&log, bytes(1), [0, 40], Some((3, Size)));
        check(&log, bytes(0), [0, 40], Some((4, Size)));
        check(&log, bytes(0), [0, 25], Some((2, Size)));
        check(&log, bytes(100), [0, 40], None);
    }

    #[test]
    fn what_lies_below_the_start_goes_first() {
        let all = Retention { ms: Some(0), bytes: Some(0) };
        let log = [(5, 0), (5, 0), (5, 0)];
        check(&log, all, [10, 30], Some((1, LogStart)));
        check(&log, FOR_GOOD, [19, 30], Some((1, LogStart)));
        check(&log, FOR_GOOD, [20, 30], Some((2, LogStart)));
        check(&log, FOR_GOOD, [9, 30], None);
        // The active one is not looked at.
        check(&log, FOR_GOOD, [30, 30], Some((2, LogStart)));
        check(&log[..1], FOR_GOOD, [10, 10], None);
    }

    #[test]
    fn timestamps_are_asked_for_only_where_they_decide() {
        let segment = |base_offset| LogSegment { base_offset, next_offset: base_offset + 10, bytes: 5 };
        let list = [0, 10, 20].map(segment);
        let at = LogAt { now_wall_ms: 1000, log_start: 0, high_watermark: 30 };
        let mut asked = Vec::new();
        let young = expired::<Infallible>(&list, &Retention { ms: Some(10), bytes: None }, &at, |i| {
            asked.push(i);
            Ok(995)
        });
        assert_eq!((young, asked), (Ok(None), vec![0]));
        let failing = expired(&list, &Retention { ms: Some(10), bytes: None }, &at, |_| Err("no disk"));
        assert_eq!(failing, Err("no disk"));
        assert_eq!(expired(&list, &FOR_GOOD, &at, |_| Err("no disk")), Ok(None));
    }
}
