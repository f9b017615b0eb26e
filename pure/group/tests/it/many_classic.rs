//! A classic group with many members becomes a consumer group and classic again: each time in one batch that the log can
//! take, or not at all.

use bytes::Bytes;
use ottla_base::Uuid;
use ottla_group::{Command, Config, ConsumerGroupHeartbeat, JoinGroup, Record, Reply, SyncGroup, Topic, Topics};
use ottla_machine::Waiter;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    ConsumerGroupHeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, ListGroupsRequest, SyncGroupRequest,
    SyncGroupRequestAssignment,
};
use ottla_wire::records::consumer_protocol::ConsumerProtocolAssignment;
use ottla_wire::records::consumer_protocol::consumer_protocol_assignment::TopicPartition;
use ottla_wire::{Writer, records::encode_versioned};

use crate::node::{Done, Node};
use crate::show;
use crate::transcripts::subscription;

/// Each member has as many partitions.
const SHARE: i32 = 3;

/// A stable group of so many members.
fn stable(members: i32) -> Node {
    let config = Config { initial_rebalance_delay_ms: 0, consumer_assignment_interval_ms: 0, ..Config::default() };
    let mut node = Node::new(config);
    let mut topics = Topics::default();
    topics.insert("t".into(), Topic { id: Uuid([1; 16]), partitions: SHARE * members, racks: Vec::new() });
    node.topics = topics;
    node.crash();
    for number in 0..members {
        let protocol =
            JoinGroupRequestProtocol { name: "range".into(), metadata: subscription("t"), ..Default::default() };
        let request = JoinGroupRequest {
            group_id: "g".into(),
            session_timeout_ms: 45_000,
            rebalance_timeout_ms: 300_000,
            group_instance_id: Some(format!("n{number}").into()),
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..Default::default()
        };
        let uuid = Uuid((number as u128).to_be_bytes());
        let join = JoinGroup { request, version: 5, client_id: "client".into(), client_host: "/10.0.0.1".into(), uuid };
        node.submit(Waiter(number as u64), Command::JoinGroup(join));
    }
    let (_, replies) = node.pass(1);
    let leader = replies.into_iter().find_map(|(_, reply)| match reply {
        Reply::JoinGroup(reply) if !reply.members.is_empty() => Some(reply),
        _ => None,
    });
    let leader = leader.unwrap();
    let given = leader.members.iter().zip(0..).map(|(member, number)| SyncGroupRequestAssignment {
        member_id: member.member_id.clone(),
        assignment: assignment(number),
        ..Default::default()
    });
    let request = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: leader.generation_id,
        member_id: leader.leader.clone(),
        assignments: given.collect(),
        ..Default::default()
    };
    let done = node.submit(Waiter(0), Command::SyncGroup(SyncGroup { request, version: 3 }));
    assert_fits(&node, &done);
    assert_eq!(kind(&mut node), "classic");
    node
}

fn assignment(number: i32) -> Bytes {
    let partitions = (SHARE * number..SHARE * (number + 1)).collect();
    let assigned_partitions = vec![TopicPartition { topic: "t".into(), partitions }];
    let mut bytes = Vec::new();
    let assignment = ConsumerProtocolAssignment { assigned_partitions, user_data: None };
    encode_versioned(&assignment, &mut Writer::new(&mut bytes), 3);
    bytes.into()
}

fn kind(node: &mut Node) -> String {
    let (_, replies) = node.submit(Waiter(1), Command::ListGroups(ListGroupsRequest::default()));
    let [(_, Reply::ListGroups(reply))] = &*replies else { panic!("a list: {replies:?}") };
    reply.groups[0].group_type.to_string()
}

fn bytes((records, _): &Done) -> usize {
    61 + records.iter().map(|(_, record)| Record::bytes_max(record)).sum::<usize>()
}

fn assert_fits(node: &Node, done: &Done) {
    assert!(bytes(done) <= node.config.batch_bytes_max, "{} bytes", bytes(done));
}

/// A member of the consumer protocol comes, or goes. With a name it takes the place of another.
fn beat(node: &mut Node, instance_id: Option<&str>, member_epoch: i32) -> Done {
    let request = ConsumerGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: "new".into(),
        member_epoch,
        instance_id: instance_id.map(Into::into),
        rebalance_timeout_ms: 300_000,
        subscribed_topic_names: Some(vec!["t".into()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    let (client_id, client_host) = ("client".into(), "/10.0.0.1".into());
    let heartbeat = ConsumerGroupHeartbeat { request, version: 1, client_id, client_host, uuid: Uuid::ZERO };
    node.submit(Waiter(1), Command::ConsumerGroupHeartbeat(heartbeat))
}

fn code((_, replies): &Done) -> ErrorCode {
    let Some((_, Reply::ConsumerGroupHeartbeat(reply))) = replies.last() else { panic!("an answer: {replies:?}") };
    show::code(reply.error_code)
}

#[test]
fn a_group_changes_whole_or_not_at_all() {
    const MEMBERS: i32 = 20;
    for instance in [None, Some("n0")] {
        let mut outcomes = Vec::new();
        for batch_bytes_max in (8_000..20_000).step_by(20) {
            let mut node = stable(MEMBERS);
            node.config.batch_bytes_max = batch_bytes_max;
            node.crash();
            let done = beat(&mut node, instance, 0);
            assert_fits(&node, &done);
            let is_changed = kind(&mut node) == "consumer";
            assert_eq!(is_changed, code(&done) == ErrorCode::None, "with {batch_bytes_max} bytes: {}", code(&done));
            if is_changed {
                let done = beat(&mut node, instance, -1);
                assert_fits(&node, &done);
                assert_eq!(code(&done), ErrorCode::None);
            }
            outcomes.push(is_changed);
        }
        assert!(outcomes.is_sorted() && !outcomes[0] && outcomes[outcomes.len() - 1]);
    }
}

#[test]
fn a_thousand_members_change_at_once_and_back() {
    let mut node = stable(1_000);
    for (member_epoch, becomes) in [(0, "consumer"), (-1, "classic")] {
        let done = beat(&mut node, None, member_epoch);
        assert_fits(&node, &done);
        assert_eq!((code(&done), &*kind(&mut node)), (ErrorCode::None, becomes));
    }
}
