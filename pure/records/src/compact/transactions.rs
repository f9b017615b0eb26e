//! Which transactions of a log were aborted, and which have left anything but their marker.
//!
//! The marker that decides about a batch lies behind it. So there are two passes: one over the heads of what is to be
//! compacted, which pairs markers with the batches before them, and one that compacts.

use std::collections::{BTreeMap, BTreeSet};

use crate::control::ControlType;
use crate::header::BatchHeader;

/// The transactions of a stretch of a log, found by going over its heads in order.
#[derive(Debug, Default)]
pub struct Aborted {
    /// By producer and the marker's offset: where the transaction began.
    aborted: BTreeMap<(i64, i64), i64>,
    /// Where transactions began that no marker has ended yet, by producer.
    open: BTreeMap<i64, i64>,
}

impl Aborted {
    /// Takes the next batch. `marker` is what a control batch says; `None` if it says nothing any more.
    pub fn note(&mut self, header: &BatchHeader, marker: Option<ControlType>) {
        let producer = header.producer_id;
        if !header.attributes.is_control() {
            if header.attributes.is_transactional() {
                self.open.entry(producer).or_insert(header.base_offset);
            }
            return;
        }
        let ends = matches!(marker, Some(ControlType::Abort | ControlType::Commit));
        if let Some(first) = ends.then(|| self.open.remove(&producer)).flatten()
            && marker == Some(ControlType::Abort)
        {
            self.aborted.insert((producer, header.last_offset()), first);
        }
    }

    /// First offset of a transaction that is not ended. From there on nothing may be compacted.
    pub fn first_open(&self) -> Option<i64> {
        self.open.values().min().copied()
    }

    /// Whether a batch, not of control records, belongs to a transaction that was aborted.
    pub fn contains(&self, header: &BatchHeader) -> bool {
        if !header.attributes.is_transactional() {
            return false;
        }
        let producer = header.producer_id;
        let marker = self.aborted.range((producer, header.base_offset)..=(producer, i64::MAX)).next();
        marker.is_some_and(|(_, first)| *first <= header.base_offset)
    }
}

/// The producers of which the compacting pass has met a batch since their last marker.
#[derive(Debug, Default)]
pub struct Transactions(BTreeSet<i64>);

impl Transactions {
    pub(super) fn batch(&mut self, header: &BatchHeader) {
        if header.attributes.is_transactional() {
            self.0.insert(header.producer_id);
        }
    }

    /// Whether nothing else is left of the transaction that a marker ended.
    pub(super) fn marker(&mut self, header: &BatchHeader, marker: Option<ControlType>) -> bool {
        match marker {
            Some(ControlType::Abort | ControlType::Commit) => !self.0.remove(&header.producer_id),
            Some(ControlType::LeaderChange) => false,
            None => header.record_count == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::tests::{control, data};
    use super::*;

    #[test]
    fn markers_are_paired_with_what_is_before_them() {
        let mut aborted = Aborted::default();
        let (abort, commit) = (Some(ControlType::Abort), Some(ControlType::Commit));
        for (header, marker) in [
            (data(1, 0..3), None),
            (data(2, 3..5), None),
            (BatchHeader { attributes: Default::default(), ..data(-1, 5..6) }, None),
            (data(1, 6..8), None),
            (control(1, 8), abort),
            (data(1, 9..10), None),
            (control(2, 10), commit),
            (control(3, 11), abort),
            (control(1, 12), commit),
            (data(2, 13..14), None),
            (control(2, 14), None),
            (control(2, 15), abort),
            (data(2, 16..18), None),
            (data(1, 18..19), None),
        ] {
            aborted.note(&header, marker);
        }
        let is = |producer, offsets| aborted.contains(&data(producer, offsets));
        assert!(is(1, 0..3) && is(1, 6..8) && is(2, 13..14));
        assert!(!is(1, 9..10) && !is(2, 3..5) && !is(2, 16..18) && !is(3, 0..3));
        let plain = BatchHeader { attributes: Default::default(), ..data(1, 0..3) };
        assert!(!aborted.contains(&plain), "not of a transaction");
        assert_eq!(aborted.first_open(), Some(16));
        assert_eq!(Aborted::default().first_open(), None);
    }

    #[test]
    fn a_marker_is_the_last_that_is_left() {
        let mut transactions = Transactions::default();
        let commit = Some(ControlType::Commit);
        transactions.batch(&data(1, 0..1));
        assert!(!transactions.marker(&control(1, 1), commit));
        assert!(transactions.marker(&control(1, 2), commit));
        assert!(transactions.marker(&control(2, 3), Some(ControlType::Abort)));
        assert!(!transactions.marker(&control(-1, 4), Some(ControlType::LeaderChange)));
        assert!(!transactions.marker(&control(2, 5), None), "of a kind that nobody knows");
        assert!(transactions.marker(&BatchHeader { record_count: 0, ..control(2, 5) }, None), "emptied before");
    }
}
