//! Snapshots of the metadata, and the log that they make shorter.

use std::io::ErrorKind;
use std::time::Duration;

use ottla_storage::disk::Operation;
use ottla_wire::ErrorCode;

use crate::support::*;

const LISTENER: (&str, &str) = ("listeners", "PLAINTEXT://127.0.0.1:9092");
/// A snapshot for almost every topic, and little that is kept.
const SHORT: &[(&str, &str)] = &[
    LISTENER,
    ("metadata.log.max.record.bytes.between.snapshots", "300"),
    ("internal.metadata.log.segment.bytes", "600"),
    ("metadata.max.retention.bytes", "1500"),
    ("internal.metadata.delete.delay.millis", "0"),
];
/// For what no request waits for.
const SOON: Duration = Duration::from_millis(20);
const DIR: &str = "__cluster_metadata-0";

fn name(number: usize) -> String {
    format!("t{number:02}")
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(name).collect()
}

impl Machine {
    /// End offsets of the snapshots, and base offsets of the segments.
    fn metadata_files(&self) -> (Vec<i64>, Vec<i64>) {
        let offset = |name: &String| name[..20].parse().unwrap();
        let all = self.list(DIR);
        let with = |extension: &str| all.iter().filter(|name| name.ends_with(extension)).map(offset).collect();
        (with(".checkpoint"), with(".log"))
    }
}

async fn make_topics(broker: &mut Broker, numbers: std::ops::Range<usize>) {
    for number in numbers {
        assert_eq!(broker.client.create(&name(number), &[]).await, ErrorCode::None);
        broker.process.rt().sleep(SOON).await;
    }
}

#[test]
fn snapshots_take_the_place_of_the_log() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SHORT).await;
        make_topics(&mut broker, 0..20).await;
        let (snapshots, segments) = machine.metadata_files();
        let newest = *snapshots.last().unwrap();
        assert!(newest > 40 && snapshots.len() <= 3 && segments.len() <= 4, "{snapshots:?} {segments:?}");
        assert!(segments[0] > 0 && segments[0] <= snapshots[0], "{snapshots:?} {segments:?}");
        machine.crash(broker).await;

        let mut broker = machine.start_set_up(SHORT).await;
        assert_eq!(broker.client.topics().await, names(20));
        make_topics(&mut broker, 20..22).await;
        assert!(machine.stop(broker).await.is_ok());
        // With Kafka's defaults nothing more is written, and all is read.
        let mut broker = machine.start().await;
        assert_eq!(broker.client.topics().await, names(22));
        assert!(machine.stop(broker).await.is_ok());
    });
}

#[test]
fn a_snapshot_is_written_when_the_last_one_is_old_and_anything_is_new() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let (interval, http) = (("metadata.log.max.snapshot.interval.ms", "60000"), "127.0.0.1:9644");
        let mut broker = machine.start_set_up(&[LISTENER, interval, ("ottla.http.listener", http)]).await;
        let rt = broker.process.rt();
        let minute = Duration::from_secs(61);
        rt.sleep(minute).await;
        let count = |machine: &Machine| machine.metadata_files().0.len();
        assert_eq!(count(&machine), 1);
        rt.sleep(minute * 5).await;
        assert_eq!(count(&machine), 1, "nothing is new");
        make_topics(&mut broker, 0..1).await;
        rt.sleep(SOON).await;
        assert_eq!(count(&machine), 2);
        let newest = machine.list(DIR).into_iter().rfind(|name| name.ends_with(".checkpoint")).unwrap();
        let bytes = machine.read(&format!("{DIR}/{newest}")).len();
        let (_, text) = machine.get(9644, "/metrics").await.unwrap();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("kafka_server_snapshotemitter_{name} ")));
            line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
        };
        assert_eq!(value("latestsnapshotgeneratedbytes"), bytes as f64);
        assert!((1.0..1000.0).contains(&value("latestsnapshotgeneratedagems")));
    });
}

#[test]
fn a_disk_that_refuses_a_snapshot_is_asked_again() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SHORT).await;
        machine.disk.fail_all(Operation::Sync, ".checkpoint.part", ErrorKind::StorageFull);
        make_topics(&mut broker, 0..10).await;
        let (before, _) = machine.metadata_files();
        let drafts = machine.list(DIR).iter().filter(|name| name.ends_with(".part")).count();
        assert_eq!(drafts, 0, "a full disk is not filled with drafts");
        machine.disk.mend();
        broker.process.rt().sleep(Duration::from_secs(10)).await;
        assert!(machine.metadata_files().0.last() > before.last());
        machine.crash(broker).await;
        assert_eq!(machine.start().await.client.topics().await, names(10));
    });
}

/// The controller is loaded again while it runs, from the snapshot and what is behind it.
#[test]
fn a_controller_that_was_dropped_is_loaded_from_a_snapshot() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SHORT).await;
        make_topics(&mut broker, 0..10).await;
        let (_, segments) = machine.metadata_files();
        assert!(segments[0] > 0);
        machine.disk.fail_next(Operation::Write, &format!("{DIR}/0"), ErrorKind::Other);
        assert_eq!(broker.client.create("refused", &[]).await, ErrorCode::KafkaStorageError);
        broker.process.rt().sleep(Duration::from_secs(6)).await;
        assert_eq!(broker.client.create(&name(3), &[]).await, ErrorCode::TopicAlreadyExists);
        make_topics(&mut broker, 10..12).await;
        assert_eq!(broker.client.topics().await, names(12));
    });
}

/// Wherever it ends, by whichever end, while snapshots are written and the log is trimmed: everything that was answered is
/// there, and it goes on.
#[test]
fn a_crash_in_the_middle_of_a_snapshot_loses_nothing() {
    let mut reached = 0;
    for operation in 1..200 {
        let machine = Machine::new();
        machine.world.block_on(async {
            let mut broker = machine.start_set_up(SHORT).await;
            make_topics(&mut broker, 0..2).await;
            machine.disk.stop_at(machine.disk.operations() + operation);
            let mut kept = 2;
            while kept < 7 && broker.client.create_within(&name(kept), &[], 500).await == ErrorCode::None {
                kept += 1;
                broker.process.rt().sleep(SOON).await;
            }
            reached += usize::from(machine.disk.has_stopped());
            machine.crash(broker).await;
            match operation % 2 {
                0 => machine.disk.power_loss(),
                _ => machine.disk.kill(),
            }
            let mut broker = machine.start_set_up(SHORT).await;
            let found = broker.client.topics().await;
            // The one that was not answered may be there.
            assert!(found == names(kept) || found == names(kept + 1), "{operation}: {kept} were answered: {found:?}");
            make_topics(&mut broker, found.len()..found.len() + 2).await;
            assert!(machine.stop(broker).await.is_ok());
            assert_eq!(machine.start().await.client.topics().await, names(found.len() + 2));
        });
    }
    assert!((100..199).contains(&reached), "{reached}");
}
