//! Transactions that a log tells of: where committed records end, what was aborted, and what snapshots say.

use ottla_base::{AbortedTransaction, LeaderEpoch, Seed, TxnOutcome};
use ottla_partition::{
    Acks, Expiry, Leader, Marker, Opened, ProducerEntry, ProducerSnapshot, Recovery, Refusal, Rules,
};
use ottla_records::{Attributes, BatchHeader};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

const RULES: Rules = Rules { replicas: 1, min_insync_replicas: 1, flush_messages: 1 };

/// A batch as it lies in a log.
#[derive(Clone, Copy, Debug)]
struct Logged {
    header: BatchHeader,
    marker: Option<Marker>,
}

/// A log that somebody else has written.
#[derive(Clone, Debug, Default)]
struct Log(Vec<Logged>);

impl Log {
    fn end(&self) -> i64 {
        self.0.last().map_or(0, |last| last.header.next_offset())
    }

    fn header(&self, producer_id: i64, producer_epoch: i16, records: i32) -> BatchHeader {
        BatchHeader {
            base_offset: self.end(),
            batch_length: 49,
            leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: Attributes(0),
            last_offset_delta: records - 1,
            base_timestamp: 0,
            max_timestamp: 100 * self.end(),
            producer_id,
            producer_epoch,
            base_sequence: 0,
            record_count: records,
        }
    }

    fn plain(mut self, producer_id: i64, epoch: i16, records: i32) -> Log {
        let header = self.header(producer_id, epoch, records);
        self.0.push(Logged { header, marker: None });
        self
    }

    fn data(mut self, producer_id: i64, epoch: i16, records: i32) -> Log {
        let header = self.header(producer_id, epoch, records);
        let header = BatchHeader { attributes: header.attributes.with_transactional(), ..header };
        self.0.push(Logged { header, marker: None });
        self
    }

    fn marker(mut self, producer_id: i64, epoch: i16, outcome: TxnOutcome) -> Log {
        let header = BatchHeader { base_sequence: -1, ..self.header(producer_id, epoch, 1) };
        let attributes = header.attributes.with_transactional().with_control();
        let marker = Some(Marker { outcome, coordinator_epoch: 5 });
        self.0.push(Logged { header: BatchHeader { attributes, ..header }, marker });
        self
    }

    fn commit(self, producer_id: i64, epoch: i16) -> Log {
        self.marker(producer_id, epoch, TxnOutcome::Committed)
    }

    fn abort(self, producer_id: i64, epoch: i16) -> Log {
        self.marker(producer_id, epoch, TxnOutcome::Aborted)
    }

    /// Opens it where so much was flushed, which is what counts; and tells what was aborted.
    fn open(&self, snapshot: Option<&ProducerSnapshot>, flushed: i64) -> (Leader, Vec<AbortedTransaction>) {
        let opened = Opened { start: 0, end: self.end(), flushed };
        let mut recovery = Recovery::new(Seed::new(1), &[], snapshot, RULES.high_watermark(&opened));
        let replay = |logged: &Logged| recovery.replay(&logged.header, logged.marker.as_ref());
        let aborted = self.0.iter().filter_map(replay).collect();
        (Leader::new(LeaderEpoch(0), RULES, opened, recovery), aborted)
    }

    fn opened(&self) -> Leader {
        self.open(None, self.end()).0
    }
}

fn entry(producer_id: i64, producer_epoch: i16) -> ProducerEntry {
    ProducerEntry {
        producer_id,
        producer_epoch,
        last_sequence: -1,
        last_offset: -1,
        offset_delta: 0,
        timestamp: -1,
        coordinator_epoch: -1,
        transaction_first_offset: -1,
    }
}

#[test]
fn committed_records_end_where_the_first_open_transaction_begins() {
    let last_stable = |log: &Log| log.opened().marks().last_stable;
    let log = Log::default().plain(7, 0, 2);
    assert_eq!(last_stable(&log), 2);
    let log = log.data(1, 0, 3).plain(-1, -1, 1).data(2, 0, 1).data(1, 0, 1);
    assert_eq!(last_stable(&log), 2);
    let log = log.commit(1, 0);
    assert_eq!(last_stable(&log), 6, "of another producer");
    let log = log.data(1, 0, 1).abort(2, 0);
    assert_eq!(last_stable(&log), 9);
    let log = log.abort(1, 0);
    assert_eq!(last_stable(&log), 12);
    // A marker without a transaction.
    assert_eq!(last_stable(&log.abort(1, 0)), 13);
}

#[test]
fn a_marker_counts_when_the_high_watermark_has_passed_it() {
    let log = Log::default().data(1, 0, 2).commit(1, 0).data(2, 0, 2).abort(2, 0).plain(-1, -1, 1);
    let (mut leader, _) = log.open(None, 2);
    let mut stable = vec![leader.marks().last_stable];
    for flushed in 3..=7 {
        let _ = leader.flushed(flushed);
        stable.push(leader.marks().last_stable);
    }
    assert_eq!(stable, [0, 3, 3, 3, 6, 7]);
}

#[test]
fn what_is_aborted_is_told_with_how_far_all_is_decided() {
    let log = Log::default().data(1, 0, 2).data(2, 0, 1).abort(1, 0).commit(2, 0).abort(1, 0).data(1, 0, 1).abort(1, 1);
    let aborted = |producer_id, first_offset, last_offset, last_stable| AbortedTransaction {
        producer_id,
        first_offset,
        last_offset,
        last_stable,
    };
    assert_eq!(log.open(None, log.end()).1, [aborted(1, 0, 3, 2), aborted(1, 6, 7, 8)]);
}

/// The exact entries are those that Kafka 4.3.1 writes: with `transaction.version` 2 the marker's epoch is the next one.
#[test]
fn a_snapshot_says_what_kafkas_says() {
    let log = Log::default().plain(1, 0, 1).data(1, 0, 2).plain(7, 3, 1).data(2, 0, 1);
    let batch = |offset: i64, delta: i32| ProducerEntry {
        last_sequence: delta,
        last_offset: offset + i64::from(delta),
        offset_delta: delta,
        timestamp: 100 * offset,
        ..entry(1, 0)
    };
    // The last line of a producer has what there is to say of its transaction: Kafka would never end one of an earlier line.
    let open = ProducerEntry { transaction_first_offset: 1, ..batch(1, 1) };
    let other = ProducerEntry { producer_id: 2, transaction_first_offset: 4, ..batch(4, 0) };
    let plain = ProducerEntry { producer_id: 7, producer_epoch: 3, ..batch(3, 0) };
    assert_eq!(log.opened().producer_snapshot().producers, [batch(0, 0), open, other, plain]);

    let bumped = log.clone().abort(1, 1).opened().producer_snapshot().producers;
    assert_eq!(bumped, [ProducerEntry { timestamp: 500, coordinator_epoch: 5, ..entry(1, 1) }, other, plain]);

    let same_epoch = log.commit(1, 0).opened().producer_snapshot().producers;
    let ended = ProducerEntry { timestamp: 500, coordinator_epoch: 5, ..batch(1, 1) };
    assert_eq!(same_epoch, [batch(0, 0), ended, other, plain]);
}

/// Nobody writes such a snapshot; but who reads one must not wait for ever.
#[test]
fn of_two_transactions_of_a_producer_in_a_snapshot_the_last_one_counts() {
    let open =
        |last_offset, transaction_first_offset| ProducerEntry { last_offset, transaction_first_offset, ..entry(1, 0) };
    let snapshot = ProducerSnapshot { offset: 9, producers: vec![open(3, 2), open(8, 5)] };
    let opened = Opened { start: 0, end: 10, flushed: 10 };
    let mut recovery = Recovery::new(Seed::new(1), &[], Some(&snapshot), 10);
    let leader = |recovery| Leader::new(LeaderEpoch(0), RULES, opened, recovery).marks().last_stable;
    let header = BatchHeader { base_offset: 9, ..Log::default().header(1, 0, 1) };
    let header = BatchHeader { attributes: header.attributes.with_transactional().with_control(), ..header };
    let marker = Marker { outcome: TxnOutcome::Aborted, coordinator_epoch: 5 };
    let aborted = recovery.replay(&header, Some(&marker)).unwrap();
    assert_eq!((aborted.first_offset, aborted.last_stable), (5, 10));
    assert_eq!(leader(recovery), 10);
}

#[test]
fn a_producer_whose_transaction_is_open_is_not_forgotten() {
    let log = Log::default().data(1, 0, 1).plain(2, 0, 1);
    let mut leader = log.opened();
    leader.expire_producers(Expiry { now_wall_ms: i64::MAX, expiration_ms: 1 });
    let left: Vec<_> = leader.producer_snapshot().producers.iter().map(|entry| entry.producer_id).collect();
    assert_eq!((left, leader.marks().last_stable), (vec![1], 0));
}

#[test]
fn amid_a_transaction_its_producer_writes_nothing_else() {
    let log = Log::default().data(1, 0, 1).commit(1, 0).data(2, 0, 1);
    let mut leader = log.opened();
    let next = |producer_id| BatchHeader { base_sequence: 1, ..log.header(producer_id, 0, 1) };
    assert_eq!(leader.stage().admit(&next(2), Acks::Leader), Err(Refusal::InvalidTxnState));
    assert!(leader.stage().admit(&next(1), Acks::Leader).is_ok());
}

#[test]
fn a_start_above_the_first_offset_of_a_transaction_is_stable() {
    let log = Log::default().plain(-1, -1, 1).data(1, 0, 5).plain(-1, -1, 1);
    let mut leader = log.opened();
    assert_eq!(leader.marks().last_stable, 1);
    let _ = leader.start_moved(3);
    assert_eq!(leader.marks().last_stable, 3);
    let _ = leader.start_moved(7);
    assert_eq!(leader.marks().last_stable, 7);
}

/// What may come next in a log, of one of three producers.
#[derive(Clone, Copy, Debug)]
enum Next {
    Plain,
    Data,
    End { outcome: TxnOutcome, bumps: bool },
}

fn any_log() -> impl Strategy<Value = Log> {
    let outcome = prop_oneof![Just(TxnOutcome::Committed), Just(TxnOutcome::Aborted)];
    let next = prop_oneof![
        1 => Just(Next::Plain),
        3 => Just(Next::Data),
        2 => (outcome, any::<bool>()).prop_map(|(outcome, bumps)| Next::End { outcome, bumps }),
    ];
    vec((0..3i64, 1..4, next), 0..60).prop_map(|all| {
        let mut epochs = [0; 3];
        all.into_iter().fold(Log::default(), |log, (producer, records, next)| {
            let epoch = &mut epochs[producer as usize];
            match next {
                Next::Plain => log.plain(-1, -1, records),
                Next::Data => log.data(producer, *epoch, records),
                Next::End { outcome, bumps } => {
                    *epoch += i16::from(bumps);
                    log.marker(producer, *epoch, outcome)
                }
            }
        })
    })
}

/// Each transaction, found the long way: producer, first offset, and its marker.
fn transactions(log: &Log) -> Vec<(i64, i64, Option<Logged>)> {
    let mut all: Vec<(i64, i64, Option<Logged>)> = Vec::new();
    for logged in &log.0 {
        let id = logged.header.producer_id;
        let open = all.iter_mut().find(|(producer, _, marker)| *producer == id && marker.is_none());
        match (logged.header.attributes.is_transactional(), logged.marker, open) {
            (true, Some(_), Some((.., marker))) => *marker = Some(*logged),
            (true, None, None) => all.push((id, logged.header.base_offset, None)),
            _ => {}
        }
    }
    all
}

/// First offset of a transaction whose marker is not below `below`, among those that begin below.
fn first_undecided(all: &[(i64, i64, Option<Logged>)], below: i64) -> Option<i64> {
    let is_undecided = |marker: &Option<Logged>| marker.is_none_or(|marker| marker.header.base_offset >= below);
    let undecided = all.iter().filter(|(_, first, marker)| *first < below && is_undecided(marker));
    undecided.map(|(_, first, _)| *first).min()
}

proptest! {
    #[test]
    fn a_leader_knows_what_the_long_way_finds(log in any_log(), flushed in any::<Index>()) {
        let all = transactions(&log);
        let first = flushed.index(log.end() as usize + 1) as i64;
        let (mut leader, aborted) = log.open(None, first);
        for high_watermark in first..=log.end() {
            let _ = leader.flushed(high_watermark);
            let stable = first_undecided(&all, high_watermark).unwrap_or(high_watermark);
            prop_assert_eq!(leader.marks().last_stable, stable, "high watermark {}", high_watermark);
        }
        let mut expected: Vec<_> = all
            .iter()
            .filter_map(|(producer_id, first_offset, marker)| {
                let Logged { header, marker } = (*marker)?;
                let last_offset = header.base_offset;
                let last_stable = first_undecided(&all, last_offset + 1).unwrap_or(last_offset + 1);
                let aborted = AbortedTransaction {
                    producer_id: *producer_id, first_offset: *first_offset, last_offset, last_stable,
                };
                (marker?.outcome == TxnOutcome::Aborted).then_some(aborted)
            })
            .collect();
        expected.sort_by_key(|aborted| aborted.last_offset);
        prop_assert_eq!(aborted, expected);
    }

    #[test]
    fn a_snapshot_and_the_rest_of_the_log_tell_the_same(log in any_log(), at in any::<Index>()) {
        let below = Log(log.0[..at.index(log.0.len() + 1)].to_vec());
        let snapshot = below.opened().producer_snapshot();
        let (leader, aborted) = log.open(None, log.end());
        let (again, aborted_again) = log.open(Some(&snapshot), log.end());
        prop_assert_eq!(leader.marks(), again.marks());
        prop_assert_eq!(leader.producer_snapshot(), again.producer_snapshot());
        let later: Vec<_> = aborted.into_iter().filter(|one| one.last_offset >= below.end()).collect();
        prop_assert_eq!(later, aborted_again);
        // As Kafka reads it: the last line of a producer counts, but for transactions, of which each line does.
        let lines = snapshot.producers.iter().filter(|line| line.transaction_first_offset >= 0);
        let mut open: Vec<_> = lines.map(|line| (line.producer_id, line.transaction_first_offset)).collect();
        let mut expected: Vec<_> =
            transactions(&below).iter().filter(|(.., marker)| marker.is_none()).map(|one| (one.0, one.1)).collect();
        open.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(open, expected);
    }
}
