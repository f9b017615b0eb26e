//! Quantiles of what was recorded in the last minutes.
//!
//! Kept values would need a lock, or memory that grows with the load. Here a value falls into one of 592 buckets, sixteen
//! to each power of two, so a quantile is off by 6 % at most; to record is one atomic addition.
//!
//! So that quantiles speak of now, there are two sets of buckets. They take turns of a minute each: one is filled while the
//! other still tells of the minute before, and whoever records first in a new minute empties the older one. A quantile is of
//! both, the last one to two minutes, so what happens between two scrapes is in one of them. Who records at the very moment
//! at which a set is emptied may not be counted; counts that must be right are kept elsewhere.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The quantiles that Kafka has, and how the JMX exporter writes them.
pub const QUANTILES: [(f64, &str); 6] =
    [(0.5, "0.50"), (0.75, "0.75"), (0.95, "0.95"), (0.98, "0.98"), (0.99, "0.99"), (0.999, "0.999")];

/// A set of buckets is filled for so long.
const TURN_US: u64 = 60_000_000;
/// Each power of two has 2^4 buckets.
const STEP_BITS: u32 = 4;
/// Larger values count as the largest: 2^40 µs are twelve days.
const VALUE_BITS: u32 = 40;
const BUCKETS: usize = ((VALUE_BITS - STEP_BITS + 1) as usize) << STEP_BITS;

#[derive(Debug)]
pub struct Histogram([Set; 2]);

#[derive(Debug)]
struct Set {
    /// The number of the turn that it was filled in last, counted from 1.
    turn: AtomicU64,
    buckets: [AtomicU32; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram([(); 2].map(|()| Set { turn: AtomicU64::new(0), buckets: [const { AtomicU32::new(0) }; BUCKETS] }))
    }
}

impl Histogram {
    /// Records a value `times` times, at this time of a clock that never goes back.
    #[inline]
    pub fn record(&self, value: u64, times: u32, now_us: i64) {
        let turn = turn_at(now_us);
        let set = &self.0[(turn % 2) as usize];
        if set.turn.load(Ordering::Relaxed) < turn {
            set.begin(turn);
        }
        set.buckets[bucket_of(value)].fetch_add(times, Ordering::Relaxed);
    }

    /// What was recorded lately, as of now.
    pub fn recent(&self, now_us: i64) -> Recent {
        let now = turn_at(now_us);
        let mut counts = [0_u64; BUCKETS];
        for set in self.0.iter().filter(|set| set.turn.load(Ordering::Relaxed) + 1 >= now) {
            for (count, bucket) in counts.iter_mut().zip(&set.buckets) {
                *count += u64::from(bucket.load(Ordering::Relaxed));
            }
        }
        Recent { counts }
    }
}

/// Values of the last one to two minutes, which can be added to others.
#[derive(Clone, Debug)]
pub struct Recent {
    counts: [u64; BUCKETS],
}

impl Recent {
    /// These and those.
    pub fn plus(mut self, others: &Recent) -> Recent {
        self.counts.iter_mut().zip(&others.counts).for_each(|(count, more)| *count += more);
        self
    }

    /// As many values, all of them 0.
    pub fn zeroed(&self) -> Recent {
        let mut counts = [0; BUCKETS];
        counts[0] = self.count();
        Recent { counts }
    }

    fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The [`QUANTILES`]; `None` if nothing was recorded.
    pub fn quantiles(&self) -> Option<[f64; QUANTILES.len()]> {
        let count = self.count();
        (count > 0).then(|| QUANTILES.map(|(quantile, _)| value_at(&self.counts, quantile * count as f64)))
    }

    /// The largest value.
    pub fn max(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| value_at(&self.counts, count as f64))
    }

    /// The mean of all values, each of which counts as the middle of its bucket.
    pub fn mean(&self) -> Option<f64> {
        let middle = |bucket| {
            let (first, last) = bounds_of(bucket);
            (first + last) as f64 / 2.0
        };
        let sum: f64 = self.counts.iter().enumerate().map(|(bucket, count)| middle(bucket) * *count as f64).sum();
        let count = self.count();
        (count > 0).then(|| sum / count as f64)
    }
}

impl Set {
    #[cold]
    fn begin(&self, turn: u64) {
        if self.turn.fetch_max(turn, Ordering::Relaxed) < turn {
            self.buckets.iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
        }
    }
}

fn turn_at(now_us: i64) -> u64 {
    u64::try_from(now_us).unwrap_or(0) / TURN_US + 1
}

/// Values below 2^5 have a bucket each.
fn bucket_of(value: u64) -> usize {
    let value = value.min((1 << VALUE_BITS) - 1);
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    ((shift as usize) << STEP_BITS) + (value >> shift) as usize
}

/// The smallest value of a bucket and the largest.
fn bounds_of(bucket: usize) -> (u64, u64) {
    let shift = (bucket >> STEP_BITS).saturating_sub(1);
    let first = ((bucket - (shift << STEP_BITS)) as u64) << shift;
    (first, first + (1 << shift) - 1)
}

/// The value with so many recorded at or below it, where those of a bucket lie evenly between its bounds.
fn value_at(counts: &[u64; BUCKETS], rank: f64) -> f64 {
    let mut below = 0.0;
    for (bucket, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let count = count as f64;
        if below + count >= rank {
            let (first, last) = bounds_of(bucket);
            return first as f64 + (last - first) as f64 * ((rank - below) / count);
        }
        below += count;
    }
    f64::NAN
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = TURN_US as i64;

    #[test]
    fn every_value_has_one_bucket_that_is_narrow() {
        let mut next = 0;
        for bucket in 0..BUCKETS {
            let (first, last) = bounds_of(bucket);
            assert_eq!(first, next, "bucket {bucket}");
            assert_eq!([bucket_of(first), bucket_of(last)], [bucket; 2]);
            assert!((last - first) * 16 <= first, "bucket {bucket}: {first} to {last}");
            next = last + 1;
        }
        assert_eq!((next, bucket_of(u64::MAX)), (1 << VALUE_BITS, BUCKETS - 1));
    }

    /// Records 1 to `n` and gives the quantiles.
    fn of_first(n: u64) -> [f64; 6] {
        let histogram = Histogram::default();
        (1..=n).for_each(|value| histogram.record(value, 1, 0));
        histogram.recent(0).quantiles().unwrap()
    }

    #[test]
    fn quantiles_are_right_within_six_percent() {
        for n in [10, 1000, 250_000] {
            for (found, (quantile, _)) in of_first(n).into_iter().zip(QUANTILES) {
                let right = quantile * n as f64;
                assert!((found - right).abs() <= right * 0.06 + 1.0, "{quantile} of {n}: {found}");
            }
        }
    }

    #[test]
    fn one_value_is_all_quantiles() {
        let histogram = Histogram::default();
        histogram.record(7, 3, 0);
        assert_eq!(histogram.recent(0).quantiles(), Some([7.0; 6]));
    }

    #[test]
    fn values_of_two_add_up() {
        let [first, second] = [(); 2].map(|()| Histogram::default());
        assert_eq!((first.recent(0).max(), first.recent(0).mean()), (None, None));
        first.record(3, 2, 0);
        second.record(9, 2, 0);
        let both = first.recent(0).plus(&second.recent(0));
        assert_eq!(
            (both.quantiles(), both.max(), both.mean()),
            (Some([3.0, 9.0, 9.0, 9.0, 9.0, 9.0]), Some(9.0), Some(6.0))
        );
        let zeroed = first.recent(0).zeroed().plus(&second.recent(0));
        assert_eq!((zeroed.quantiles().unwrap()[0], zeroed.max()), (0.0, Some(9.0)));
    }

    #[test]
    fn what_was_recorded_is_seen_for_a_minute_and_gone_after_two() {
        let histogram = Histogram::default();
        assert_eq!(histogram.recent(0).quantiles(), None);
        histogram.record(9, 1, 0);
        assert_eq!(histogram.recent(2 * MINUTE - 1).quantiles(), Some([9.0; 6]));
        assert_eq!(histogram.recent(2 * MINUTE).quantiles(), None);
        histogram.record(5, 1, 2 * MINUTE);
        histogram.record(5, 1, 3 * MINUTE);
        assert_eq!(histogram.recent(3 * MINUTE).quantiles(), Some([5.0; 6]));
        // Who looked at the clock before the turn began does not bring the old one back.
        histogram.record(5, 1, MINUTE);
        assert_eq!(histogram.recent(3 * MINUTE).quantiles(), Some([5.0; 6]));
    }
}
