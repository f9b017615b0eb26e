//! The idempotent producers that write to a partition.
//!
//! A turn admits several batches, writes them at once and may fail; meanwhile the second batch of a producer must see its
//! first. A copy of the map would give both, at a price per turn. We change the map in place and keep a journal of what
//! takes each change back: committing clears it, abandoning plays it backwards.
//!
//! Kafka remembers every producer until it has been idle for a day, and a producer's every restart is a new one to it. We
//! keep at most [`PRODUCERS_PER_PARTITION_MAX`] and then forget those idle for the longest. That is what their expiry
//! does, only sooner: one that comes back is taken for new, and nothing is refused; what is lost is that a repetition of
//! its last batch would be recognised, after some 57,000 others have written to this partition in between.

use std::collections::hash_map::Entry;

use ottla_base::{AbortedTransaction, Map, Seed, TxnOutcome};
use ottla_records::{BatchHeader, LastBatch};

use crate::producer::{Batch, NO_COORDINATOR, NO_TRANSACTION, Producer, REMEMBERED, Undo};
use crate::refusal::Refusal;
use crate::transactions::{Marker, Transactions};

/// About 12 MiB of memory, when each of them has written five batches.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 65_536;
/// How many are forgotten when there are too many: one search for the idlest then serves so many newcomers.
const FORGOTTEN_AT_ONCE: usize = PRODUCERS_PER_PARTITION_MAX / 8;
/// What the journal may hold on to between turns.
const JOURNAL_KEPT_ENTRIES_MAX: usize = 64;

/// A batch of a producer in a `.snapshot` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// -1 if the producer has no batch, and so `last_offset`.
    pub last_sequence: i32,
    pub last_offset: i64,
    pub offset_delta: i32,
    pub timestamp: i64,
    /// That of the producer's last marker; -1 if there was none.
    pub coordinator_epoch: i32,
    /// -1 if no transaction is open.
    pub transaction_first_offset: i64,
}

/// The producers as the batches below `offset` leave them: the file `<offset>.snapshot`. In order of their ids; a producer's
/// batches from the oldest to the newest.
///
/// Kafka writes only the newest of each, so after a restart one that was sent with others in flight is refused when it is
/// sent again. It reads the file line by line, and what a later line says of a producer takes the place of what an earlier
/// one said: it takes no notice of the others, but for a transaction, which would be open for good. So the last line alone says
/// what there is to say of transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerSnapshot {
    pub offset: i64,
    pub producers: Vec<ProducerEntry>,
}

/// Which producers to forget because they have been idle.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    pub now_wall_ms: i64,
    /// `producer.id.expiration.ms`, against the max timestamp of the producer's last batch.
    pub expiration_ms: i64,
}

#[derive(Debug)]
pub(crate) struct Producers {
    known: Map<i64, Producer>,
    journal: Vec<(i64, Undo)>,
    transactions: Transactions,
}

impl Producers {
    /// Of a log that is read up to `high_watermark`.
    pub fn new(seed: Seed, high_watermark: i64) -> Producers {
        let transactions = Transactions::new(high_watermark);
        Producers { known: Map::with_hasher(seed), journal: Vec::new(), transactions }
    }

    pub fn restore(&mut self, entry: &ProducerEntry) {
        let batch = Batch {
            last_offset: entry.last_offset,
            timestamp: entry.timestamp,
            last_sequence: entry.last_sequence,
            offset_delta: entry.offset_delta,
        };
        let id = entry.producer_id;
        self.remember(id, entry.producer_epoch, batch);
        let Some(producer) = self.known.get_mut(&id) else { return };
        if let Some(earlier) = producer.transaction() {
            self.transactions.forget(id, earlier);
        }
        producer.restore_transaction(entry.transaction_first_offset, entry.coordinator_epoch);
        if let Some(first_offset) = producer.transaction() {
            self.transactions.begin(id, first_offset);
        }
    }

    /// Takes a batch of records from the log: it was accepted once, and is not judged again.
    pub fn replay(&mut self, header: &BatchHeader) {
        let id = header.producer_id;
        self.remember(id, header.producer_epoch, Batch::stored(header, header.base_offset));
        if header.attributes.is_transactional()
            && let Some(producer) = self.known.get_mut(&id)
            && producer.is_in_transaction_from(header.base_offset)
        {
            self.transactions.begin(id, header.base_offset);
        }
    }

    /// Takes a marker from the log. `Some` if it aborts a transaction that has left anything.
    pub fn replay_marker(&mut self, header: &BatchHeader, marker: &Marker) -> Option<AbortedTransaction> {
        let (id, epoch, last_offset) = (header.producer_id, header.producer_epoch, header.last_offset());
        if !self.known.contains_key(&id) {
            self.remember(id, epoch, Batch::NONE);
        }
        let producer = self.known.get_mut(&id)?;
        let first_offset = producer.end_transaction(epoch, marker, header.max_timestamp)?;
        let last_stable = self.transactions.end(id, first_offset, last_offset);
        let aborted = AbortedTransaction { producer_id: id, first_offset, last_offset, last_stable };
        (marker.outcome == TxnOutcome::Aborted).then_some(aborted)
    }

    pub fn high_watermark_moved(&mut self, high_watermark: i64) {
        self.transactions.high_watermark_moved(high_watermark);
    }

    /// First offset of the transactions that are not over.
    pub fn first_unstable(&self) -> Option<i64> {
        self.transactions.first_unstable()
    }

    /// Judges a batch that would be stored at `base_offset`, and notes it. `Some` is the stored batch that it repeats.
    pub fn admit(&mut self, header: &BatchHeader, base_offset: i64) -> Result<Option<Batch>, Refusal> {
        let id = header.producer_id;
        let batch = Batch::stored(header, base_offset);
        let undo = match self.known.get_mut(&id) {
            Some(producer) => {
                if let Some(repeated) = producer.judge(header)? {
                    return Ok(Some(repeated));
                }
                if producer.transaction().is_some() {
                    return Err(Refusal::InvalidTxnState);
                }
                producer.note(header.producer_epoch, batch)
            }
            None => {
                Producer::UNKNOWN.judge(header)?;
                self.known.insert(id, Producer::new(header.producer_epoch, batch));
                Undo::Forget
            }
        };
        self.journal.push((id, undo));
        Ok(None)
    }

    /// What was noted stays.
    pub fn commit(&mut self) {
        if self.journal.is_empty() {
            return;
        }
        self.journal.clear();
        self.journal.shrink_to(JOURNAL_KEPT_ENTRIES_MAX);
        self.enforce_limit();
    }

    /// What was noted since the last commit goes.
    pub fn abandon(&mut self) {
        while let Some((id, undo)) = self.journal.pop() {
            match undo {
                Undo::Forget => {
                    self.known.remove(&id);
                }
                Undo::Pop(dropped) => {
                    self.known.get_mut(&id).expect("a producer stays known while its turn is open").pop(dropped);
                }
                Undo::Restore(before) => {
                    self.known.insert(id, before);
                }
            }
        }
    }

    /// The state as of `offset`, which may lie amid the batches that are not committed yet.
    pub fn snapshot(&self, offset: i64) -> ProducerSnapshot {
        let mut producers = Vec::with_capacity(self.known.len());
        for (&producer_id, producer) in &self.known {
            let (producer_epoch, batches) = self.below(offset, producer_id, producer);
            let newest = producers.len();
            producers.extend(batches.iter().map(|batch| ProducerEntry {
                producer_id,
                producer_epoch,
                last_sequence: batch.last_sequence,
                last_offset: batch.last_offset,
                offset_delta: batch.offset_delta,
                timestamp: batch.timestamp,
                coordinator_epoch: NO_COORDINATOR,
                transaction_first_offset: NO_TRANSACTION,
            }));
            if let Some(entry) = producers.get_mut(newest) {
                entry.coordinator_epoch = producer.coordinator_epoch();
                entry.transaction_first_offset = producer.transaction().unwrap_or(NO_TRANSACTION);
            }
        }
        producers.sort_unstable_by_key(|entry| (entry.producer_id, entry.last_offset));
        ProducerSnapshot { offset, producers }
    }

    pub fn count(&self) -> usize {
        self.known.len()
    }

    /// As of the last commit.
    pub fn last_batches(&self) -> Vec<LastBatch> {
        let last = |(&producer_id, producer): (&i64, &Producer)| {
            let last = producer.last();
            let last_offset = last.exists().then_some(last.last_offset);
            LastBatch { producer_id, producer_epoch: producer.epoch(), last_offset }
        };
        let mut all: Vec<_> = self.known.iter().map(last).collect();
        all.sort_unstable_by_key(|last| last.producer_id);
        all
    }

    /// Forgets idle producers, but for those with a transaction, which is still to be ended. Looks at each, at
    /// [`PRODUCERS_PER_PARTITION_MAX`] at the most.
    pub fn expire(&mut self, expiry: Expiry) {
        let Expiry { now_wall_ms, expiration_ms } = expiry;
        let is_idle = |producer: &Producer| now_wall_ms.saturating_sub(producer.last().timestamp) >= expiration_ms;
        self.known.retain(|_, producer| producer.transaction().is_some() || !is_idle(producer));
        self.known.shrink_to(2 * self.known.len());
    }

    /// The producer's last batches below `offset`, newest first, and their epoch: some of them may have been pushed out in the
    /// open turn, by those above.
    fn below(&self, offset: i64, producer_id: i64, producer: &Producer) -> (i16, Vec<Batch>) {
        let mut epoch = producer.epoch();
        let mut batches: Vec<Batch> = producer.below(offset).collect();
        for (_, undo) in self.journal.iter().rev().filter(|(id, _)| *id == producer_id) {
            match undo {
                Undo::Pop(dropped) => {
                    batches.extend(Some(*dropped).filter(|batch| batch.exists() && batch.last_offset < offset));
                }
                Undo::Restore(before) if batches.is_empty() => {
                    epoch = before.epoch();
                    batches.extend(before.below(offset));
                }
                // Here the epoch begins, or the producer is new.
                Undo::Restore(_) | Undo::Forget => break,
            }
        }
        batches.truncate(REMEMBERED);
        (epoch, batches)
    }

    fn remember(&mut self, producer_id: i64, producer_epoch: i16, batch: Batch) {
        match self.known.entry(producer_id) {
            Entry::Occupied(mut known) => {
                known.get_mut().note(producer_epoch, batch);
            }
            Entry::Vacant(new) => {
                new.insert(Producer::new(producer_epoch, batch));
                self.enforce_limit();
            }
        }
    }

    fn enforce_limit(&mut self) {
        if self.known.len() <= PRODUCERS_PER_PARTITION_MAX {
            return;
        }
        let forgotten = self.known.len() - (PRODUCERS_PER_PARTITION_MAX - FORGOTTEN_AT_ONCE);
        let age =
            |producer: &Producer| if producer.transaction().is_some() { i64::MAX } else { producer.last().last_offset };
        let mut ages: Vec<i64> = self.known.values().map(age).collect();
        let (_, &mut last_forgotten, _) = ages.select_nth_unstable(forgotten - 1);
        self.known.retain(|_, producer| producer.transaction().is_some() || age(producer) > last_forgotten);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(producer_id: i64, last_offset: i64) -> ProducerEntry {
        ProducerEntry {
            producer_id,
            producer_epoch: 0,
            last_sequence: 0,
            last_offset,
            offset_delta: 0,
            timestamp: last_offset,
            coordinator_epoch: -1,
            transaction_first_offset: -1,
        }
    }

    fn batch(producer_id: i64) -> BatchHeader {
        let mut head = [0; ottla_records::HEADER_BYTES];
        head[8..12].copy_from_slice(&49i32.to_be_bytes());
        head[16] = 2;
        BatchHeader { producer_id, ..BatchHeader::parse(&head).unwrap() }
    }

    fn restored(entries: impl IntoIterator<Item = ProducerEntry>) -> Producers {
        let mut producers = Producers::new(Seed::new(1), 0);
        entries.into_iter().for_each(|entry| producers.restore(&entry));
        producers
    }

    fn known(producers: &Producers) -> Vec<i64> {
        producers.snapshot(i64::MAX).producers.iter().map(|entry| entry.producer_id).collect()
    }

    #[test]
    fn of_too_many_the_idlest_are_forgotten_at_the_commit() {
        let max = PRODUCERS_PER_PARTITION_MAX as i64;
        // The larger the id, the longer idle.
        let mut producers = restored((0..max).map(|id| entry(id, max - 1 - id)));
        assert_eq!(producers.known.len(), PRODUCERS_PER_PARTITION_MAX);

        producers.admit(&batch(max), max).unwrap();
        assert_eq!(producers.known.len(), PRODUCERS_PER_PARTITION_MAX + 1);
        producers.abandon();
        assert_eq!(known(&producers), Vec::from_iter(0..max));

        producers.admit(&batch(max), max).unwrap();
        producers.commit();
        let left = max - FORGOTTEN_AT_ONCE as i64;
        assert_eq!(known(&producers), Vec::from_iter((0..left - 1).chain([max])));
    }

    #[test]
    fn too_many_in_a_snapshot_or_a_log_are_no_more_than_the_limit() {
        let max = PRODUCERS_PER_PARTITION_MAX as i64;
        let mut producers = restored((0..=max).map(|id| entry(id, id)));
        let left = PRODUCERS_PER_PARTITION_MAX - FORGOTTEN_AT_ONCE;
        assert_eq!(known(&producers), Vec::from_iter(max + 1 - left as i64..=max));
        for id in 0..FORGOTTEN_AT_ONCE as i64 {
            producers.replay(&BatchHeader { base_offset: 1_000_000 + id, ..batch(id) });
        }
        assert_eq!(producers.known.len(), PRODUCERS_PER_PARTITION_MAX);
        producers.replay(&BatchHeader { base_offset: 2_000_000, ..batch(i64::MAX) });
        assert_eq!(producers.known.len(), left);
        assert!(producers.known.contains_key(&0));
    }

    #[test]
    fn of_too_many_those_with_open_transactions_stay() {
        let max = PRODUCERS_PER_PARTITION_MAX as i64;
        let open = |id| ProducerEntry { transaction_first_offset: id, ..entry(id, id) };
        let mut producers = restored((0..=max).map(|id| if id < 2 { open(id) } else { entry(id, id) }));
        assert_eq!((known(&producers)[..2].to_vec(), producers.first_unstable()), (vec![0, 1], Some(0)));
        assert_eq!(producers.known.len(), PRODUCERS_PER_PARTITION_MAX - FORGOTTEN_AT_ONCE);
        producers.expire(Expiry { now_wall_ms: i64::MAX, expiration_ms: 1 });
        assert_eq!(known(&producers), [0, 1]);
    }

    #[test]
    fn the_memory_of_expired_producers_is_given_back() {
        let mut producers = restored((0..10_000).map(|id| entry(id, id)));
        producers.expire(Expiry { now_wall_ms: 10_989, expiration_ms: 1_000 });
        assert_eq!(known(&producers), Vec::from_iter(9_990..10_000));
        assert!(producers.known.capacity() < 100);
    }

    #[test]
    fn an_entry_that_only_a_marker_made_has_no_batch_to_repeat() {
        let marked = ProducerEntry { producer_epoch: 3, last_sequence: -1, timestamp: 9, ..entry(7, -1) };
        let mut producers = restored([marked]);
        let of_epoch = |producer_epoch, base_sequence| BatchHeader { producer_epoch, base_sequence, ..batch(7) };
        assert_eq!(producers.admit(&of_epoch(3, 1), 5), Err(Refusal::OutOfOrderSequence));
        assert_eq!(producers.admit(&of_epoch(2, 0), 5), Err(Refusal::InvalidProducerEpoch));
        assert_eq!(producers.admit(&of_epoch(3, 0), 5), Ok(None));
        assert_eq!(producers.snapshot(5).producers, [marked]);
        producers.abandon();
        assert_eq!(producers.snapshot(5).producers, [marked]);
    }

    #[test]
    fn a_large_turn_leaves_no_large_journal() {
        let mut producers = restored([]);
        for id in 0..10_000 {
            producers.admit(&batch(id), id).unwrap();
        }
        producers.commit();
        assert!(producers.journal.capacity() <= JOURNAL_KEPT_ENTRIES_MAX);
    }
}
