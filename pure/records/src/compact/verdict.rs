//! What becomes of a batch, as far as its head tells.

use super::transactions::{Aborted, Transactions};
use crate::control::ControlType;
use crate::header::BatchHeader;
use crate::read::Record;

/// The newest batch of a producer that the partition knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastBatch {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// `None` if only a marker tells of the producer.
    pub last_offset: Option<i64>,
}

/// One compacting pass over a log.
#[derive(Debug)]
pub struct Pass<'a> {
    pub now_wall_ms: i64,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// Of records from this offset on it is not known whether they are the newest.
    pub known_to: i64,
    /// In order of producer ids.
    pub last_batches: &'a [LastBatch],
    pub aborted: &'a Aborted,
    pub transactions: Transactions,
}

/// Whether a batch is kept though no record of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Not unless a producer needs it.
    WithRecords,
    /// It is the last of its segment.
    Always,
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub records: Stay,
    pub keep: Keep,
    /// It has nothing but a marker of a transaction of which nothing is left.
    pub waits: bool,
}

/// Which records stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    None,
    All,
    /// The newest of their keys.
    Newest,
}

impl Pass<'_> {
    /// Judges the next batch. `marker` is what a control batch says, and `keep` what its place asks for.
    pub fn judge(&mut self, header: &BatchHeader, marker: Option<ControlType>, keep: Keep) -> Verdict {
        let is_control = header.attributes.is_control();
        let (records, waits) = if is_control {
            let waits = self.transactions.marker(header, marker);
            let is_over = waits && header.delete_horizon().is_some_and(|horizon| horizon <= self.now_wall_ms);
            (if is_over { Stay::None } else { Stay::All }, waits)
        } else {
            self.transactions.batch(header);
            (if self.aborted.contains(header) { Stay::None } else { Stay::Newest }, false)
        };
        let keep = if self.is_last_of_producer(header) { Keep::Always } else { keep };
        Verdict { records, keep, waits }
    }

    /// Whether a record stays of which `newest` is the newest offset of its key, as far as that is known.
    pub fn stays(&self, header: &BatchHeader, record: &Record<'_>, newest: Option<i64>) -> bool {
        if record.offset >= self.known_to {
            return true;
        }
        let is_over = header.delete_horizon().is_some_and(|horizon| horizon <= self.now_wall_ms);
        record.key.is_some()
            && newest.is_none_or(|newest| record.offset >= newest)
            && (record.value.is_some() || !is_over)
    }

    /// The delete horizon of a batch that gets one now.
    pub fn horizon(&self) -> i64 {
        self.now_wall_ms.saturating_add(self.delete_retention_ms)
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        if !header.is_idempotent() {
            return false;
        }
        let Ok(i) = self.last_batches.binary_search_by_key(&header.producer_id, |last| last.producer_id) else {
            return false;
        };
        let LastBatch { producer_epoch, last_offset, .. } = self.last_batches[i];
        match last_offset {
            Some(last_offset) => header.last_offset() == last_offset,
            None => header.attributes.is_control() && header.producer_epoch == producer_epoch,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::ops::Range;

    use super::*;
    use crate::header::{Attributes, HEADER_BYTES};

    /// A batch of a transaction.
    pub fn data(producer_id: i64, offsets: Range<i64>) -> BatchHeader {
        let mut head = [0; HEADER_BYTES];
        (head[11], head[16]) = (49, 2);
        BatchHeader {
            base_offset: offsets.start,
            last_offset_delta: (offsets.end - offsets.start - 1) as i32,
            record_count: (offsets.end - offsets.start) as i32,
            attributes: Attributes::default().with_transactional(),
            producer_id,
            ..BatchHeader::parse(&head).expect("the head of a batch without bytes")
        }
    }

    /// A marker.
    pub fn control(producer_id: i64, offset: i64) -> BatchHeader {
        let header = data(producer_id, offset..offset + 1);
        BatchHeader { attributes: header.attributes.with_control(), ..header }
    }

    fn with_horizon(header: BatchHeader, horizon: i64) -> BatchHeader {
        BatchHeader { attributes: header.attributes.with_delete_horizon(), base_timestamp: horizon, ..header }
    }

    fn pass<'a>(aborted: &'a Aborted, last_batches: &'a [LastBatch]) -> Pass<'a> {
        let transactions = Transactions::default();
        Pass { now_wall_ms: 1000, delete_retention_ms: 50, known_to: 100, last_batches, aborted, transactions }
    }

    #[test]
    fn markers_wait_for_their_horizon() {
        let aborted = Aborted::default();
        let mut pass = pass(&aborted, &[]);
        let commit = Some(ControlType::Commit);
        let mut check = |header: BatchHeader, marker, expected| {
            let Verdict { records, waits, .. } = pass.judge(&header, marker, Keep::WithRecords);
            assert_eq!((records, waits), expected, "{header:?}");
        };
        check(data(1, 0..2), None, (Stay::Newest, false));
        check(with_horizon(control(1, 2), 1), commit, (Stay::All, false));
        check(control(1, 3), commit, (Stay::All, true));
        check(with_horizon(control(1, 4), 1001), commit, (Stay::All, true));
        check(with_horizon(control(1, 5), 1000), commit, (Stay::None, true));
        check(with_horizon(control(1, 5), 1000), None, (Stay::All, false));
        assert_eq!(pass.horizon(), 1050);
    }

    #[test]
    fn aborted_records_go_at_once() {
        let mut aborted = Aborted::default();
        aborted.note(&data(1, 0..2), None);
        aborted.note(&control(1, 2), Some(ControlType::Abort));
        let mut pass = pass(&aborted, &[]);
        assert_eq!(pass.judge(&data(1, 0..2), None, Keep::WithRecords).records, Stay::None);
        assert_eq!(pass.judge(&data(2, 0..2), None, Keep::WithRecords).records, Stay::Newest);
        // And the marker in the pass that finds no batch any more.
        assert!(!pass.judge(&control(1, 2), Some(ControlType::Abort), Keep::WithRecords).waits);
        assert!(pass.judge(&control(1, 2), Some(ControlType::Abort), Keep::WithRecords).waits);
    }

    #[test]
    fn the_last_batch_of_a_producer_is_kept() {
        let last = |producer_id, producer_epoch, last_offset| LastBatch { producer_id, producer_epoch, last_offset };
        let aborted = Aborted::default();
        let batches = [last(3, 0, Some(9)), last(5, 2, None)];
        let mut pass = pass(&aborted, &batches);
        let mut keep = |header: BatchHeader, place| pass.judge(&header, None, place).keep;
        assert_eq!(keep(data(3, 8..10), Keep::WithRecords), Keep::Always);
        assert_eq!(keep(data(3, 6..8), Keep::WithRecords), Keep::WithRecords);
        assert_eq!(keep(data(4, 8..10), Keep::WithRecords), Keep::WithRecords);
        assert_eq!(keep(data(4, 8..10), Keep::Always), Keep::Always);
        assert_eq!(keep(control(5, 3), Keep::WithRecords), Keep::WithRecords, "of another epoch");
        assert_eq!(keep(BatchHeader { producer_epoch: 2, ..control(5, 3) }, Keep::WithRecords), Keep::Always);
        assert_eq!(keep(BatchHeader { producer_epoch: 2, ..data(5, 3..4) }, Keep::WithRecords), Keep::WithRecords);
        assert_eq!(keep(data(-1, 8..10), Keep::WithRecords), Keep::WithRecords);
    }
}
