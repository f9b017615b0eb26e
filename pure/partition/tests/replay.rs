//! A partition that is opened again decides as if it had never been closed, and an abandoned turn has never been.

use ottla_base::{LeaderEpoch, Seed};
use ottla_partition::{Acks, Admitted, Leader, Opened, ProducerSnapshot, Recovery, Refusal, Rules, Staged};
use ottla_records::{Attributes, BatchHeader, next_sequence};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// What one of three producers sends.
#[derive(Clone, Copy, Debug)]
enum Intent {
    /// The batch that follows its last, of so many records.
    Next(i32),
    /// One of its last batches again.
    Again(usize),
    NextEpoch,
    /// Anything.
    Odd {
        epoch: i16,
        sequence: i32,
        records: i32,
    },
}

type Turn = Vec<(i64, Intent)>;

fn any_intent() -> impl Strategy<Value = (i64, Intent)> {
    let odd = (-1..3i16, prop_oneof![0..12, i32::MAX - 3..=i32::MAX], 1..3)
        .prop_map(|(epoch, sequence, records)| Intent::Odd { epoch, sequence, records });
    let intent = prop_oneof![
        12 => (1..4).prop_map(Intent::Next),
        3 => (0..7usize).prop_map(Intent::Again),
        1 => Just(Intent::NextEpoch),
        2 => odd,
    ];
    (0..3i64, intent)
}

/// Turns, and whether their write succeeds.
fn any_turns() -> impl Strategy<Value = Vec<(Turn, bool)>> {
    vec((vec(any_intent(), 1..16), prop::bool::weighted(0.8)), 1..30)
}

/// The batch that a producer means, after those in the log.
fn batch((producer_id, intent): (i64, Intent), log: &[BatchHeader]) -> BatchHeader {
    let mut sent = log.iter().rev().filter(|batch| batch.producer_id == producer_id);
    let last = sent.clone().next();
    let (epoch, due) = last.map_or((0, 0), |last| (last.producer_epoch, next_sequence(last.last_sequence(), 1)));
    let (producer_epoch, base_sequence, record_count) = match intent {
        Intent::Next(records) => (epoch, due, records),
        Intent::Again(back) => match sent.nth(back) {
            Some(sent) => (sent.producer_epoch, sent.base_sequence, sent.record_count),
            None => (epoch, due, 1),
        },
        Intent::NextEpoch => (epoch + 1, 0, 1),
        Intent::Odd { epoch, sequence, records } => (epoch, sequence, records),
    };
    BatchHeader {
        base_offset: 0,
        batch_length: 49,
        leader_epoch: 0,
        magic: 2,
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: record_count - 1,
        base_timestamp: 0,
        max_timestamp: log.len() as i64,
        producer_id,
        producer_epoch,
        base_sequence,
        record_count,
    }
}

fn open(log: &[BatchHeader], snapshot: Option<&ProducerSnapshot>) -> Leader {
    let mut recovery = Recovery::new(Seed::new(1), &[], snapshot, 0);
    log.iter().for_each(|batch| assert_eq!(recovery.replay(batch, None), None));
    let rules = Rules { replicas: 1, min_insync_replicas: 1, flush_messages: i64::MAX };
    let end = log.last().map_or(0, BatchHeader::next_offset);
    Leader::new(LeaderEpoch(0), rules, Opened { start: 0, end, flushed: end }, recovery)
}

/// Sends a turn's batches. Puts what is to be written into the log, and returns every batch with what was decided.
fn send(staged: &mut Staged<'_>, turn: &Turn, log: &mut Vec<BatchHeader>) -> Vec<(BatchHeader, Decision)> {
    let mut sent = Vec::new();
    for &intent in turn {
        let header = batch(intent, log);
        let decision = staged.admit(&header, Acks::Leader);
        if let Ok(Admitted::Append { base_offset }) = decision {
            log.push(BatchHeader { base_offset, ..header });
        }
        sent.push((header, decision));
    }
    sent
}

/// A leader after these turns, its log, and all that was ever sent.
fn live(turns: &[(Turn, bool)]) -> (Leader, Vec<BatchHeader>, Vec<BatchHeader>) {
    let mut leader = open(&[], None);
    let (mut log, mut all) = (Vec::new(), Vec::new());
    for (turn, written) in turns {
        let before = log.len();
        let mut staged = leader.stage();
        all.extend(send(&mut staged, turn, &mut log).into_iter().map(|(header, _)| header));
        if *written {
            let _ = staged.commit();
        } else {
            log.truncate(before);
        }
    }
    (leader, log, all)
}

type Decision = Result<Admitted, Refusal>;

/// What a leader would answer to one batch.
fn probe(leader: &mut Leader, batch: &BatchHeader) -> Decision {
    leader.stage().admit(batch, Acks::Leader)
}

proptest! {
    #[test]
    fn an_abandoned_turn_leaves_no_trace(turns in any_turns(), turn in vec(any_intent(), 1..40)) {
        let (mut leader, mut log, all) = live(&turns);
        let (mut untouched, ..) = live(&turns);
        send(&mut leader.stage(), &turn, &mut log);
        prop_assert_eq!(leader.marks(), untouched.marks());
        prop_assert_eq!(leader.producer_snapshot(), untouched.producer_snapshot());
        for batch in all.iter().chain(&log) {
            prop_assert_eq!(probe(&mut leader, batch), probe(&mut untouched, batch));
        }
    }

    #[test]
    fn the_whole_log_gives_back_the_state(turns in any_turns()) {
        let (mut leader, log, all) = live(&turns);
        let mut opened = open(&log, None);
        prop_assert_eq!(leader.producer_snapshot(), opened.producer_snapshot());
        for batch in &all {
            prop_assert_eq!(probe(&mut leader, batch), probe(&mut opened, batch));
        }
    }

    #[test]
    fn a_snapshot_and_the_rest_of_the_log_do_too(turns in any_turns(), at in any::<Index>()) {
        let (mut leader, log, all) = live(&turns);
        let snapshot = open(&log[..at.index(log.len() + 1)], None).producer_snapshot();
        let mut opened = open(&log, Some(&snapshot));
        prop_assert_eq!(leader.producer_snapshot(), opened.producer_snapshot());
        for batch in &all {
            prop_assert_eq!(probe(&mut leader, batch), probe(&mut opened, batch));
        }
    }

    #[test]
    fn a_snapshot_amid_a_turn_is_that_of_the_log_below(
        turns in any_turns(),
        turn in vec(any_intent(), 1..40),
        at in any::<Index>(),
    ) {
        let (mut leader, mut log, _) = live(&turns);
        let committed = log.len();
        let mut staged = leader.stage();
        send(&mut staged, &turn, &mut log);
        let below = open(&log[..committed + at.index(log.len() - committed + 1)], None);
        prop_assert_eq!(staged.producer_snapshot(below.marks().end), below.producer_snapshot());
    }
}
