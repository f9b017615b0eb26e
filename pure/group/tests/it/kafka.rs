//! A log that Kafka wrote: each record is read and written back as it was, and the groups in it are there.

use std::fs;
use std::path::Path;

use ottla_base::Uuid;
use ottla_group::{
    Command, Config, ConsumerGroupHeartbeat, DescribeGroups, GroupConfigs, Record, Reply, Soft, Topic, Topics,
};
use ottla_machine::Waiter;
use ottla_wire::messages::consumer_group_heartbeat_response::TopicPartitions;
use ottla_wire::messages::{ConsumerGroupHeartbeatRequest, DescribeGroupsRequest, ListGroupsRequest};

use crate::node::Node;

const CLASSIC: &str = "kafka-4.3.1.txt";
const CONSUMER: &str = "kafka-4.3.1-consumer.txt";
const MIGRATION: &str = "kafka-4.3.1-migration.txt";

fn log(file: &str) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file);
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .enumerate()
        .map(|(offset, line)| {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words[0].parse(), Ok(offset));
            (bytes(words[1]), (words[2] != "-").then(|| bytes(words[2])))
        })
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The log up to `end`, as it is after the coordinator has moved here from Kafka.
fn loaded(file: &str, end: usize) -> Node {
    let mut node = Node::new(Config::default());
    node.topics = topics();
    node.log = log(file);
    node.log.truncate(end);
    let soft = Soft::new(node.config).with(node.topics.clone(), GroupConfigs::default());
    let (shard, batch) = node.load().start(end as i64, soft, node.now);
    assert_eq!(batch.records, []);
    node.shard = shard;
    node.shard.high_watermark(end as i64);
    node
}

/// Those of the second log.
fn topics() -> Topics {
    let mut topics = Topics::default();
    for (name, id, partitions) in [("t", T, 4), ("u", U, 2)] {
        let racks = vec![["ra".into()].into(); partitions as usize];
        topics.insert(name.into(), Topic { id: Uuid(id.to_be_bytes()), partitions, racks });
    }
    topics
}

const T: u128 = 0x565b46885e72489ebe036cf241cf1643;
const U: u128 = 0x25fe7c1388134bcfa4d0bdad68e60903;

#[test]
fn every_record_is_written_as_it_was_read() {
    for (key, value) in [CLASSIC, CONSUMER, MIGRATION].into_iter().flat_map(log) {
        let record = Record::decode(&key, value.as_deref()).unwrap().unwrap();
        assert_eq!(record.encode(), (key, value));
    }
}

#[test]
fn any_beginning_of_the_log_can_be_loaded() {
    for file in [CLASSIC, CONSUMER, MIGRATION] {
        for end in 0..=log(file).len() {
            loaded(file, end);
        }
    }
}

#[test]
fn the_groups_are_there() {
    let mut node = loaded(CLASSIC, LAST_STABLE);
    let (_, replies) = node.submit(Waiter(1), Command::ListGroups(ListGroupsRequest::default()));
    let Some((_, Reply::ListGroups(reply))) = replies.into_iter().next() else { panic!("a list") };
    let groups: Vec<_> = reply.groups.iter().map(|group| (&*group.group_id, &*group.group_state)).collect();
    assert_eq!(groups, [("g1", "Empty"), ("gnew", "Empty"), ("s1", "Empty"), ("st", "Stable")]);

    let request = DescribeGroupsRequest { groups: vec!["st".into()], ..Default::default() };
    let (_, replies) = node.submit(Waiter(1), Command::DescribeGroups(DescribeGroups { request, version: 6 }));
    let Some((_, Reply::DescribeGroups(reply))) = replies.into_iter().next() else { panic!("a description") };
    let [member] = &*reply.groups[0].members else { panic!("one member: {reply:?}") };
    assert_eq!(member.group_instance_id.as_deref(), Some("inst"));
    assert_eq!(member.member_id, "inst-d41e10fc-ed76-4879-9799-eccb66c60ff3".into());
    assert_eq!(member.member_assignment, "AA");

    let offset = node.shard.hard().offset("g1", "t", 0).unwrap();
    assert_eq!((offset.offset, offset.topic_id.is_zero()), (5, false));
    let offset = node.shard.hard().offset("s1", "t", 1).unwrap();
    assert_eq!(offset.expires_ms, Some(offset.committed_ms + 3_600_000));
}

/// Behind the record in which the static member has its third id, before the group becomes empty.
const LAST_STABLE: usize = 32;

/// Behind the record in which the second member of `g` has all that it shall have.
const SETTLED: usize = 14;
/// Behind the record in which the member of `r`, which subscribes to a pattern, has all.
const MATCHED: usize = 38;

/// What a member says that knows what Kafka told it last.
fn heartbeat(node: &mut Node, group: &str, member: &str, epoch: i32) -> (Vec<String>, Reply) {
    let request = ConsumerGroupHeartbeatRequest {
        group_id: group.into(),
        member_id: member.into(),
        member_epoch: epoch,
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    let heartbeat = ConsumerGroupHeartbeat {
        request,
        version: 1,
        client_id: "cli".into(),
        client_host: "/127.0.0.1".into(),
        uuid: Uuid::ZERO,
    };
    let (records, mut replies) = node.submit(Waiter(1), Command::ConsumerGroupHeartbeat(heartbeat));
    (records.iter().map(|(_, record)| crate::show::record(record)).collect(), replies.remove(0).1)
}

#[test]
fn members_of_kafka_go_on_undisturbed() {
    let mut node = loaded(CONSUMER, SETTLED);
    for member in ["a", "b"] {
        let (records, reply) = heartbeat(&mut node, "g", member, 4);
        let Reply::ConsumerGroupHeartbeat(reply) = reply else { panic!("a heartbeat") };
        assert_eq!((records, reply.error_code, reply.member_epoch, reply.assignment), (vec![], 0, 4, None));
    }
    let mut node = loaded(CONSUMER, MATCHED);
    let (records, reply) = heartbeat(&mut node, "r", "x", 2);
    let Reply::ConsumerGroupHeartbeat(reply) = reply else { panic!("a heartbeat") };
    assert_eq!((records, reply.error_code, reply.member_epoch, reply.assignment), (vec![], 0, 2, None));
}

/// What Kafka had done next when `b` was lost and `a` came back: the same records, but for the time in one of them.
#[test]
fn a_group_goes_on_as_kafka_would_have() {
    let mut node = loaded(CONSUMER, SETTLED);
    let leave = ConsumerGroupHeartbeat {
        request: ConsumerGroupHeartbeatRequest {
            group_id: "g".into(),
            member_id: "a".into(),
            member_epoch: -1,
            ..Default::default()
        },
        version: 1,
        client_id: "cli".into(),
        client_host: "/127.0.0.1".into(),
        uuid: Uuid::ZERO,
    };
    let (records, _) = node.submit(Waiter(1), Command::ConsumerGroupHeartbeat(leave));
    let records: Vec<_> = records.iter().map(|(_, record)| record.encode()).collect();
    assert_eq!(records, log(CONSUMER)[LEFT..LEFT + 4]);

    let (_, reply) = heartbeat(&mut node, "g", "b", 4);
    let Reply::ConsumerGroupHeartbeat(reply) = reply else { panic!("a heartbeat") };
    let all = TopicPartitions { topic_id: Uuid(T.to_be_bytes()), partitions: vec![0, 1, 2, 3], ..Default::default() };
    assert_eq!(reply.assignment.unwrap().topic_partitions, [all]);
}

/// The record with which `a` begins to leave.
const LEFT: usize = 48;
