//! Logs with transactions, as Apache Kafka 4.3.1 has left them: what it answered of them is what Ottla answers, however much of
//! what it wrote beside them is lost.
//!
//! `testdata/kafka-4.3.1-transactions` has the files and the answers; its README tells how they came about.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ottla_records::BatchHeader;
use ottla_storage::disk::{Disk, read_file};
use ottla_wire::ErrorCode;
use ottla_wire::messages::describe_producers_request::TopicRequest;
use ottla_wire::messages::{
    DescribeProducersRequest, FindCoordinatorRequest, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
    OffsetFetchRequest, OffsetFetchRequestTopic,
};

use crate::directories::{TWO, ask_move, until_moved};
use crate::support::*;

const CONFIGS: [(&str, &str); 3] = [("segment.ms", "1000"), ("index.interval.bytes", "100"), ("retention.ms", "-1")];
const LISTENERS: (&str, &str) = ("listeners", "PLAINTEXT://127.0.0.1:9092");
/// Where Kafka's log ends.
const END: i64 = 61;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/kafka-4.3.1-transactions").join(name)
}

/// Names and bytes of the files that Kafka left of a partition.
fn files_of(partition: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(fixture(partition)).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

fn answers(name: &str) -> Vec<String> {
    fs::read_to_string(fixture(name)).unwrap().lines().map(str::to_owned).collect()
}

/// A machine on which Ottla has made the topic `t`, and finds Kafka's files in its place.
struct Taken<'m> {
    machine: &'m Machine,
    /// Of the replica's directory.
    name: &'static str,
}

impl Taken<'_> {
    async fn over<'m>(machine: &'m Machine, partition: &'static str) -> Taken<'m> {
        let mut broker = machine.start().await;
        let (topic, _) = partition.rsplit_once('-').unwrap();
        assert_eq!(broker.client.create(topic, &CONFIGS).await, ErrorCode::None);
        assert!(machine.stop(broker).await.is_ok());
        let taken = Taken { machine, name: partition };
        taken.lay(partition);
        taken.checkpoint(0);
        taken
    }

    /// Puts Kafka's files in the place of those that are there.
    fn lay(&self, partition: &str) {
        for name in self.machine.list(self.name).into_iter().filter(|name| name != "partition.metadata") {
            self.remove(&name);
        }
        for (name, bytes) in files_of(partition) {
            self.machine.write(&format!("{}/{name}", self.name), &bytes);
        }
    }

    /// So much of the log was synced.
    fn checkpoint(&self, recovery_point: i64) {
        let (topic, index) = self.name.rsplit_once('-').unwrap();
        let line = format!("0\n1\n{topic} {index} {recovery_point}\n");
        self.machine.write("recovery-point-offset-checkpoint", line.as_bytes());
    }

    fn remove(&self, name: &str) {
        self.machine.remove(&format!("{}/{name}", self.name));
    }

    fn remove_all(&self, extension: &str) {
        for name in self.machine.list(self.name).into_iter().filter(|name| name.ends_with(extension)) {
            self.remove(&name);
        }
    }

    fn read_all(&self, extension: &str) -> Vec<(String, Vec<u8>)> {
        let names = self.machine.list(self.name).into_iter().filter(|name| name.ends_with(extension));
        names.map(|name| (name.clone(), self.machine.read(&format!("{}/{name}", self.name)))).collect()
    }

    async fn start(&self) -> Broker {
        self.machine.start().await
    }

    /// Opens the log, and compares each answer with Kafka's.
    async fn check(&self, what: &str) {
        let mut broker = self.start().await;
        let found = told(&mut broker.client, self.name).await;
        let expected = answers(&format!("{}.tsv", self.name.rsplit_once('-').unwrap().0));
        let wrong: Vec<_> = found.iter().zip(&expected).filter(|(found, expected)| !is_same(found, expected)).collect();
        assert_eq!((wrong, found.len()), (vec![], expected.len()), "{what}");
        assert!(self.machine.stop(broker).await.is_ok(), "{what}");
    }
}

/// Kafka looks up in an index where what it gives must have ended; if it ends just there, where the first entry leads, it takes
/// the next one, and tells of what begins in between. (At other entries it does not.)
const TOLD_TOO_MUCH: [(&str, &str); 3] = [
    ("fetch 1 1\t0 61 52\t121\tnone", "fetch 1 1\t0 61 52\t121\t0:4"),
    ("fetch 2 1\t0 61 52\t121\tnone", "fetch 2 1\t0 61 52\t121\t0:4"),
    ("fetch 41 1\t0 61 52\t91\tnone", "fetch 41 1\t0 61 52\t91\t1:43"),
];

fn is_same(found: &str, kafkas: &str) -> bool {
    found == kafkas || TOLD_TOO_MUCH.contains(&(found, kafkas))
}

/// The answers, in the form of the fixture.
async fn told(client: &mut Client, partition: &str) -> Vec<String> {
    let (topic, _) = partition.rsplit_once('-').unwrap();
    let end = offset(client, topic, -1, 0).await.1;
    let mut lines = Vec::new();
    for offset in 0..end + 2 {
        for bytes_max in [1, 300, 1000, 5000, 1 << 20] {
            let Fetched { error, high_watermark, last_stable, aborted, records } =
                client.fetch_committed(topic, offset, bytes_max).await;
            let aborted = match aborted {
                None => "null".to_owned(),
                Some(none) if none.is_empty() => "none".to_owned(),
                Some(some) => some.iter().map(|(id, first)| format!("{id}:{first}")).collect::<Vec<_>>().join(" "),
            };
            let (error, bytes) = (error.code(), records.len());
            lines.push(format!(
                "fetch {offset} {bytes_max}\t{error} {high_watermark} {last_stable}\t{bytes}\t{aborted}"
            ));
        }
    }
    for timestamp in [-1, -2, -3] {
        let (error, offset, time) = offset(client, topic, timestamp, 1).await;
        lines.push(format!("offset {timestamp}\t{error} {offset} {time}"));
    }
    lines.extend(producers(client, topic).await);
    lines
}

async fn offset(client: &mut Client, topic: &str, timestamp: i64, isolation_level: i8) -> (i16, i64, i64) {
    let partition = ListOffsetsPartition { timestamp, current_leader_epoch: -1, ..Default::default() };
    let topic = ListOffsetsTopic { name: topic.into(), partitions: vec![partition], ..Default::default() };
    let request = ListOffsetsRequest { replica_id: -1, isolation_level, topics: vec![topic], ..Default::default() };
    let answer = client.call(&request, 7).await.topics.remove(0).partitions.remove(0);
    (answer.error_code, answer.offset, answer.timestamp)
}

async fn producers(client: &mut Client, topic: &str) -> Vec<String> {
    let topic = TopicRequest { name: topic.into(), partition_indexes: vec![0], ..Default::default() };
    let request = DescribeProducersRequest { topics: vec![topic], ..Default::default() };
    let answer = client.call(&request, 0).await.topics.remove(0).partitions.remove(0);
    let line = |p: ottla_wire::messages::ProducerState| {
        format!(
            "producer {}\t{} {} {} {} {}",
            p.producer_id,
            p.producer_epoch,
            p.last_sequence,
            p.last_timestamp,
            p.coordinator_epoch,
            p.current_txn_start_offset
        )
    };
    let mut lines: Vec<_> = answer.active_producers.into_iter().map(line).collect();
    lines.sort();
    lines
}

/// The last line of each producer in a snapshot, which is the one that Kafka goes by, and how many lines have a transaction.
fn last_lines(snapshot: &[u8]) -> (Vec<&[u8]>, usize) {
    let lines: Vec<_> = snapshot[10..].chunks_exact(46).collect();
    let is_last = |i: &usize| lines.get(i + 1).is_none_or(|next| next[..8] != lines[*i][..8]);
    let open = lines.iter().filter(|line| line[38..46] != [0xff; 8]).count();
    ((0..lines.len()).filter(is_last).map(|i| lines[i]).collect(), open)
}

#[test]
fn a_log_that_was_closed_cleanly_is_read_as_kafka_reads_it() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let taken = Taken::over(&machine, "t-0").await;
        taken.checkpoint(END);
        taken.check("closed cleanly").await;
        taken.check("closed by Ottla").await;
        assert_eq!(taken.read_all("txnindex"), of_kafka("t-0", "txnindex"));
    });
}

#[test]
fn a_log_that_was_moved_knows_what_was_aborted() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let taken = Taken::over(&machine, "t-0").await;
        taken.checkpoint(END);
        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(ask_move(&mut broker.client, "t", "/b").await, ErrorCode::None);
        until_moved(&mut broker, &["/data: ", "/b: t"]).await;
        // Its segments are others than Kafka's.
        let lists = |files: Vec<(String, Vec<u8>)>| files.into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<u8>>();
        let replica = Path::new("/b/t-0");
        let names = machine.disk.list(replica).unwrap().into_iter().map(|entry| entry.name);
        let moved = names.filter(|name| name.ends_with("txnindex")).map(|name| {
            let bytes = read_file(&machine.disk, &replica.join(&name)).unwrap();
            (name, bytes)
        });
        assert_eq!(lists(moved.collect()), lists(of_kafka("t-0", "txnindex")));
        let ends = |lines: Vec<String>| lines.into_iter().filter(|line| !line.starts_with("fetch")).collect::<Vec<_>>();
        assert_eq!(ends(told(&mut broker.client, "t-0").await), ends(answers("t.tsv")));
    });
}

fn of_kafka(partition: &str, extension: &str) -> Vec<(String, Vec<u8>)> {
    files_of(partition).into_iter().filter(|(name, _)| name.ends_with(extension)).collect()
}

#[test]
fn what_is_lost_beside_the_log_is_found_in_it() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let taken = Taken::over(&machine, "t-0").await;
        let kafkas = of_kafka("t-0", "txnindex");
        let lose: [(&str, &dyn Fn()); 7] = [
            ("nothing", &|| {}),
            ("the lists", &|| taken.remove_all("txnindex")),
            ("the snapshots", &|| taken.remove_all("snapshot")),
            ("both", &|| {
                taken.remove_all("txnindex");
                taken.remove_all("snapshot");
            }),
            ("what was not synced", &|| {
                taken.checkpoint(31);
                taken.remove("00000000000000000031.txnindex");
                taken.remove("00000000000000000052.txnindex");
            }),
            ("a part", &|| {
                taken.checkpoint(END);
                let name = "t-0/00000000000000000040.txnindex";
                taken.machine.write(name, &taken.machine.read(name)[..50]);
            }),
            ("the sense of an entry", &|| {
                taken.checkpoint(END);
                let name = "t-0/00000000000000000021.txnindex";
                let mut bytes = taken.machine.read(name);
                bytes[18] = 0x7f;
                taken.machine.write(name, &bytes);
            }),
        ];
        for (what, lose) in lose {
            taken.lay("t-0");
            taken.checkpoint(0);
            lose();
            taken.check(what).await;
            assert_eq!(taken.read_all("txnindex"), kafkas, "{what}");
            taken.check(what).await;
            let snapshots = taken.read_all("snapshot");
            let (name, snapshot) = snapshots.last().unwrap();
            let kafkas = of_kafka("t-0", "snapshot");
            let (kafkas_name, kafkas) = kafkas.last().unwrap();
            assert_eq!((name, last_lines(snapshot)), (kafkas_name, last_lines(kafkas)), "{what}");
        }
    });
}

#[test]
fn what_was_cut_off_is_no_longer_aborted() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let taken = Taken::over(&machine, "t-0").await;
        // The last segment has two markers, and ends in the first now: nothing of it is told.
        let log = "t-0/00000000000000000052.log";
        let bytes = taken.machine.read(log);
        let mut at = 0;
        let marker = loop {
            let header = BatchHeader::parse(&bytes[at..]).unwrap();
            if header.attributes.is_control() {
                break header;
            }
            at += header.size_bytes();
        };
        taken.machine.write(log, &bytes[..at + 70]);
        let mut broker = taken.start().await;
        let first_open = 52;
        let Fetched { high_watermark, last_stable, .. } = broker.client.fetch_committed("t", 40, 1 << 20).await;
        assert_eq!((high_watermark, last_stable), (marker.base_offset, first_open));
        assert!(taken.machine.stop(broker).await.is_ok());
        let kafkas = of_kafka("t-0", "txnindex");
        assert_eq!(taken.read_all("txnindex"), kafkas[..kafkas.len() - 1]);
    });
}

#[test]
fn a_compacted_log_is_read_as_kafka_reads_it() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let taken = Taken::over(&machine, "u-0").await;
        taken.remove_all("txnindex");
        taken.remove_all("snapshot");
        taken.check("nothing beside the log").await;
        assert_eq!(taken.read_all("txnindex"), of_kafka("u-0", "txnindex"));
    });
}

#[test]
fn groups_have_the_offsets_that_transactions_committed() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let settings = [LISTENERS, ("offsets.topic.num.partitions", "1")];
        let mut broker = machine.start_set_up(&settings).await;
        let find = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
        let found = broker.client.call(&find, 4).await;
        assert_eq!(found.coordinators[0].error_code, ErrorCode::None.code());
        assert!(machine.stop(broker).await.is_ok());
        let taken = Taken { machine: &machine, name: "__consumer_offsets-0" };
        taken.lay("__consumer_offsets-0");
        taken.checkpoint(0);
        for _ in 0..2 {
            let mut broker = taken.machine.start_set_up(&settings).await;
            let mut lines = Vec::new();
            for (require_stable, word) in [(false, "committed"), (true, "stable")] {
                for group in ["g", "h", "i"] {
                    lines.extend(offsets(&mut broker, group, require_stable, word).await);
                }
            }
            assert_eq!(lines, answers("offsets.tsv"));
            assert!(taken.machine.stop(broker).await.is_ok());
        }
    });
}

async fn offsets(broker: &mut Broker, group: &str, require_stable: bool, word: &str) -> Vec<String> {
    let partition_indexes = (0..8).collect();
    let topics = vec![OffsetFetchRequestTopic { name: "p".into(), partition_indexes, ..Default::default() }];
    let request =
        OffsetFetchRequest { group_id: group.into(), topics: Some(topics), require_stable, ..Default::default() };
    loop {
        let answer = broker.client.call(&request, 7).await;
        match code(answer.error_code) {
            ErrorCode::CoordinatorLoadInProgress => {
                broker.process.rt().sleep(Duration::from_millis(1)).await;
                continue;
            }
            error => assert_eq!(error, ErrorCode::None),
        }
        let partitions = answer.topics[0].partitions.iter();
        let line = partitions.map(|one| {
            let metadata = one.metadata.as_deref().unwrap_or_default();
            let (partition, error, offset) = (one.partition_index, one.error_code, one.committed_offset);
            format!("{word} {group} p {partition}\t{error} {offset} {metadata}")
        });
        return line.collect();
    }
}
