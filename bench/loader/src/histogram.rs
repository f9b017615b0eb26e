//! A histogram of durations whose buckets are never wider than 1.6 % of what they hold, whatever the range: each power of two
//! is cut into 64.

const CUTS: u64 = 64;
const CUT_BITS: u32 = CUTS.trailing_zeros();
const BUCKETS: usize = (64 - CUT_BITS as usize + 1) * CUTS as usize;

#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    pub fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn add(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.total += other.total;
    }

    /// Each bucket that is not empty, by its largest value.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bucket, count)| (largest(bucket), *count))
    }

    /// The value that this share of all recorded values does not exceed, rounded up to the end of its bucket. 0 where
    /// nothing was recorded.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((share * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map_or(0, largest)
    }
}

fn bucket(value: u64) -> usize {
    let shift = (64 - CUT_BITS).saturating_sub(value.leading_zeros() + 1);
    (u64::from(shift) * CUTS + (value >> shift)) as usize
}

/// The largest value that falls into a bucket.
fn largest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / CUTS).saturating_sub(1);
    let top = bucket - shift * CUTS;
    ((u128::from(top) + 1) << shift).wrapping_sub(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_narrow_bucket() {
        let values = (0..63).flat_map(|bit| [0, 1, 77, 12_345].map(|more| (1_u64 << bit) + more)).chain([0, u64::MAX]);
        for value in values {
            let bucket = bucket(value);
            let end = largest(bucket);
            assert!(end >= value && end - value <= value / CUTS, "{value} in a bucket that ends with {end}");
            assert!(bucket == 0 || largest(bucket - 1) < value, "{value} belongs to an earlier bucket");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        (1..=50).for_each(|value| histogram.record(value));
        assert_eq!([0.0, 0.01, 0.5, 0.51, 0.99, 1.0].map(|share| histogram.quantile(share)), [1, 1, 25, 26, 50, 50]);
        histogram.record(1_000_000);
        let largest = histogram.quantile(1.0);
        assert!((1_000_000..1_016_000).contains(&largest), "{largest}");
        assert_eq!(histogram.quantile(0.98), 50);
        let mut sum = Histogram::default();
        assert_eq!(sum.counts().count(), 0);
        [&histogram, &histogram].into_iter().for_each(|more| sum.add(more));
        assert_eq!((sum.counts().next(), sum.counts().count()), (Some((1, 2)), 51));
        assert_eq!(sum.quantile(0.5), histogram.quantile(0.5));
    }
}
