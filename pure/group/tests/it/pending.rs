//! Offsets that transactions of another broker have committed, or were about to.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::{Now, TxnOutcome, Uuid};
use ottla_group::{Command, Config, DeletedTopic, Groups, OffsetFetch, Record, Reply, Soft};
use ottla_machine::{At, Load, Output, Shard, Waiter};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    DeleteGroupsRequest, ListGroupsRequest, OffsetDeleteRequest, OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponsePartitions,
};
use ottla_wire::records::consumer_offsets::{GroupMetadataKey, OffsetCommitKey, OffsetCommitValue};
use proptest::collection::vec;
use proptest::prelude::*;

const TOPICS: [&str; 2] = ["t", "u"];
const GROUPS: [&str; 2] = ["g", "h"];

type Place = (usize, usize, i32);

/// What stands in the log.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Commit(Place),
    Pending(i64, Place),
    Tombstone(Place),
    Marker(i64, TxnOutcome),
    /// Of the group's own record.
    GroupTombstone(usize),
}

fn key((group, topic, partition): Place) -> OffsetCommitKey {
    OffsetCommitKey { group: GROUPS[group].into(), topic: TOPICS[topic].into(), partition }
}

/// Commits its own offset in the log.
fn commit(at: i64, place: Place) -> Record {
    Record::OffsetCommit(
        key(place),
        Some(OffsetCommitValue { offset: at, commit_timestamp: 1000, ..Default::default() }),
    )
}

fn load(log: &[Entry]) -> Shard<Groups> {
    load_with(log, Soft::new(Config::default()))
}

fn load_with(log: &[Entry], soft: Soft) -> Shard<Groups> {
    let mut load = Load::<Groups>::default();
    for (offset, entry) in (0..).zip(log) {
        let at = At { offset };
        match *entry {
            Entry::Commit(place) => load.replay(at, &commit(offset, place)),
            Entry::Pending(producer_id, place) => load.replay_pending(at, producer_id, &commit(offset, place)),
            Entry::Tombstone(place) => load.replay(at, &Record::OffsetCommit(key(place), None)),
            Entry::Marker(producer_id, outcome) => load.replay_marker(at, producer_id, outcome),
            Entry::GroupTombstone(group) => {
                load.replay(at, &Record::GroupMetadata(GroupMetadataKey { group: GROUPS[group].into() }, None));
            }
        }
    }
    load.start(log.len() as i64, soft, Now { mono_ms: 0, wall_ms: 2000 }).0
}

/// What a command writes and answers.
fn ask(shard: &mut Shard<Groups>, command: Command) -> (Vec<Record>, Reply) {
    let batch = shard.submit(Now { mono_ms: 1, wall_ms: 2001 }, Waiter(1), command);
    let outputs = shard.high_watermark(batch.base_offset + batch.records.len() as i64);
    let [Output::Reply(_, reply)] = &outputs[..] else { panic!("{outputs:?}") };
    (batch.records, reply.clone())
}

fn fetched(shard: &mut Shard<Groups>, fetch: OffsetFetch) -> Vec<(String, OffsetFetchResponsePartitions)> {
    let (_, Reply::OffsetFetch(reply)) = ask(shard, Command::OffsetFetch(fetch)) else { panic!("a fetch is answered") };
    let topics = reply.topics.into_iter();
    topics.flat_map(|topic| topic.partitions.into_iter().map(move |one| (topic.name.to_string(), one))).collect()
}

/// The committed offset, or `None` if it is unstable.
fn offset(shard: &mut Shard<Groups>, (group, topic, partition): Place, require_stable: bool) -> Option<i64> {
    let topic = OffsetFetchRequestTopics {
        name: TOPICS[topic].into(),
        partition_indexes: vec![partition],
        ..Default::default()
    };
    let group =
        OffsetFetchRequestGroup { group_id: GROUPS[group].into(), topics: Some(vec![topic]), ..Default::default() };
    let (_, one) = fetched(shard, OffsetFetch { group, require_stable }).remove(0);
    match ErrorCode::from_code(one.error_code).unwrap() {
        ErrorCode::None => Some(one.committed_offset),
        ErrorCode::UnstableOffsetCommit => {
            assert_eq!((one.committed_offset, one.committed_leader_epoch), (-1, -1));
            assert_eq!(one.metadata.as_deref(), Some(""));
            None
        }
        other => panic!("{other:?}"),
    }
}

fn listed(shard: &mut Shard<Groups>) -> Vec<String> {
    let (_, Reply::ListGroups(reply)) = ask(shard, Command::ListGroups(ListGroupsRequest::default())) else {
        panic!("a list is answered")
    };
    reply.groups.iter().map(|group| group.group_id.to_string()).collect()
}

const A: Place = (0, 0, 0);
const B: Place = (0, 0, 1);
const C: Place = (0, 1, 0);

#[test]
fn who_asks_for_stable_offsets_waits_for_the_transaction() {
    let mut log = vec![Entry::Commit(A), Entry::Pending(7, A), Entry::Pending(7, B)];
    let shard = &mut load(&log);
    assert_eq!([A, B, C].map(|place| offset(shard, place, false)), [Some(0), Some(-1), Some(-1)]);
    assert_eq!([A, B, C].map(|place| offset(shard, place, true)), [None, None, Some(-1)]);
    // Of all that is committed, B is nothing yet.
    let group = OffsetFetchRequestGroup { group_id: GROUPS[0].into(), topics: None, ..Default::default() };
    let all = fetched(shard, OffsetFetch { group, require_stable: true });
    let all: Vec<_> = all.iter().map(|(topic, one)| (topic.as_str(), one.partition_index, one.error_code)).collect();
    assert_eq!(all, [("t", 0, ErrorCode::UnstableOffsetCommit.code())]);

    log.push(Entry::Marker(7, TxnOutcome::Committed));
    let shard = &mut load(&log);
    assert_eq!([A, B].map(|place| offset(shard, place, true)), [Some(1), Some(2)]);
    log[3] = Entry::Marker(7, TxnOutcome::Aborted);
    let shard = &mut load(&log);
    assert_eq!([A, B].map(|place| offset(shard, place, true)), [Some(0), Some(-1)]);
}

#[test]
fn the_record_that_was_written_last_counts() {
    let committed = |producer| Entry::Marker(producer, TxnOutcome::Committed);
    let check = |log: &[Entry], expected| assert_eq!(offset(&mut load(log), A, true), expected, "{log:?}");
    check(&[Entry::Pending(7, A), Entry::Commit(A), committed(7)], Some(1));
    check(&[Entry::Pending(7, A), Entry::Commit(A), Entry::Pending(7, A), committed(7)], Some(2));
    check(&[Entry::Pending(7, A), Entry::Pending(8, A), committed(8), committed(7)], Some(1));
    check(&[Entry::Pending(7, A), Entry::Pending(8, A), committed(7), committed(8)], Some(1));
    check(&[Entry::Pending(7, A), Entry::Pending(8, A), committed(8)], None);
    check(&[Entry::Commit(A), Entry::Pending(7, A), Entry::Tombstone(A), committed(7)], Some(-1));
}

#[test]
fn deletions_take_pending_offsets_along() {
    let log = [Entry::Commit(A), Entry::Pending(7, A), Entry::Pending(7, B), Entry::Pending(8, C)];
    let tombstones =
        |places: &[Place]| -> Vec<_> { places.iter().map(|place| Record::OffsetCommit(key(*place), None)).collect() };
    let shard = &mut load(&log);
    let partitions = [0, 1, 2].map(|partition_index| OffsetDeleteRequestPartition { partition_index });
    let topics = vec![OffsetDeleteRequestTopic { name: "t".into(), partitions: partitions.into() }];
    let (records, _) = ask(shard, Command::OffsetDelete(OffsetDeleteRequest { group_id: "g".into(), topics }));
    assert_eq!(records, tombstones(&[A, B]));
    assert_eq!([A, B, C].map(|place| offset(shard, place, true)), [Some(-1), Some(-1), None]);

    let shard = &mut load(&log);
    let (records, _) =
        ask(shard, Command::DeleteGroups(DeleteGroupsRequest { groups_names: vec!["g".into()], ..Default::default() }));
    assert_eq!(records[..3], tombstones(&[A, B, C]));
    assert_eq!([A, B, C].map(|place| offset(shard, place, true)), [Some(-1); 3]);

    let shard = &mut load(&log);
    let topics = vec![DeletedTopic { name: "t".into(), id: Uuid([1; 16]) }];
    let (records, _) = ask(shard, Command::TopicsDeleted(topics));
    let gone = [A, B].map(|place| offset(shard, place, true));
    assert_eq!((gone, offset(shard, C, true)), ([Some(-1); 2], None));
    assert!(records.iter().all(|record| tombstones(&[A, B]).contains(record)), "{records:?}");
}

#[test]
fn what_a_transaction_may_change_does_not_expire() {
    let config = Config { offsets_retention_ms: 10, offsets_retention_check_interval_ms: 5, ..Config::default() };
    let expired = |log: &[Entry]| {
        let mut shard = load_with(log, Soft::new(config));
        let mut records = Vec::new();
        while let Some(deadline) = shard.deadline().filter(|deadline| *deadline <= 100) {
            records.extend(shard.tick(Now { mono_ms: deadline, wall_ms: 5000 }).records);
        }
        records
    };
    let group = |record: &Record| matches!(record, Record::GroupMetadata(_, None));
    let offset = |place| Record::OffsetCommit(key(place), None);
    assert_eq!(expired(&[Entry::Commit(A), Entry::Pending(7, A), Entry::Commit(B)]), [offset(B)]);
    // The transaction is about another partition of the group, and the group stays for it.
    assert_eq!(expired(&[Entry::Commit(A), Entry::Pending(7, B)]), [offset(A)]);
    assert_eq!(expired(&[Entry::Pending(7, B)]), []);
    let aborted = Entry::Marker(7, TxnOutcome::Aborted);
    assert!(matches!(&expired(&[Entry::Pending(7, B), aborted])[..], [record] if group(record)));
}

/// Kafka's own rule: an offset is replaced by one of a later record only.
#[derive(Default)]
struct Model {
    /// A group is made by any commit, and by no end of a transaction.
    groups: BTreeSet<usize>,
    committed: BTreeMap<Place, i64>,
    pending: BTreeMap<i64, BTreeMap<Place, i64>>,
}

impl Model {
    fn of(log: &[Entry]) -> Model {
        let mut model = Model::default();
        for (offset, entry) in (0..).zip(log) {
            match *entry {
                Entry::Commit(place) => {
                    model.groups.insert(place.0);
                    model.committed.insert(place, offset);
                }
                Entry::Pending(producer, place) => {
                    model.groups.insert(place.0);
                    model.pending.entry(producer).or_default().insert(place, offset);
                }
                Entry::Tombstone(place) => {
                    model.committed.remove(&place);
                    for places in model.pending.values_mut() {
                        places.remove(&place);
                    }
                }
                Entry::GroupTombstone(group) => {
                    model.groups.remove(&group);
                }
                Entry::Marker(producer, outcome) => {
                    let pending = model.pending.remove(&producer).unwrap_or_default();
                    for (place, offset) in pending.into_iter().filter(|_| outcome == TxnOutcome::Committed) {
                        let committed = model.committed.entry(place).or_insert(offset);
                        *committed = offset.max(*committed);
                    }
                }
            }
        }
        model
    }
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let place = || (0..2usize, 0..2usize, 0..2i32);
    let outcome = prop_oneof![Just(TxnOutcome::Committed), Just(TxnOutcome::Aborted)];
    prop_oneof![
        3 => place().prop_map(Entry::Commit),
        6 => (0..3i64, place()).prop_map(|(producer, place)| Entry::Pending(producer, place)),
        1 => place().prop_map(Entry::Tombstone),
        1 => (0..2usize).prop_map(Entry::GroupTombstone),
        2 => (0..3i64, outcome).prop_map(|(producer, outcome)| Entry::Marker(producer, outcome)),
    ]
}

proptest! {
    #[test]
    fn offsets_are_those_of_kafka(log in vec(any_entry(), 0..60)) {
        let model = Model::of(&log);
        let mut shard = load(&log);
        prop_assert_eq!(listed(&mut shard), model.groups.iter().map(|&group| GROUPS[group]).collect::<Vec<_>>());
        for place in (0..2).flat_map(|group| (0..4usize).map(move |i| (group, i / 2, i as i32 % 2))) {
            let committed = model.committed.get(&place).copied().unwrap_or(-1);
            prop_assert_eq!(offset(&mut shard, place, false), Some(committed));
            let is_pending = model.pending.values().any(|places| places.contains_key(&place));
            prop_assert_eq!(offset(&mut shard, place, true), (!is_pending).then_some(committed));
        }
    }
}
