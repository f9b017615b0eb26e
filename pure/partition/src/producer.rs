//! What a partition remembers of one idempotent producer: its epoch, its last five batches and its transaction (KIP-98).
//!
//! A producer numbers its records per partition and has at most five requests in flight, so a batch that is sent again
//! is one of the last five or was never stored. Most producers have written one batch or are long gone: the last batch
//! stands in line, the four before it in a box that the second batch makes.

use ottla_records::{BatchHeader, next_sequence};

use crate::refusal::Refusal;
use crate::transactions::Marker;

/// How many batches of a producer are remembered.
pub(crate) const REMEMBERED: usize = 5;

/// A stored batch, as far as its repetition has to be recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub last_offset: i64,
    /// The batch's max timestamp, as it was stored.
    pub timestamp: i64,
    pub last_sequence: i32,
    pub offset_delta: i32,
}

impl Batch {
    /// Stands for no batch, with the numbers that Kafka's snapshot has for that.
    pub const NONE: Batch = Batch { last_offset: -1, timestamp: -1, last_sequence: -1, offset_delta: 0 };

    pub fn stored(header: &BatchHeader, base_offset: i64) -> Batch {
        Batch {
            last_offset: base_offset.saturating_add(i64::from(header.last_offset_delta)),
            timestamp: header.max_timestamp,
            last_sequence: header.last_sequence(),
            offset_delta: header.last_offset_delta,
        }
    }

    pub fn base_offset(&self) -> i64 {
        self.last_offset.saturating_sub(i64::from(self.offset_delta))
    }

    pub fn exists(&self) -> bool {
        self.last_offset >= 0
    }
}

#[derive(Debug)]
pub(crate) struct Producer {
    /// Does not exist if only a transaction marker was written, which Kafka's snapshots may say.
    last: Batch,
    /// Newest first, filled up with [`Batch::NONE`].
    older: Option<Box<[Batch; REMEMBERED - 1]>>,
    /// First offset of the transaction that is open; -1 if none is.
    transaction: i64,
    /// What its last marker said; -1 if there was none.
    coordinator_epoch: i32,
    epoch: i16,
}

/// Stands in a `.snapshot` where there is no transaction, or no coordinator of one.
pub(crate) const NO_TRANSACTION: i64 = -1;
pub(crate) const NO_COORDINATOR: i32 = -1;

/// What takes back that a batch was noted.
#[derive(Debug)]
pub(crate) enum Undo {
    /// The producer was unknown.
    Forget,
    /// The batch is one of the five, and this one fell out for it.
    Pop(Batch),
    /// The batch began an epoch, and the one before it is this.
    Restore(Producer),
}

impl Producer {
    /// Whom the partition has not seen, or has forgotten.
    pub const UNKNOWN: Producer = Producer::new(-1, Batch::NONE);

    pub const fn new(epoch: i16, last: Batch) -> Producer {
        Producer { last, older: None, transaction: NO_TRANSACTION, coordinator_epoch: NO_COORDINATOR, epoch }
    }

    /// The same as far as its transaction goes, in an epoch that begins with this batch.
    const fn in_epoch(&self, epoch: i16, last: Batch) -> Producer {
        let Producer { transaction, coordinator_epoch, .. } = *self;
        Producer { last, older: None, transaction, coordinator_epoch, epoch }
    }

    pub fn epoch(&self) -> i16 {
        self.epoch
    }

    pub fn last(&self) -> &Batch {
        &self.last
    }

    /// First offset of the transaction that is open.
    pub fn transaction(&self) -> Option<i64> {
        Some(self.transaction).filter(|first| *first >= 0)
    }

    pub fn coordinator_epoch(&self) -> i32 {
        self.coordinator_epoch
    }

    /// Sets what a `.snapshot` says of transactions.
    pub fn restore_transaction(&mut self, first_offset: i64, coordinator_epoch: i32) {
        (self.transaction, self.coordinator_epoch) = (first_offset, coordinator_epoch);
    }

    /// A batch of a transaction was noted. Whether it is the first of it.
    pub fn is_in_transaction_from(&mut self, base_offset: i64) -> bool {
        let begins = self.transaction().is_none();
        if begins {
            self.transaction = base_offset;
        }
        begins
    }

    /// A marker ends the transaction, and since `transaction.version` 2 an epoch begins with it that has no batch yet. The
    /// time of the producer is now the marker's, as Kafka's snapshots have only one. Gives where the transaction began.
    pub fn end_transaction(&mut self, epoch: i16, marker: &Marker, timestamp: i64) -> Option<i64> {
        if epoch != self.epoch {
            *self = self.in_epoch(epoch, Batch::NONE);
        }
        let first_offset = self.transaction();
        self.transaction = NO_TRANSACTION;
        self.coordinator_epoch = marker.coordinator_epoch;
        self.last.timestamp = timestamp;
        first_offset
    }

    /// Whether a batch may be appended: `Some` is the stored batch that it repeats.
    pub fn judge(&self, header: &BatchHeader) -> Result<Option<Batch>, Refusal> {
        let epoch = header.producer_epoch;
        if epoch == self.epoch
            && let Some(stored) = self.find(header)
        {
            return Ok(Some(stored));
        }
        if epoch < self.epoch {
            return Err(Refusal::InvalidProducerEpoch);
        }
        // Nothing to continue: unknown producers, whose records retention may have taken (KIP-360), and those without an
        // epoch begin anywhere.
        if self.epoch == Producer::UNKNOWN.epoch {
            return Ok(None);
        }
        let due = if epoch == self.epoch { next_sequence(self.last.last_sequence, 1) } else { 0 };
        if header.base_sequence == due { Ok(None) } else { Err(Refusal::OutOfOrderSequence) }
    }

    /// Notes a batch that was judged to be new, or found in the log.
    pub fn note(&mut self, epoch: i16, batch: Batch) -> Undo {
        if epoch != self.epoch || !self.last.exists() {
            let began = self.in_epoch(epoch, batch);
            return Undo::Restore(std::mem::replace(self, began));
        }
        let older = self.older.get_or_insert_with(|| Box::new([Batch::NONE; REMEMBERED - 1]));
        let dropped = older[3];
        older.copy_within(0..3, 1);
        older[0] = self.last;
        self.last = batch;
        Undo::Pop(dropped)
    }

    /// Takes back the last batch: `dropped` is what it had pushed out.
    pub fn pop(&mut self, dropped: Batch) {
        let older = self.older.as_mut().expect("a batch that stands behind another pushed that one into the box");
        self.last = older[0];
        older.copy_within(1..4, 0);
        older[3] = dropped;
    }

    /// Those of the known batches that lie below an offset, newest first.
    pub fn below(&self, offset: i64) -> impl Iterator<Item = Batch> {
        self.recent().filter(move |batch| batch.last_offset < offset)
    }

    fn find(&self, header: &BatchHeader) -> Option<Batch> {
        let last_sequence = header.last_sequence();
        let is_it =
            |batch: &Batch| (batch.last_sequence, batch.offset_delta) == (last_sequence, header.last_offset_delta);
        self.recent().find(is_it)
    }

    /// Newest first. The first may not exist.
    fn recent(&self) -> impl Iterator<Item = Batch> {
        let older = self.older.iter().flat_map(|older| older.iter()).filter(|batch| batch.exists());
        std::iter::once(&self.last).chain(older).copied()
    }
}
