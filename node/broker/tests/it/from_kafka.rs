//! Directories that Apache Kafka has written: formatted, killed, trimmed; and what is in the way of serving one.

use std::path::Path;
use std::sync::Arc;

use ottla_metadata::Record;
use ottla_metadata::image::KeptRecord;
use ottla_records::{Attributes, BatchBuilder, BatchHeader, BatchOptions, NewRecord};
use ottla_storage::disk::{Disk, read_file};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{ApiVersionsRequest, DescribeConfigsRequest, DescribeConfigsResource, MetadataRequest};
use ottla_wire::records::control::LeaderChangeMessage;
use ottla_wire::records::control::leader_change_message::Voter;
use ottla_wire::records::{
    AccessControlEntryRecord, BeginTransactionRecord, ControlRecord, FeatureLevelRecord, PartitionChangeRecord,
    RegisterBrokerRecord, RemoveAccessControlEntryRecord, TopicRecord,
};

use crate::support::*;

const META: &str = "meta.properties";
const BOOTSTRAP: &str = "bootstrap.checkpoint";
const FORMATTED: &str = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
const SNAPSHOT: &str = "__cluster_metadata-0/00000000000000000306-0000000001.checkpoint";
const LATER_SNAPSHOT: &str = "__cluster_metadata-0/00000000000000000308-0000000001.checkpoint";
const LOG: &str = "__cluster_metadata-0/00000000000000000000.log";
const TRIMMED_LOG: &str = "__cluster_metadata-0/00000000000000000306.log";
const QUORUM: &str = "__cluster_metadata-0/quorum-state";
const TOPICS: [&str; 3] = ["__consumer_offsets", "compacted", "plain"];

/// What Kafka has left of a file.
fn kafkas(path: &str) -> &'static [u8] {
    match path {
        META => include_bytes!("../testdata/kafka-4.3.1/meta.properties"),
        BOOTSTRAP => include_bytes!("../testdata/kafka-4.3.1/bootstrap.checkpoint"),
        FORMATTED => include_bytes!("../testdata/kafka-4.3.1/00000000000000000000-0000000000.checkpoint"),
        SNAPSHOT => include_bytes!("../testdata/kafka-4.3.1/00000000000000000306-0000000001.checkpoint"),
        LOG => include_bytes!("../testdata/kafka-4.3.1/00000000000000000000.log"),
        QUORUM => include_bytes!("../testdata/kafka-4.3.1/quorum-state"),
        other => panic!("there is no {other}"),
    }
}

/// The log from offset 306 on.
fn trimmed_log() -> &'static [u8] {
    let mut rest = kafkas(LOG);
    loop {
        let header = BatchHeader::parse(rest).unwrap();
        if header.base_offset == 306 {
            return rest;
        }
        rest = &rest[header.size_bytes()..];
    }
}

/// A machine with a directory of these files.
fn machine(files: &[(&str, &[u8])]) -> Machine {
    let machine = Machine::new();
    for dir in [DATA, "/data/__cluster_metadata-0"] {
        machine.disk.create_dir(Path::new(dir)).unwrap();
    }
    files.iter().for_each(|(path, bytes)| machine.write(path, bytes));
    machine
}

fn killed() -> Vec<(&'static str, Vec<u8>)> {
    [META, BOOTSTRAP, FORMATTED, SNAPSHOT, QUORUM, LOG].map(|path| (path, kafkas(path).to_vec())).into()
}

fn files<'f>(files: &'f [(&'static str, Vec<u8>)]) -> Vec<(&'f str, &'f [u8])> {
    files.iter().map(|(path, bytes)| (*path, &**bytes)).collect()
}

/// The killed directory with more records at the end of its log.
fn killed_and(records: &[Record]) -> Machine {
    let mut batch = BatchBuilder::new(BatchOptions { base_offset: 310, leader_epoch: 1, ..BatchOptions::default() });
    for record in records {
        let mut value = Vec::new();
        record.encode(&mut value);
        batch.push(&NewRecord { value: Some(&value), ..NewRecord::default() });
    }
    let mut all = killed();
    all.last_mut().unwrap().1.extend(batch.finish());
    machine(&files(&all))
}

/// It is refused with these words, and stays as it is.
fn check_refused(machine: &Machine, words: &[&str]) {
    machine.world.block_on(async {
        let before = machine.files();
        let refusal = machine.refusal().await;
        assert!(words.iter().all(|word| refusal.contains(word)), "{refusal}");
        assert!(machine.files() == before, "it was changed");
    });
}

/// It has Kafka's topics and configs, and keeps them and others through a stop and a crash.
fn check_served(machine: &Machine) {
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        check_contents(&mut broker.client).await;
        assert_eq!(broker.client.create("a", &[]).await, ErrorCode::None);
        assert_eq!(broker.client.produce("plain", 1000).await, ErrorCode::None);
        assert!(machine.stop(broker).await.is_ok());
        let mut broker = machine.start().await;
        assert_eq!(broker.client.create("a", &[]).await, ErrorCode::TopicAlreadyExists);
        machine.crash(broker).await;
        let mut broker = machine.start().await;
        check_contents(&mut broker.client).await;
    });
}

async fn check_contents(client: &mut Client) {
    let request = MetadataRequest { topics: None, allow_auto_topic_creation: false, ..Default::default() };
    let mut topics = client.call(&request, 12).await.topics;
    topics.retain(|topic| topic.name.as_deref() != Some("a"));
    let names: Vec<_> = topics.iter().map(|topic| topic.name.as_deref().unwrap()).collect();
    assert_eq!(names, TOPICS);
    let plain = &topics[2];
    assert_eq!((plain.topic_id.to_string().as_str(), plain.partitions.len()), ("22CmaR9NRySqCOLi3zlY0A", 3));
    for (kind, name, key, value) in [
        (2, "plain", "retention.ms", "86400000"),
        (2, "compacted", "cleanup.policy", "compact"),
        (4, "1", "log.cleaner.io.buffer.size", "600000"),
        (32, "g2", "consumer.session.timeout.ms", "50000"),
    ] {
        let resource = DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configuration_keys: Some(vec![key.into()]),
            ..Default::default()
        };
        let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
        let described = client.call(&request, 4).await.results.remove(0);
        assert_eq!(described.configs[0].value.as_deref(), Some(value), "{described:?}");
    }
    let request = ApiVersionsRequest {
        client_software_name: "a".into(),
        client_software_version: "1".into(),
        ..Default::default()
    };
    let levels = client.call(&request, 4).await.finalized_features;
    let levels: Vec<_> = levels.iter().map(|level| &*level.name).collect();
    assert_eq!(levels, ["eligible.leader.replicas.version", "group.version", "metadata.version"]);
}

#[test]
fn a_directory_that_was_killed_is_served() {
    check_served(&machine(&files(&killed())));
}

/// Wherever the process dies, the next start takes it over.
#[test]
fn a_takeover_may_end_anywhere() {
    let mut all = killed();
    *all.last_mut().unwrap() = (TRIMMED_LOG, trimmed_log().to_vec());
    for operation in 1..140 {
        let machine = machine(&files(&all));
        machine.world.block_on(async {
            machine.disk.stop_at(machine.disk.operations() + operation);
            if let Ok(broker) = machine.start_on(Arc::new(machine.disk.clone())).await {
                machine.crash(broker).await;
            }
            machine.disk.kill();
            let mut broker = machine.start().await;
            check_contents(&mut broker.client).await;
            machine.crash(broker).await;
        });
    }
}

/// An epoch is not led twice, though the file that says which was the last is lost.
#[test]
fn the_log_tells_its_last_epoch_too() {
    let mut all = killed();
    all.retain(|(path, _)| *path != QUORUM);
    let machine = machine(&files(&all));
    machine.world.block_on(async { machine.crash(machine.start().await).await });
    let state = String::from_utf8(machine.read(QUORUM)).unwrap();
    assert!(state.contains("\"leaderEpoch\":2"), "{state}");
}

#[test]
fn a_log_that_begins_behind_a_snapshot_is_served() {
    let mut all = killed();
    *all.last_mut().unwrap() = (TRIMMED_LOG, trimmed_log().to_vec());
    check_served(&machine(&files(&all)));
    // What a crash has left of a later snapshot, and of one that was to go.
    all.push(("__cluster_metadata-0/00000000000000000308-0000000001-77.checkpoint.part", b"x".to_vec()));
    all.push(("__cluster_metadata-0/00000000000000000030-0000000001.checkpoint.deleted", b"x".to_vec()));
    let machine = machine(&files(&all));
    check_served(&machine);
    let left = machine.list("__cluster_metadata-0");
    assert!(!left.iter().any(|name| name.ends_with(".part") || name.ends_with("checkpoint.deleted")), "{left:?}");
}

#[test]
fn a_snapshot_that_is_not_whole_is_passed_over() {
    let mut all = killed();
    *all.last_mut().unwrap() = (TRIMMED_LOG, trimmed_log().to_vec());
    let whole = kafkas(SNAPSHOT);
    let mut flipped = whole.to_vec();
    flipped[1000] ^= 1;
    for damaged in [flipped, whole[..whole.len() - 75].to_vec(), Vec::new()] {
        let mut with_later = all.clone();
        with_later.push((LATER_SNAPSHOT, damaged.clone()));
        check_served(&machine(&files(&with_later)));
        // There is no older one that the log reaches back to.
        let mut with_none = all.clone();
        with_none.iter_mut().find(|(path, _)| *path == SNAPSHOT).unwrap().1 = damaged;
        check_refused(&machine(&files(&with_none)), &["begins at offset 306", "no snapshot", "Nothing was changed"]);
    }
}

#[test]
fn a_log_that_ends_before_a_snapshot_is_refused() {
    let mut all = killed();
    all.last_mut().unwrap().1.truncate(10_000);
    check_refused(&machine(&files(&all)), &[LOG, "306", "Nothing was changed"]);
    all.pop();
    check_refused(&machine(&files(&all)), &[LOG, "no records", SNAPSHOT]);
}

/// Formatted, and never started.
fn formatted(with_voters: With) -> Machine {
    let mut paths = vec![META, BOOTSTRAP];
    paths.extend((with_voters == With::Voters).then_some(FORMATTED));
    let all: Vec<_> = paths.into_iter().map(|path| (path, kafkas(path))).collect();
    machine(&all)
}

#[derive(Clone, Copy, PartialEq)]
enum With {
    Voters,
    Nothing,
}

fn check_begun(machine: &Machine, with_voters: With) {
    let log = machine.read(LOG);
    let has = |part: &[u8]| log.windows(part.len()).any(|window| window == part);
    assert_eq!(has(b"CONTROLLER\x0a127.0.0.1"), with_voters == With::Voters, "the voters");
    for feature in ["metadata.version", "group.version", "share.version", "streams.version", "transaction.version"] {
        assert!(has(feature.as_bytes()), "{feature}");
    }
}

#[test]
fn a_directory_that_was_formatted_is_begun() {
    for with_voters in [With::Voters, With::Nothing] {
        let machine = formatted(with_voters);
        machine.world.block_on(async {
            let mut broker = machine.start().await;
            assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
            assert!(machine.stop(broker).await.is_ok());
            assert_eq!(machine.start().await.client.topics().await, ["t"]);
            assert_eq!(machine.read(META), kafkas(META));
        });
        check_begun(&machine, with_voters);
    }
}

#[test]
fn a_first_start_after_format_may_end_anywhere() {
    for operation in 1..100 {
        let machine = formatted(With::Voters);
        machine.world.block_on(async {
            machine.disk.stop_at(machine.disk.operations() + operation);
            if let Ok(broker) = machine.start_on(Arc::new(machine.disk.clone())).await {
                machine.crash(broker).await;
            }
            machine.disk.kill();
            let mut broker = machine.start().await;
            assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
            machine.crash(broker).await;
        });
        check_begun(&machine, With::Voters);
    }
}

#[test]
fn what_format_has_put_aside_must_be_whole_and_fit() {
    let spoilt = |bytes: &[u8]| machine(&[(META, kafkas(META)), (BOOTSTRAP, bytes)]);
    check_refused(&spoilt(&kafkas(BOOTSTRAP)[..300]), &[BOOTSTRAP, "damaged"]);
    check_refused(&machine(&[(BOOTSTRAP, kafkas(BOOTSTRAP))]), &[META, BOOTSTRAP]);
    let mut bytes = kafkas(BOOTSTRAP).to_vec();
    let level = bytes.windows(16).position(|window| window == b"metadata.version").unwrap() + 17;
    bytes[level] = 29;
    let batch = 12 + u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize;
    let size = BatchHeader::parse(&bytes[batch..]).unwrap().size_bytes();
    let crc = ottla_records::crc_of(&bytes[batch..batch + size]);
    bytes[batch + 17..batch + 21].copy_from_slice(&crc.to_be_bytes());
    check_refused(&spoilt(&bytes), &[BOOTSTRAP, "level 29 of feature metadata.version"]);
}

#[test]
fn a_promise_of_protection_is_not_broken() {
    let id = ottla_base::Uuid([7; 16]);
    let acl = Record::Kept(KeptRecord::Acl(AccessControlEntryRecord {
        id,
        resource_type: 2,
        resource_name: "plain".into(),
        pattern_type: 3,
        principal: "User:alice".into(),
        host: "*".into(),
        operation: 3,
        permission_type: 3,
        ..Default::default()
    }));
    let words = ["1 ACLs", "User:alice ALLOW READ on topic plain from host *", "kafka-acls.sh", "Nothing was changed"];
    check_refused(&killed_and(std::slice::from_ref(&acl)), &words);
    let removal = RemoveAccessControlEntryRecord { id, ..Default::default() };
    check_served(&killed_and(&[acl, Record::Kept(KeptRecord::RemoveAcl(removal))]));
}

#[test]
fn clusters_of_other_nodes_are_not_taken_over() {
    let broker = RegisterBrokerRecord { broker_id: 2, ..Default::default() };
    check_refused(&killed_and(&[Record::RegisterBroker(broker)]), &["broker", "2 is registered", "unregister"]);
    let name = "metadata.version".into();
    let level = FeatureLevelRecord { name, feature_level: 29, ..Default::default() };
    check_refused(&killed_and(&[Record::FeatureLevel(level)]), &["level 29 of feature metadata.version"]);

    let voter = |voter_id| Voter { voter_id, ..Default::default() };
    let change = ControlRecord::LeaderChange(LeaderChangeMessage {
        leader_id: 1,
        voters: vec![voter(1), voter(2)],
        ..Default::default()
    });
    let attributes = Attributes::default().with_control();
    let options = BatchOptions { base_offset: 0, leader_epoch: 1, attributes, ..BatchOptions::default() };
    let mut batch = BatchBuilder::new(options);
    let (key, value) = (change.encode_key(), change.encode_value());
    batch.push(&NewRecord { key: Some(&key), value: Some(&value), ..NewRecord::default() });
    let files: [(&str, &[u8]); 3] = [(META, kafkas(META)), (LOG, &batch.finish()), (QUORUM, kafkas(QUORUM))];
    check_refused(&machine(&files), &["controllers are [1, 2]", "Nothing was changed"]);
}

/// Kafka with several directories makes a topic before it says in which of them: it may be killed in between.
#[test]
fn a_replica_that_is_not_assigned_is_found_where_it_is() {
    let topic_id = "22CmaR9NRySqCOLi3zlY0A".parse().unwrap();
    let unassigned = Some(vec![ottla_base::Uuid::ZERO]);
    let change = PartitionChangeRecord { topic_id, partition_id: 0, directories: unassigned, ..Default::default() };
    let settings = [("listeners", "PLAINTEXT://127.0.0.1:9092"), ("log.dirs", "/data,/b")];
    let machine = killed_and(&[Record::PartitionChange(change.clone())]);
    let mut batch = BatchBuilder::new(BatchOptions::default());
    batch.push(&NewRecord { value: Some(b"v"), ..NewRecord::default() });
    for dir in ["/b", "/b/plain-0"] {
        machine.disk.create_dir(Path::new(dir)).unwrap();
    }
    let meta = String::from_utf8(kafkas(META).to_vec()).unwrap();
    let meta = meta.replace("DG9Hj4YKTXe1LwNU-Uvi2Q", "DG9Hj4YKTXe1LwNU-Uvi2w");
    machine.write("/b/meta.properties", meta.as_bytes());
    machine.write("/b/plain-0/partition.metadata", b"version: 0\ntopic_id: 22CmaR9NRySqCOLi3zlY0A");
    machine.write("/b/plain-0/00000000000000000000.log", &batch.finish());
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(&settings).await;
        assert_eq!(broker.client.range("plain").await, (0, 1));
        assert_eq!(broker.client.produce("plain", 1000).await, ErrorCode::None);
        machine.crash(broker).await;
        let mut broker = machine.start_set_up(&settings).await;
        assert_eq!(broker.client.range("plain").await, (0, 2));
        machine.crash(broker).await;
    });
    // Nowhere yet: it goes where the fewest are.
    let machine = killed_and(&[Record::PartitionChange(change)]);
    machine.disk.create_dir(Path::new("/b")).unwrap();
    machine.write("/b/meta.properties", meta.as_bytes());
    machine.world.block_on(async {
        machine.crash(machine.start_set_up(&settings).await).await;
        assert_eq!(machine.list("/b").iter().filter(|name| name.contains("plain")).count(), 1);
    });
}

/// Kafka writes down how far a log is compacted only after it has put the compacted segments in place; and they need not begin
/// where the ones before them end.
#[test]
fn what_kafka_was_compacting_when_it_was_killed_is_all_there() {
    for dirs in ["/data", "/data,/b"] {
        let settings = [("listeners", "PLAINTEXT://127.0.0.1:9092"), ("log.dirs", dirs)];
        let machine = Machine::new();
        machine.world.block_on(async {
            let mut broker = machine.start_set_up(&settings).await;
            // The last one is in the last directory.
            for topic in ["s", "t"] {
                assert_eq!(broker.client.create(topic, &[("segment.ms", "10")]).await, ErrorCode::None);
            }
            for n in 0..4 {
                let timestamp = 1_767_225_600_000 + 1000 * n;
                let record = NewRecord { timestamp, value: Some(b"v"), ..NewRecord::default() };
                assert_eq!(broker.client.send("t", &record, 1000).await, ErrorCode::None);
            }
            machine.crash(broker).await;
            let home = Path::new(dirs.rsplit(',').next().unwrap());
            // Of the other one nothing is known: Kafka does not write there if only the metadata log is in it.
            for file in ["t-0/00000000000000000001.log", "recovery-point-offset-checkpoint"] {
                machine.disk.remove_file(&home.join(file)).unwrap();
            }
            // Not the next start either takes what is missing for lost.
            for _ in 0..3 {
                let mut broker = machine.start_set_up(&settings).await;
                assert_eq!(broker.client.range("t").await, (0, 4));
                machine.crash(broker).await;
            }
            let checkpoint = read_file(&machine.disk, &home.join("cleaner-offset-checkpoint"));
            assert!(checkpoint.is_err(), "nothing was compacted by this one");
        });
    }
}

#[test]
fn a_reassignment_must_have_come_to_its_end() {
    let topic_id = "22CmaR9NRySqCOLi3zlY0A".parse().unwrap();
    let change = PartitionChangeRecord { topic_id, partition_id: 1, ..Default::default() };
    let begin = PartitionChangeRecord { adding_replicas: Some(vec![2]), ..change.clone() };
    let end = PartitionChangeRecord { adding_replicas: Some(vec![]), ..change };
    let (begin, end) = (Record::PartitionChange(begin), Record::PartitionChange(end));
    let words =
        ["partition 1 of topic plain is being reassigned", "kafka-reassign-partitions.sh", "Nothing was changed"];
    check_refused(&killed_and(std::slice::from_ref(&begin)), &words);
    check_served(&killed_and(&[begin, end]));
}

#[test]
fn a_transaction_that_was_not_ended_is_aborted() {
    let topic = TopicRecord { name: "half".into(), topic_id: ottla_base::Uuid([5; 16]), ..Default::default() };
    let machine = killed_and(&[Record::BeginTransaction(BeginTransactionRecord::default()), Record::Topic(topic)]);
    check_served(&machine);
}
