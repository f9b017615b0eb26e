//! Replicas that a start finds elsewhere, twice, or without what the checkpoints said of them.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use ottla_records::NewRecord;
use ottla_storage::disk::{Disk, Operation};
use ottla_wire::ErrorCode;

use crate::directories::*;
use crate::moves::copy_replica;
use crate::support::*;

/// The metadata log apart, so that each of the others may fail.
const APART: &[(&str, &str)] =
    &[("listeners", "PLAINTEXT://127.0.0.1:9092"), ("log.dirs", "/a,/b"), ("metadata.log.dir", "/data")];

/// `t`, compacted, whose four records are in a segment each, in the first directory.
async fn make_compacted(client: &mut Client) {
    assert_eq!(client.create("t", &[("segment.ms", "10"), ("cleanup.policy", "compact")]).await, ErrorCode::None);
    for n in 0..4 {
        let timestamp = 1_767_225_600_000 + 1000 * n;
        let record = NewRecord { timestamp, key: Some(b"k"), value: Some(b"v"), ..NewRecord::default() };
        assert_eq!(client.send("t", &record, 1000).await, ErrorCode::None);
    }
}

/// As compaction by Kafka leaves it, which nothing here tells of.
fn make_gap(machine: &Machine) {
    machine.disk.remove_file(Path::new("/data/t-0/00000000000000000001.log")).unwrap();
}

#[test]
fn a_compacted_replica_that_somebody_has_moved_is_whole() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_compacted(&mut broker.client).await;
        machine.stop(broker).await.unwrap();
        make_gap(&machine);
        machine.disk.rename(Path::new("/data/t-0"), Path::new("/b/t-0")).unwrap();
        for _ in 0..2 {
            let mut broker = machine.start_set_up(TWO).await;
            assert_eq!(homes(&mut broker.client).await, ["/data: ", "/b: t"]);
            assert_eq!(broker.client.range("t").await, (0, 4));
            broker.process.rt().sleep(Duration::from_secs(90)).await;
            machine.crash(broker).await;
        }
    });
}

#[test]
fn what_was_synced_of_a_log_is_remembered_while_it_cannot_be_opened() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_compacted(&mut broker.client).await;
        machine.stop(broker).await.unwrap();
        make_gap(&machine);
        machine.disk.fail_all(Operation::Open, "/t-0/", ErrorKind::Other);
        let broker = machine.start_set_up(TWO).await;
        broker.process.rt().sleep(Duration::from_secs(90)).await;
        machine.crash(broker).await;
        machine.disk.mend();
        let checkpoint = String::from_utf8(machine.read("/data/recovery-point-offset-checkpoint")).unwrap();
        assert!(checkpoint.contains("t 0 4"), "{checkpoint}");
        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(broker.client.range("t").await, (0, 4));
    });
}

/// A crash at the end of a move leaves the replica twice, with an end that may not be synced.
#[test]
fn a_replica_that_was_set_aside_is_not_flushed() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(APART).await;
        make_topics(&mut broker.client).await;
        machine.crash(broker).await;
        copy_replica(&machine, "/a/a-0", "/b/a-0");
        let mut broker = machine.start_set_up(APART).await;
        assert_eq!(homes(&mut broker.client).await, ["/a: c", "/b: a b d"]);
        broker.process.rt().sleep(Duration::from_secs(90)).await;
        assert_eq!(errors(&mut broker.client).await, [ErrorCode::None; 2]);
        for topic in ["a", "b", "c", "d"] {
            assert_eq!(broker.client.produce(topic, 1000).await, ErrorCode::None);
        }
    });
}

#[test]
fn of_two_replicas_none_is_set_aside_where_one_cannot_be_read() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_topics(&mut broker.client).await;
        machine.crash(broker).await;
        copy_replica(&machine, "/data/a-0", "/b/a-0");
        machine.disk.fail_all(Operation::Open, "/b/a-0/00000000000000000000.log", ErrorKind::Other);
        let mut broker = machine.start_set_up(TWO).await;
        broker.process.rt().sleep(Duration::from_secs(30)).await;
        assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::KafkaStorageError);
        for dir in ["/data", "/b"] {
            assert!(names(&machine, dir).contains(&"a-0".to_owned()));
        }
        machine.crash(broker).await;
        machine.disk.mend();
        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: c", "/b: a b d"]);
        assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None);
    });
}

/// Its log came to a directory that failed before the metadata knew of it.
#[test]
fn a_replica_of_the_first_epoch_is_not_begun_again_where_it_was() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(APART).await;
        make_topics(&mut broker.client).await;
        machine.disk.fail_all(Operation::Write, "/data/__cluster_metadata-0", ErrorKind::Other);
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        until_moved(&mut broker, &["/a: c", "/b: a b d"]).await;
        machine.disk.fail_all(Operation::Write, "/b/", ErrorKind::ReadOnlyFilesystem);
        assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::KafkaStorageError);
        broker.process.rt().sleep(Duration::from_secs(30)).await;
        assert_ne!(broker.client.produce("a", 1000).await, ErrorCode::None);
        assert!(!names(&machine, "/a").contains(&"a-0".to_owned()));
        machine.crash(broker).await;
        machine.disk.mend();
        let mut broker = machine.start_set_up(APART).await;
        assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, 1));
    });
}
