//! The transactions of a log, as far as they hold back who reads committed records (KIP-98).
//!
//! A transaction begins with a producer's first transactional batch, and a marker ends it. Until then nobody knows whether its
//! records count: the *last stable offset* lies before the first of them, and those who read committed records stop there. The
//! marker counts once the high watermark has passed it, as everything does. What was aborted has to be skipped by the reader,
//! which is told of it: [`ottla_base::AbortedTransaction`] is what `.txnindex` says.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::TxnOutcome;

/// What the marker at the end of a transaction says, beside its batch's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    pub outcome: TxnOutcome,
    /// The leader epoch of the coordinator's own partition.
    pub coordinator_epoch: i32,
}

/// Those that are not over.
#[derive(Debug)]
pub(crate) struct Transactions {
    /// First offset and producer.
    open: BTreeSet<(i64, i64)>,
    /// Those whose marker the high watermark has not passed: the marker's offset, by the first one.
    ended: BTreeMap<i64, i64>,
    high_watermark: i64,
}

impl Transactions {
    pub fn new(high_watermark: i64) -> Transactions {
        Transactions { open: BTreeSet::new(), ended: BTreeMap::new(), high_watermark }
    }

    pub fn begin(&mut self, producer_id: i64, first_offset: i64) {
        self.open.insert((first_offset, producer_id));
    }

    /// The producer has none after all.
    pub fn forget(&mut self, producer_id: i64, first_offset: i64) {
        self.open.remove(&(first_offset, producer_id));
    }

    /// A marker at `last_offset` ends it. Gives the last stable offset that this leads to, were the marker kept.
    pub fn end(&mut self, producer_id: i64, first_offset: i64, last_offset: i64) -> i64 {
        self.forget(producer_id, first_offset);
        if last_offset >= self.high_watermark {
            self.ended.insert(first_offset, last_offset);
        }
        self.open.first().map_or(last_offset.saturating_add(1), |(first, _)| *first)
    }

    pub fn high_watermark_moved(&mut self, high_watermark: i64) {
        self.high_watermark = high_watermark;
        self.ended.retain(|_, last_offset| *last_offset >= high_watermark);
    }

    /// First offset of those that are not over.
    pub fn first_unstable(&self) -> Option<i64> {
        let open = self.open.first().map(|(first, _)| *first);
        let ended = self.ended.first_key_value().map(|(first, _)| *first);
        [open, ended].into_iter().flatten().min()
    }
}
