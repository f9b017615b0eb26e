//! Which segments are made into one.
//!
//! What compaction leaves of a segment may be next to nothing, and a log of thousands of such segments is a burden. So
//! segments that together are no larger than one may be, log and indexes, are copied into one, as in Kafka. How much of
//! them stays is not known beforehand.

use std::ops::Range;

/// A segment before it is compacted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub base_offset: i64,
    pub next_offset: i64,
    pub bytes: u64,
    pub index_bytes: u64,
    pub time_index_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub segment_bytes: u64,
    pub index_bytes: u64,
}

/// The groups, in order. Segments without a byte are in none, unless they lie between others.
pub(super) fn groups(segments: &[Sizes], limits: &Limits) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut i = 0;
    while i < segments.len() {
        let end = i
            + 1
            + segments[i + 1..].iter().zip(i + 1..).take_while(|&(_, last)| fits(&segments[i..=last], limits)).count();
        if segments[i..end].iter().any(|segment| segment.bytes > 0) {
            groups.push(i..end);
        }
        i = end;
    }
    groups
}

fn fits(group: &[Sizes], limits: &Limits) -> bool {
    let sum = |bytes: fn(&Sizes) -> u64| group.iter().map(bytes).sum::<u64>();
    let offsets = group[group.len() - 1].next_offset - group[0].base_offset;
    sum(|segment| segment.bytes) <= limits.segment_bytes
        && sum(|segment| segment.index_bytes) <= limits.index_bytes
        && sum(|segment| segment.time_index_bytes) <= limits.index_bytes
        // Its indexes count offsets from its base.
        && offsets <= i64::from(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(segments: &[(i64, u64, u64)], expected: &[(usize, usize)]) {
        let next = segments.iter().skip(1).map(|next| next.0).chain([segments[segments.len() - 1].0 + 10]);
        let sizes: Vec<_> = segments
            .iter()
            .zip(next)
            .map(|(&(base_offset, bytes, index_bytes), next_offset)| Sizes {
                base_offset,
                next_offset,
                bytes,
                index_bytes,
                time_index_bytes: index_bytes * 3 / 2,
            })
            .collect();
        let found = groups(&sizes, &Limits { segment_bytes: 100, index_bytes: 30 });
        let found: Vec<_> = found.into_iter().map(|group| (group.start, group.end)).collect();
        assert_eq!(found, expected, "{segments:?}");
    }

    #[test]
    fn a_group_fills_one_segment() {
        check(&[(0, 50, 1), (10, 50, 1), (20, 50, 1)], &[(0, 2), (2, 3)]);
        check(&[(0, 50, 1), (10, 51, 1), (20, 49, 1)], &[(0, 1), (1, 3)]);
        check(&[(0, 500, 1), (10, 500, 1)], &[(0, 1), (1, 2)]);
        check(&[(0, 1, 8), (10, 1, 8), (20, 1, 8), (30, 1, 0)], &[(0, 2), (2, 4)]);
        check(&[(0, 1, 0), (1 << 30, 1, 0), (i64::from(i32::MAX) - 10, 1, 0)], &[(0, 3)]);
        check(&[(0, 1, 0), (1 << 30, 1, 0), (i64::from(i32::MAX), 1, 0)], &[(0, 2), (2, 3)]);
        check(&[(0, 0, 0), (0, 0, 0)], &[]);
        check(&[(0, 0, 0), (0, 5, 0), (10, 0, 0)], &[(0, 3)]);
    }
}
