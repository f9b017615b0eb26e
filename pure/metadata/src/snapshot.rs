//! When a snapshot of the metadata is made, and what may go once it is there (KIP-630).
//!
//! A log that only grows is read for longer at each start. So now and then the image is written beside it as the records
//! that make it ([`crate::Image::records`]): after so many bytes of new records, or so much time in which anything was
//! written. Old snapshots, and the log before the oldest that is left, go when they take too much room or are too old; the
//! newest never does, so what has left the log is always in a snapshot.

/// Where the log goes on behind a snapshot: the first offset that is not in it, and the epoch of the record before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
}

/// When a snapshot is made.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub bytes_max: u64,
    /// `metadata.log.max.snapshot.interval.ms`; `None` where age does not count.
    pub interval_ms: Option<i64>,
}

/// What has happened since the newest snapshot, or since the start if that is later.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    /// Of records that are in no snapshot.
    pub bytes: u64,
    pub ms: i64,
}

impl Schedule {
    /// Whether it is time. Never where nothing is new.
    pub fn is_due(&self, since: &Since) -> bool {
        let is_old = self.interval_ms.is_some_and(|interval| since.ms >= interval);
        since.bytes > 0 && (since.bytes >= self.bytes_max || is_old)
    }
}

/// How long snapshots, and the log between them, are kept. `None` is for good.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// `metadata.max.retention.bytes`, of log and snapshots together.
    pub bytes: Option<u64>,
    /// `metadata.max.retention.ms`
    pub ms: Option<i64>,
}

/// A snapshot that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub id: SnapshotId,
    pub bytes: u64,
    /// Of the last record in it.
    pub timestamp: i64,
}

/// The snapshot before which everything is to go, log and snapshots; `None` if nothing is. `log_bytes` gives the size of the
/// log that is left if it begins at an offset; `snapshots` are all that there are, by id.
pub fn oldest_to_keep(
    snapshots: &[Stored],
    retention: &Retention,
    now_wall_ms: i64,
    log_bytes: impl Fn(i64) -> u64,
) -> Option<SnapshotId> {
    let mut first = 0;
    let mut start = 0;
    while first + 1 < snapshots.len() {
        let bytes = log_bytes(start) + snapshots[first..].iter().map(|snapshot| snapshot.bytes).sum::<u64>();
        let is_too_much = retention.bytes.is_some_and(|bytes_max| bytes > bytes_max);
        let age_ms = now_wall_ms.saturating_sub(snapshots[first].timestamp);
        if !is_too_much && retention.ms.is_none_or(|ms_max| age_ms <= ms_max) {
            break;
        }
        first += 1;
        start = snapshots[first].id.end_offset;
    }
    (first > 0).then(|| snapshots[first].id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_made_after_so_many_bytes_or_so_much_time() {
        let check = |bytes_max, interval_ms, bytes, ms, expected| {
            let schedule = Schedule { bytes_max, interval_ms };
            assert_eq!(schedule.is_due(&Since { bytes, ms }), expected, "{schedule:?} {bytes} {ms}");
        };
        check(100, Some(1000), 99, 999, false);
        check(100, Some(1000), 100, 0, true);
        check(100, Some(1000), 1, 1000, true);
        check(100, Some(1000), 0, 5000, false);
        check(100, None, 99, i64::MAX, false);
    }

    /// Snapshots of ten bytes at offsets 0, 10, 20, 30, made at these times; asked at time 1000, of a log of five bytes for
    /// each ten offsets up to 40.
    fn check(timestamps: &[i64], retention: Retention, expected: Option<i64>) {
        let at = |(place, &timestamp): (usize, &i64)| Stored {
            id: SnapshotId { end_offset: place as i64 * 10, epoch: 1 },
            bytes: 10,
            timestamp,
        };
        let snapshots: Vec<_> = timestamps.iter().enumerate().map(at).collect();
        let found = oldest_to_keep(&snapshots, &retention, 1000, |start| ((40 - start) / 2) as u64);
        assert_eq!(found.map(|id| id.end_offset), expected, "{timestamps:?} {retention:?}");
    }

    #[test]
    fn what_is_too_old_or_too_much_goes_but_for_the_newest() {
        let ms = |ms| Retention { ms: Some(ms), bytes: None };
        let bytes = |bytes| Retention { ms: None, bytes: Some(bytes) };
        let times = [100, 200, 300, 400];
        check(&times, Retention { ms: None, bytes: None }, None);
        check(&times, ms(900), None);
        check(&times, ms(899), Some(10));
        check(&times, ms(700), Some(20));
        check(&times, ms(0), Some(30));
        check(&times[..1], ms(0), None);
        check(&[], ms(0), None);
        // 20 bytes of log, 40 of snapshots.
        check(&times, bytes(60), None);
        check(&times, bytes(59), Some(10));
        check(&times, bytes(44), Some(20));
        check(&times, bytes(0), Some(30));
        check(&times, Retention { ms: Some(700), bytes: Some(59) }, Some(20));
    }
}
