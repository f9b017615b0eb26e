//! Several log directories: where replicas go, and directories that fail or are not there.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use ottla_records::NewRecord;
use ottla_storage::disk::{Disk, Operation, read_file};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest, DeleteRecordsPartition,
    DeleteRecordsRequest, DeleteRecordsTopic, DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResult,
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic, MetadataRequest, MetadataRequestTopic,
};

use crate::support::*;

pub const BROKER: i8 = 4;
pub const EARLIEST: i64 = -2;
pub const LATEST: i64 = -1;
pub const TWO: &[(&str, &str)] = &[("listeners", "PLAINTEXT://127.0.0.1:9092"), ("log.dirs", "/data,/b")];
pub const ONE: &[(&str, &str)] = &[("listeners", "PLAINTEXT://127.0.0.1:9092"), ("log.dirs", "/data")];

pub async fn offset(client: &mut Client, topic: &str, timestamp: i64) -> (ErrorCode, i64) {
    let partition = ListOffsetsPartition { timestamp, current_leader_epoch: -1, ..Default::default() };
    let topic = ListOffsetsTopic { name: topic.into(), partitions: vec![partition], ..Default::default() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    let answer = &client.call(&request, 6).await.topics[0].partitions[0];
    (code(answer.error_code), answer.offset)
}

/// What DescribeLogDirs says of the directories, in order.
pub async fn described(client: &mut Client) -> Vec<DescribeLogDirsResult> {
    client.call(&DescribeLogDirsRequest { topics: None, ..Default::default() }, 5).await.results
}

/// The topics with a replica in each of the directories; those of a copy in the making with a `+`.
pub async fn homes(client: &mut Client) -> Vec<String> {
    let topics = |result: &DescribeLogDirsResult| {
        let topics = result.topics.iter().flat_map(|topic| {
            let name = |partition: &DescribeLogDirsPartition| {
                if partition.is_future_key { format!("+{}", topic.name) } else { topic.name.to_string() }
            };
            topic.partitions.iter().map(name).collect::<Vec<_>>()
        });
        format!("{}: {}", result.log_dir, topics.collect::<Vec<_>>().join(" "))
    };
    described(client).await.iter().map(topics).collect()
}

pub async fn ask_move(client: &mut Client, topic: &str, path: &str) -> ErrorCode {
    let topic = AlterReplicaLogDirTopic { name: topic.into(), partitions: vec![0], ..Default::default() };
    let dir = AlterReplicaLogDir { path: path.into(), topics: vec![topic], ..Default::default() };
    let request = AlterReplicaLogDirsRequest { dirs: vec![dir], ..Default::default() };
    code(client.call(&request, 2).await.results[0].partitions[0].error_code)
}

/// Leader and offline replicas of the topic's partition.
pub async fn leader(client: &mut Client, topic: &str) -> (i32, Vec<i32>) {
    let topic = MetadataRequestTopic { name: Some(topic.into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let partition = client.call(&request, 12).await.topics[0].partitions[0].clone();
    (partition.leader_id, partition.offline_replicas)
}

pub async fn until_moved(broker: &mut Broker, expected: &[&str]) {
    let rt = broker.process.rt();
    for _ in 0..1000 {
        if homes(&mut broker.client).await == expected {
            return;
        }
        rt.sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?} is not {expected:?}", homes(&mut broker.client).await);
}

pub fn log(machine: &Machine, path: &str) -> Vec<u8> {
    read_file(&machine.disk, Path::new(path)).unwrap()
}

pub fn names(machine: &Machine, dir: &str) -> Vec<String> {
    let dirs = machine.disk.list(Path::new(dir)).unwrap().into_iter().filter(|entry| entry.is_dir);
    dirs.map(|entry| entry.name).collect()
}

/// Topics `a` to `d`, in turn in the two directories, with a record each.
pub async fn make_topics(client: &mut Client) {
    for topic in ["a", "b", "c", "d"] {
        assert_eq!(client.create(topic, &[]).await, ErrorCode::None);
        assert_eq!(client.produce(topic, 1000).await, ErrorCode::None);
    }
}

#[test]
fn replicas_go_where_the_fewest_are_and_are_found_there() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_topics(&mut broker.client).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: a c", "/b: b d"]);
        // The metadata log counts for nothing: there the operator says what goes where.
        assert_eq!(names(&machine, "/b"), ["b-0", "d-0"]);
        machine.stop(broker).await.unwrap();
        machine.disk.power_loss();

        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: a c", "/b: b d"]);
        for topic in ["a", "b", "c", "d"] {
            assert_eq!(offset(&mut broker.client, topic, LATEST).await, (ErrorCode::None, 1));
        }
        machine.crash(broker).await;
        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: a c", "/b: b d"]);
        assert_eq!(broker.client.delete("d", 1000).await, ErrorCode::None);
        assert!(names(&machine, "/b").iter().any(|name| name.starts_with("d-0.") && name.ends_with("-delete")));
    });
}

#[test]
fn cordoned_directories_take_nothing_new() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        let client = &mut broker.client;
        assert_eq!(client.configure((BROKER, "1"), ("cordoned.log.dirs", "/b")).await, ErrorCode::None);
        let is_cordoned =
            async |client: &mut Client| described(client).await.iter().map(|dir| dir.is_cordoned).collect::<Vec<_>>();
        assert_eq!(is_cordoned(client).await, [false, true]);
        // The controller hears of it a moment later.
        broker.process.rt().sleep(Duration::from_millis(100)).await;
        make_topics(client).await;
        // Nor what is moved; nor, as in Kafka, is anything asked to stay there.
        assert_eq!(ask_move(client, "a", "/b").await, ErrorCode::InvalidReplicaAssignment);
        broker.process.rt().sleep(Duration::from_secs(5)).await;
        let client = &mut broker.client;
        assert_eq!(homes(client).await, ["/data: a b c d", "/b: "]);
        machine.crash(broker).await;
        let mut broker = machine.start_set_up(TWO).await;
        let client = &mut broker.client;
        assert_eq!(client.create("e", &[]).await, ErrorCode::None);
        assert_eq!(client.configure((BROKER, "1"), ("cordoned.log.dirs", "")).await, ErrorCode::None);
        assert_eq!(is_cordoned(client).await, [false, false]);
        broker.process.rt().sleep(Duration::from_millis(100)).await;
        assert_eq!(client.create("f", &[]).await, ErrorCode::None);
        assert_eq!(homes(client).await, ["/data: a b c d e", "/b: f"]);
    });
}

pub async fn delete_to(client: &mut Client, topic: &str, offset: i64) -> ErrorCode {
    let partition = DeleteRecordsPartition { partition_index: 0, offset, ..Default::default() };
    let topic = DeleteRecordsTopic { name: topic.into(), partitions: vec![partition], ..Default::default() };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() };
    code(client.call(&request, 2).await.topics[0].partitions[0].error_code)
}

#[test]
fn records_are_deleted_once_it_is_written_down_however_often_it_is_asked() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(ONE).await;
        let client = &mut broker.client;
        assert_eq!(client.create("a", &[]).await, ErrorCode::None);
        for _ in 0..5 {
            assert_eq!(client.produce("a", 1000).await, ErrorCode::None);
        }
        machine.disk.fail_all(Operation::Open, "log-start-offset-checkpoint", ErrorKind::Other);
        for _ in 0..2 {
            assert_eq!(delete_to(client, "a", 3).await, ErrorCode::KafkaStorageError);
        }
        assert_eq!(delete_to(client, "a", 1).await, ErrorCode::KafkaStorageError, "it begins at 3, perhaps");
        machine.disk.mend();
        assert_eq!(delete_to(client, "a", 3).await, ErrorCode::None);
        machine.crash(broker).await;
        let mut broker = machine.start_set_up(ONE).await;
        assert_eq!(offset(&mut broker.client, "a", EARLIEST).await, (ErrorCode::None, 3));
    });
}

#[test]
fn a_directory_that_cannot_be_written_goes_offline_and_the_others_serve() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_topics(&mut broker.client).await;
        machine.disk.fail_all(Operation::Write, "/b/", ErrorKind::ReadOnlyFilesystem);
        let client = &mut broker.client;
        assert_eq!(client.produce("b", 1000).await, ErrorCode::KafkaStorageError);
        assert_eq!(client.produce("a", 1000).await, ErrorCode::None);
        broker.process.rt().sleep(Duration::from_millis(100)).await;
        assert_eq!(client.produce("d", 1000).await, ErrorCode::KafkaStorageError);
        assert_eq!(offset(client, "d", LATEST).await.0, ErrorCode::KafkaStorageError);
        assert_eq!(leader(client, "b").await, (-1, vec![1]));
        assert_eq!(leader(client, "a").await, (1, vec![]));
        let errors: Vec<_> = described(client).await.iter().map(|dir| code(dir.error_code)).collect();
        assert_eq!(errors, [ErrorCode::None, ErrorCode::KafkaStorageError]);
        assert_eq!(ask_move(client, "a", "/b").await, ErrorCode::KafkaStorageError);
        // What is new goes to the others, and what was there can be deleted.
        assert_eq!(client.create("e", &[]).await, ErrorCode::None);
        assert_eq!(client.produce("e", 1000).await, ErrorCode::None);
        assert_eq!(client.delete("d", 1000).await, ErrorCode::None);
        machine.stop(broker).await.unwrap();

        // The disk was mended.
        machine.disk.mend();
        let mut broker = machine.start_set_up(TWO).await;
        let client = &mut broker.client;
        assert_eq!(homes(client).await, ["/data: a c e", "/b: b"]);
        assert_eq!(offset(client, "b", LATEST).await, (ErrorCode::None, 1));
        assert_eq!(client.produce("b", 1000).await, ErrorCode::None);
        assert!(names(&machine, "/b").iter().any(|name| name.starts_with("d-0.")), "it is of no topic any more");
    });
}

#[test]
fn a_directory_that_is_not_there_is_missed_by_its_partitions_only() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_topics(&mut broker.client).await;
        machine.stop(broker).await.unwrap();

        machine.disk.fail_all(Operation::Open, "/b/", ErrorKind::Other);
        let mut broker = machine.start_set_up(TWO).await;
        let client = &mut broker.client;
        assert_eq!(leader(client, "b").await, (-1, vec![1]));
        assert_eq!(offset(client, "a", LATEST).await, (ErrorCode::None, 1));
        assert_eq!(client.produce("b", 1000).await, ErrorCode::KafkaStorageError);
        assert_eq!(client.create("e", &[]).await, ErrorCode::None);
        assert_eq!(homes(client).await, ["/data: a c e", "/b: "]);
        machine.stop(broker).await.unwrap();
        machine.disk.mend();

        // Nor is anything made in its place where it is not in the configuration at all.
        let mut broker = machine.start_set_up(ONE).await;
        assert_eq!(leader(&mut broker.client, "b").await, (-1, vec![1]));
        assert_eq!(names(&machine, "/data").iter().filter(|name| name.starts_with("b-0")).count(), 0);
        machine.stop(broker).await.unwrap();

        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: a c e", "/b: b d"]);
        assert_eq!(offset(&mut broker.client, "b", LATEST).await, (ErrorCode::None, 1));
    });
}

#[test]
fn replicas_that_somebody_has_moved_are_found() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_topics(&mut broker.client).await;
        machine.stop(broker).await.unwrap();
        machine.disk.rename(Path::new("/b/b-0"), Path::new("/data/b-0")).unwrap();
        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: a b c", "/b: d"]);
        assert_eq!(offset(&mut broker.client, "b", LATEST).await, (ErrorCode::None, 1));
        machine.stop(broker).await.unwrap();
        // And without the directory that it was in.
        let mut broker = machine.start_set_up(ONE).await;
        assert_eq!(leader(&mut broker.client, "b").await, (1, vec![]));
    });
}

#[test]
fn directories_that_do_not_belong_together_are_refused() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_topics(&mut broker.client).await;
        machine.stop(broker).await.unwrap();
        let with = |dirs: &'static str| [("listeners", "PLAINTEXT://127.0.0.1:9092"), ("log.dirs", dirs)];
        // The metadata log is in the first.
        let error = machine.start_error(&with("/new,/data")).await;
        assert!(
            error.starts_with("/data belongs to a cluster, and /new, where the metadata log should be, to none."),
            "{error}"
        );
        let error = machine.start_error(&with("/b")).await;
        assert!(
            error.contains("/b/__cluster_metadata-0/00000000000000000000.log has no records, but /b/b-0"),
            "{error}"
        );
        let broker = machine.start_set_up(&with("/other")).await;
        machine.stop(broker).await.unwrap();
        let error = machine.start_error(&with("/data,/other")).await;
        assert!(error.starts_with("/other/meta.properties is of cluster "), "{error}");
        let settings = [with("/b")[0], ("log.dirs", "/b"), ("metadata.log.dir", "/data")];
        let mut broker = machine.start_set_up(&settings).await;
        assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
        // What is beside the metadata log is not served, as it is in no directory of the data.
        assert_eq!(homes(&mut broker.client).await, ["/b: b d t"]);
        assert_eq!(leader(&mut broker.client, "a").await, (-1, vec![1]));
    });
}

#[test]
fn a_full_directory_serves_reads_and_deletions_and_comes_back_by_itself() {
    const MIB: u64 = 1 << 20;
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(ONE).await;
        let rt = broker.process.rt();
        let client = &mut broker.client;
        let configs = [("segment.bytes", "1048576"), ("file.delete.delay.ms", "1000")];
        assert_eq!(client.create("t", &configs).await, ErrorCode::None);
        assert_eq!(client.create("u", &[]).await, ErrorCode::None);
        let value = vec![7; 500_000];
        let record = NewRecord { timestamp: 1_767_225_600_000, value: Some(&value), ..NewRecord::default() };
        machine.disk.set_capacity(Some(16 * MIB));
        let mut sent = 0;
        while client.send("t", &record, 1000).await == ErrorCode::None {
            sent += 1;
        }
        assert!(sent > 20, "{sent}");
        // Nothing more is taken, however small.
        assert_eq!(client.produce("u", 1000).await, ErrorCode::KafkaStorageError);
        assert_eq!(offset(client, "t", LATEST).await, (ErrorCode::None, sent));
        // There is no more room than what was kept.
        let free = machine.disk.free_bytes(Path::new("/")).unwrap();
        assert!((MIB..3 * MIB).contains(&free), "{free}");
        machine.disk.set_capacity(Some(16 * MIB - (free - MIB)));
        assert_eq!(delete_to(client, "t", sent - 2).await, ErrorCode::None);
        rt.sleep(Duration::from_secs(5)).await;
        assert_eq!(client.produce("u", 1000).await, ErrorCode::None);
        machine.crash(broker).await;
        let mut broker = machine.start_set_up(ONE).await;
        assert_eq!(offset(&mut broker.client, "t", EARLIEST).await, (ErrorCode::None, sent - 2));
        assert_eq!(offset(&mut broker.client, "t", LATEST).await, (ErrorCode::None, sent));
    });
}

pub async fn errors(client: &mut Client) -> Vec<ErrorCode> {
    described(client).await.iter().map(|dir| code(dir.error_code)).collect()
}

#[test]
fn a_directory_of_a_topic_that_was_made_anew_elsewhere_is_set_aside() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_topics(&mut broker.client).await;
        machine.stop(broker).await.unwrap();
        machine.disk.fail_all(Operation::Open, "/b/", ErrorKind::Other);
        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(broker.client.delete("b", 1000).await, ErrorCode::None);
        assert_eq!(broker.client.create("b", &[]).await, ErrorCode::None);
        assert_eq!(homes(&mut broker.client).await, ["/data: a b c", "/b: "]);
        machine.stop(broker).await.unwrap();
        machine.disk.mend();
        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: a b c", "/b: d"]);
        let left = names(&machine, "/b");
        assert!(left.iter().any(|name| name.starts_with("b-0.") && name.ends_with("-stray")), "{left:?}");
        assert!(!left.contains(&"b-0".to_owned()), "{left:?}");
    });
}

#[test]
fn no_empty_log_takes_the_place_of_one_that_may_be_offline() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_topics(&mut broker.client).await;
        machine.stop(broker).await.unwrap();
        // The metadata do not know of it.
        machine.disk.rename(Path::new("/data/a-0"), Path::new("/b/a-0")).unwrap();
        machine.disk.fail_all(Operation::Open, "/b/", ErrorKind::Other);
        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::KafkaStorageError);
        assert!(!names(&machine, "/data").contains(&"a-0".to_owned()));
        // What is new can be made.
        assert_eq!(broker.client.create("e", &[]).await, ErrorCode::None);
        machine.crash(broker).await;
        machine.disk.mend();
        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, 1));
        assert_eq!(homes(&mut broker.client).await, ["/data: c e", "/b: a b d"]);
    });
}

#[test]
fn a_broker_whose_directories_have_all_failed_leads_nothing() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let apart = [TWO[0], ("log.dirs", "/b"), ("metadata.log.dir", "/data")];
        let mut broker = machine.start_set_up(&apart).await;
        make_topics(&mut broker.client).await;
        machine.disk.fail_all(Operation::Write, "/b/", ErrorKind::ReadOnlyFilesystem);
        assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::KafkaStorageError);
        broker.process.rt().sleep(Duration::from_millis(200)).await;
        assert_eq!(leader(&mut broker.client, "a").await.0, -1);
        assert_ne!(broker.client.create("e", &[]).await, ErrorCode::None);
    });
}
