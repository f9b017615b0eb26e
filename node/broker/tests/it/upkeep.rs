//! What becomes of old records, and how configs that change act: at once, and without a restart.

use std::time::Duration;

use ottla_records::NewRecord;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic, DescribeLogDirsRequest, ListOffsetsPartition,
    ListOffsetsRequest, ListOffsetsTopic,
};

use crate::support::*;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
/// When the simulation begins.
const START_MS: i64 = 1_767_225_600_000;
const SETTINGS: &[(&str, &str)] = &[
    ("listeners", "PLAINTEXT://127.0.0.1:9092"),
    ("log.retention.check.interval.ms", "1000"),
    ("log.cleaner.backoff.ms", "500"),
];

async fn offset(client: &mut Client, timestamp: i64) -> i64 {
    let partition = ListOffsetsPartition { timestamp, current_leader_epoch: -1, ..Default::default() };
    let topic = ListOffsetsTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    client.call(&request, 6).await.topics[0].partitions[0].offset
}

async fn delete_to(client: &mut Client, offset: i64) -> (ErrorCode, i64) {
    let partition = DeleteRecordsPartition { partition_index: 0, offset, ..Default::default() };
    let topic = DeleteRecordsTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() };
    let answer = client.call(&request, 2).await;
    let partition = &answer.topics[0].partitions[0];
    (code(partition.error_code), partition.low_watermark)
}

/// What the partition takes on the disk, as DescribeLogDirs tells.
async fn size(client: &mut Client) -> i64 {
    let answer = client.call(&DescribeLogDirsRequest { topics: None, ..Default::default() }, 4).await;
    assert_eq!((code(answer.error_code), code(answer.results[0].error_code)), (ErrorCode::None, ErrorCode::None));
    answer.results[0].topics.iter().find(|topic| &*topic.name == "t").unwrap().partitions[0].partition_size
}

async fn send(client: &mut Client, key: &str, value: Option<&[u8]>, timestamp: i64) -> ErrorCode {
    let record = NewRecord { timestamp, key: Some(key.as_bytes()), value, ..NewRecord::default() };
    client.send("t", &record, 1000).await
}

fn logs(machine: &Machine) -> Vec<String> {
    let mut logs: Vec<_> = machine.list("t-0").into_iter().filter(|name| name.ends_with(".log")).collect();
    logs.sort();
    logs
}

#[test]
fn configs_act_when_they_are_answered_and_after_a_crash() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        let client = &mut broker.client;
        assert_eq!(client.create("t", &[]).await, ErrorCode::None);
        assert_eq!(client.produce("t", 1000).await, ErrorCode::None);
        assert_eq!(client.configure((TOPIC, "t"), ("max.message.bytes", "10")).await, ErrorCode::None);
        assert_eq!(client.produce("t", 1000).await, ErrorCode::MessageTooLarge);
        machine.crash(broker).await;

        let mut broker = machine.start_set_up(SETTINGS).await;
        let client = &mut broker.client;
        assert_eq!(client.produce("t", 1000).await, ErrorCode::MessageTooLarge);
        assert_eq!(client.configure((TOPIC, "t"), ("max.message.bytes", "1000")).await, ErrorCode::None);
        assert_eq!(client.produce("t", 1000).await, ErrorCode::None);
        // What a topic does not say for itself, a broker's dynamic config does, and one broker's before all.
        assert_eq!(client.create("t2", &[]).await, ErrorCode::None);
        assert_eq!(client.configure((BROKER, ""), ("message.max.bytes", "10")).await, ErrorCode::None);
        assert_eq!(client.produce("t2", 1000).await, ErrorCode::MessageTooLarge);
        assert_eq!(client.configure((BROKER, "1"), ("message.max.bytes", "1000")).await, ErrorCode::None);
        assert_eq!(client.produce("t2", 1000).await, ErrorCode::None);
        assert_eq!(client.configure((TOPIC, "t"), ("cleanup.policy", "compact")).await, ErrorCode::None);
        assert_eq!(client.produce("t", 1000).await, ErrorCode::InvalidRecord, "a record without a key");
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn batches_are_packed_as_the_topic_says() {
    /// Where a batch says how it is packed.
    const ATTRIBUTES: usize = 22;
    const ZSTD: u8 = 4;
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        let client = &mut broker.client;
        let log = || machine.read("t-0/00000000000000000000.log");
        assert_eq!(client.create("t", &[("compression.type", "zstd")]).await, ErrorCode::None);
        assert_eq!(send(client, "k", Some(&[0; 1000]), START_MS).await, ErrorCode::None);
        let packed = log();
        assert!(packed[ATTRIBUTES] & 7 == ZSTD && packed.len() < 200);
        // What is stored may be smaller than what is sent, and larger: that it must not be.
        assert_eq!(client.configure((TOPIC, "t"), ("max.message.bytes", "500")).await, ErrorCode::None);
        assert_eq!(send(client, "k", Some(&[0; 1000]), START_MS).await, ErrorCode::MessageTooLarge);
        assert_eq!(client.configure((TOPIC, "t"), ("compression.type", "producer")).await, ErrorCode::None);
        assert_eq!(send(client, "k", Some(&[0; 10]), START_MS).await, ErrorCode::None);
        assert_eq!(log()[packed.len() + ATTRIBUTES] & 7, 0);
        assert_eq!(offset(client, LATEST).await, 2);
        machine.crash(broker).await;
        let mut broker = machine.start_set_up(SETTINGS).await;
        assert_eq!(offset(&mut broker.client, LATEST).await, 2);
    });
}

#[test]
fn old_segments_go_and_their_files_a_while_later() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        let rt = broker.process.rt();
        let client = &mut broker.client;
        let configs = [("segment.ms", "10"), ("file.delete.delay.ms", "5000")];
        assert_eq!(client.create("t", &configs).await, ErrorCode::None);
        for n in 0..4 {
            assert_eq!(send(client, "k", Some(b"v"), START_MS + 1000 * n).await, ErrorCode::None);
        }
        assert_eq!(logs(&machine).len(), 4);
        assert_eq!(offset(client, EARLIEST).await, 0);
        let size_before = size(client).await;
        // The last two are of the time of the first look, or later.
        assert_eq!(client.configure((TOPIC, "t"), ("retention.ms", "28000")).await, ErrorCode::None);
        rt.sleep(Duration::from_millis(30_500)).await;
        assert_eq!(offset(client, EARLIEST).await, 3);
        assert_eq!(size(client).await, size_before / 4);
        assert_eq!(logs(&machine), ["00000000000000000003.log"]);
        assert!(machine.list("t-0").iter().any(|name| name.ends_with(".deleted")));
        rt.sleep(Duration::from_secs(6)).await;
        assert!(!machine.list("t-0").iter().any(|name| name.ends_with(".deleted")));
        // All is older by now, the segment that is written to as well.
        assert_eq!((offset(client, EARLIEST).await, offset(client, LATEST).await), (4, 4));
        machine.crash(broker).await;

        let mut broker = machine.start_set_up(SETTINGS).await;
        let client = &mut broker.client;
        assert_eq!((offset(client, EARLIEST).await, offset(client, LATEST).await), (4, 4));
        assert_eq!(send(client, "k", Some(b"v"), START_MS + 60_000).await, ErrorCode::None);
        assert_eq!((offset(client, EARLIEST).await, offset(client, LATEST).await), (4, 5));
    });
}

#[test]
fn so_much_is_kept_as_retention_says() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        let rt = broker.process.rt();
        let client = &mut broker.client;
        let configs = [("segment.ms", "10"), ("retention.bytes", "200"), ("retention.ms", "-1")];
        assert_eq!(client.create("t", &configs).await, ErrorCode::None);
        for n in 0..10 {
            assert_eq!(send(client, "k", Some(&[0; 30]), START_MS + 1000 * n).await, ErrorCode::None);
        }
        assert!(size(client).await > 300);
        rt.sleep(Duration::from_secs(32)).await;
        // A segment goes as long as the others are large enough.
        let kept = size(client).await;
        assert!((200..400).contains(&kept), "{kept}");
    });
}

#[test]
fn deleted_records_stay_deleted() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        let client = &mut broker.client;
        assert_eq!(client.create("t", &[]).await, ErrorCode::None);
        for _ in 0..5 {
            assert_eq!(client.produce("t", 1000).await, ErrorCode::None);
        }
        assert_eq!(delete_to(client, 2).await, (ErrorCode::None, 2));
        assert_eq!(delete_to(client, 1).await, (ErrorCode::None, 2), "it is already");
        assert_eq!(delete_to(client, 6).await, (ErrorCode::OffsetOutOfRange, -1));
        assert_eq!(delete_to(client, -2).await, (ErrorCode::OffsetOutOfRange, -1));
        machine.crash(broker).await;

        let mut broker = machine.start_set_up(SETTINGS).await;
        let client = &mut broker.client;
        assert_eq!((offset(client, EARLIEST).await, offset(client, LATEST).await), (2, 5));
        assert_eq!(delete_to(client, -1).await, (ErrorCode::None, 5));
        machine.stop(broker).await.unwrap();

        let mut broker = machine.start_set_up(SETTINGS).await;
        let client = &mut broker.client;
        assert_eq!((offset(client, EARLIEST).await, offset(client, LATEST).await), (5, 5));
        assert_eq!(client.produce("t", 1000).await, ErrorCode::None);
        // Another topic of the name begins anew.
        assert_eq!(client.delete("t", 1000).await, ErrorCode::None);
        assert_eq!(client.create("t", &[("cleanup.policy", "compact")]).await, ErrorCode::None);
        assert_eq!((offset(client, EARLIEST).await, offset(client, LATEST).await), (0, 0));
        assert_eq!(delete_to(client, 0).await, (ErrorCode::PolicyViolation, -1));
    });
}

#[test]
fn the_newest_record_of_each_key_stays() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        let rt = broker.process.rt();
        let client = &mut broker.client;
        let configs = [("cleanup.policy", "compact"), ("segment.ms", "10"), ("min.cleanable.dirty.ratio", "0.01")];
        assert_eq!(client.create("t", &configs).await, ErrorCode::None);
        for n in 0..50 {
            let key = format!("k{}", n % 3);
            assert_eq!(send(client, &key, Some(&[0; 100]), START_MS + 1000 * n).await, ErrorCode::None);
        }
        let before = size(client).await;
        rt.sleep(Duration::from_secs(3)).await;
        let after = size(client).await;
        assert!(after < before / 3, "{after} of {before} bytes are left");
        assert_eq!((offset(client, EARLIEST).await, offset(client, LATEST).await), (0, 50));
        machine.crash(broker).await;

        let mut broker = machine.start_set_up(SETTINGS).await;
        let client = &mut broker.client;
        assert_eq!((offset(client, EARLIEST).await, offset(client, LATEST).await), (0, 50));
        assert!(size(client).await <= after);
        let checkpoint = String::from_utf8(machine.read("cleaner-offset-checkpoint")).unwrap();
        assert_eq!(checkpoint, "0\n1\nt 0 49\n");
        machine.stop(broker).await.unwrap();
    });
}
