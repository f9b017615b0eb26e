//! What the outside can make grow has an end.

use ottla_base::Uuid;
use ottla_group::{
    Command, Config, ConsumerGroupHeartbeat, DeletedTopic, JoinGroup, LeaveGroup, OffsetCommit, PENDING_MEMBERS_MAX,
    Record, Reply, Topic, Topics,
};
use ottla_machine::Waiter;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    ConsumerGroupHeartbeatRequest, DeleteGroupsRequest, JoinGroupRequest, JoinGroupRequestProtocol, LeaveGroupRequest,
    MemberIdentity, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

use crate::node::Node;
use crate::show;

fn join(node: &mut Node, client_id: &str, number: usize) -> ErrorCode {
    let protocol = JoinGroupRequestProtocol { name: "range".into(), ..Default::default() };
    let request = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    };
    let uuid = Uuid((number as u128).to_be_bytes());
    let join = JoinGroup { request, version: 9, client_id: client_id.into(), client_host: "/h".into(), uuid };
    let (_, replies) = node.submit(Waiter(1), Command::JoinGroup(join));
    let [(_, Reply::JoinGroup(reply))] = &*replies else { panic!("one answer: {replies:?}") };
    show::code(reply.error_code)
}

#[test]
fn members_that_do_not_join_are_limited_and_forgotten() {
    let mut node = Node::new(Config::default());
    for number in 0..PENDING_MEMBERS_MAX {
        assert_eq!(join(&mut node, "c", number), ErrorCode::MemberIdRequired);
    }
    assert_eq!(join(&mut node, "c", PENDING_MEMBERS_MAX), ErrorCode::GroupMaxSizeReached);
    node.pass(10_000);
    assert_eq!(join(&mut node, "c", PENDING_MEMBERS_MAX), ErrorCode::MemberIdRequired);
}

#[test]
fn the_id_of_a_member_fits_into_a_string() {
    let mut node = Node::new(Config::default());
    let longest = i16::MAX as usize - 37;
    assert_eq!(join(&mut node, &"c".repeat(longest), 1), ErrorCode::MemberIdRequired);
    assert_eq!(join(&mut node, &"c".repeat(longest + 1), 2), ErrorCode::InvalidRequest);
}

#[test]
fn many_old_offsets_are_forgotten_bit_by_bit() {
    const PARTITIONS: i32 = 3_500;
    let config =
        Config { offsets_retention_ms: 1_000, offsets_retention_check_interval_ms: 2_000, ..Config::default() };
    let mut node = Node::new(config);
    for group in ["g", "h"] {
        commit(&mut node, group, PARTITIONS);
    }
    let mut slices = Vec::new();
    while node.now.mono_ms < 2_500 {
        let (records, _) = node.pass(2_500);
        assert!(records.iter().map(|(_, record)| record.bytes_max()).sum::<usize>() < config.batch_bytes_max);
        slices.push(records);
    }
    let gone: Vec<&Record> = slices.iter().flatten().map(|(_, record)| record).collect();
    assert_eq!(gone.len(), 2 * PARTITIONS as usize + 2);
    assert!(slices.iter().all(|slice| slice.len() <= 1_001));
    assert!(gone.iter().all(|record| matches!(record, Record::OffsetCommit(_, None) | Record::GroupMetadata(_, None))));
    assert_eq!(node.shard.deadline(), Some(node.now.mono_ms + 1_500 + 7), "the next search");
}

/// Commits for so many partitions of `t`.
fn commit(node: &mut Node, group: &str, partitions: i32) {
    let partitions = (0..partitions).map(|partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: 1,
        ..Default::default()
    });
    let topic = OffsetCommitRequestTopic { name: "t".into(), partitions: partitions.collect(), ..Default::default() };
    let request = OffsetCommitRequest { group_id: group.into(), topics: vec![topic], ..Default::default() };
    node.submit(Waiter(1), Command::OffsetCommit(OffsetCommit { request: request.into(), version: 9 }));
}

/// One whose batches are small, with offsets that came while they were not.
fn small(batch_bytes_max: usize, partitions: i32) -> Node {
    let mut node = Node::new(Config::default());
    commit(&mut node, "g", partitions);
    node.config.batch_bytes_max = batch_bytes_max;
    node.crash();
    node
}

fn assert_fits(node: &Node, records: &[(i64, Record)]) {
    let bytes = 61 + records.iter().map(|(_, record)| record.bytes_max()).sum::<usize>();
    assert!(bytes <= node.config.batch_bytes_max, "{bytes} bytes");
}

#[test]
fn a_group_with_many_offsets_is_deleted_bit_by_bit() {
    let mut node = small(10_000, 1_000);
    let mut codes = Vec::new();
    while codes.last() != Some(&ErrorCode::None) {
        let request = DeleteGroupsRequest { groups_names: vec!["g".into()], ..Default::default() };
        let (records, replies) = node.submit(Waiter(1), Command::DeleteGroups(request));
        assert_fits(&node, &records);
        let [(_, Reply::DeleteGroups(reply))] = &*replies else { panic!("one answer: {replies:?}") };
        codes.push(show::code(reply.results[0].error_code));
    }
    assert_eq!(codes.len(), 4);
    assert!(codes[..3].iter().all(|code| *code == ErrorCode::CoordinatorLoadInProgress));
    assert_eq!(node.shard.hard().offset("g", "t", 999), None);
}

#[test]
fn many_offsets_of_a_topic_that_is_gone_are_forgotten_bit_by_bit() {
    let mut node = small(10_000, 1_000);
    let gone = DeletedTopic { name: "t".into(), id: Uuid([7; 16]) };
    let (records, _) = node.submit(Waiter(1), Command::TopicsDeleted(vec![gone]));
    let mut count = records.len();
    assert_fits(&node, &records);
    while count < 1_000 {
        let (records, _) = node.pass(i64::MAX);
        assert_fits(&node, &records);
        assert!(!records.is_empty() && node.now.mono_ms < 100);
        count += records.len();
    }
    assert_eq!(node.shard.hard().offset("g", "t", 999), None);
}

/// Members of groups of their own, each of which says so much of itself, until one is refused.
fn talkers(node: &mut Node, metadata_bytes: usize) -> usize {
    for number in 0.. {
        let metadata = vec![0; metadata_bytes].into();
        let protocol = JoinGroupRequestProtocol { name: "range".into(), metadata, ..Default::default() };
        let request = JoinGroupRequest {
            group_id: format!("talk{number}").into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..Default::default()
        };
        let uuid = Uuid((number as u128).to_be_bytes());
        let join = JoinGroup { request, version: 3, client_id: "c".into(), client_host: "/h".into(), uuid };
        let (_, replies) = node.submit(Waiter(1), Command::JoinGroup(join));
        match &*replies {
            [] => {}
            [(_, Reply::JoinGroup(reply))] => {
                assert_eq!(show::code(reply.error_code), ErrorCode::GroupMaxSizeReached);
                return number;
            }
            other => panic!("one answer at most: {other:?}"),
        }
    }
    unreachable!("there is a limit")
}

#[test]
fn what_members_say_is_limited_and_forgotten() {
    let mut node = Node::new(Config::default());
    assert_eq!(talkers(&mut node, 1 << 20), 63);
    // A second later all are in a generation, and their sessions have ended after ten more.
    while node.now.mono_ms < 60_000 {
        node.pass(60_000);
    }
    assert_eq!(talkers(&mut node, 1 << 20), 63);
}

#[test]
fn an_offset_takes_what_is_said_of_it() {
    let mut node = Node::new(Config::default());
    commit(&mut node, "a group", 14_000);
    assert_eq!(node.log.len(), 14_000);
}

#[test]
fn a_member_that_is_refused_leaves_a_group_with_offsets_as_it_is() {
    let mut node = consumers(topics(2_000, 1));
    commit(&mut node, "c", 1);
    let before = node.log.len();
    let many = |request: &mut ConsumerGroupHeartbeatRequest| {
        request.subscribed_topic_names = Some((0..2_000).map(|name| format!("t{name}").into()).collect());
    };
    assert_eq!(enter(&mut node, "a", many), ErrorCode::UnknownServerError);
    assert_eq!(node.log.len(), before);
}

fn topics(count: u32, partitions: i32) -> Topics {
    let mut topics = Topics::default();
    for number in 0..count {
        let topic = Topic { id: Uuid(u128::from(number + 1).to_be_bytes()), partitions, racks: Vec::new() };
        topics.insert(format!("t{number}").into(), topic);
    }
    topics
}

/// What a member is answered that joins, or says what `change` makes of it.
fn enter(node: &mut Node, member: &str, change: impl FnOnce(&mut ConsumerGroupHeartbeatRequest)) -> ErrorCode {
    let mut request = ConsumerGroupHeartbeatRequest {
        group_id: "c".into(),
        member_id: member.into(),
        rebalance_timeout_ms: 1_000,
        subscribed_topic_names: Some(vec!["t0".into()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    change(&mut request);
    let heartbeat = ConsumerGroupHeartbeat {
        request,
        version: 1,
        client_id: "c".into(),
        client_host: "/h".into(),
        uuid: Uuid::ZERO,
    };
    let (records, replies) = node.submit(Waiter(1), Command::ConsumerGroupHeartbeat(heartbeat));
    assert_fits(node, &records);
    let [(_, Reply::ConsumerGroupHeartbeat(reply))] = &*replies else { panic!("one answer: {replies:?}") };
    show::code(reply.error_code)
}

/// One in which each heartbeat may have a new target.
fn consumers(topics: Topics) -> Node {
    let config = Config { batch_bytes_max: 10_000, consumer_assignment_interval_ms: 0, ..Config::default() };
    let mut node = Node::new(config);
    node.topics = topics;
    node.crash();
    node
}

#[test]
fn a_target_that_a_batch_cannot_hold_is_refused_to_who_comes_and_kept_from_the_others() {
    let mut node = consumers(topics(1, 1_000));
    node.config.consumer_assignment_interval_ms = 1_000;
    node.crash();
    // Its target and what it gets do not fit into one batch: the target is left for another heartbeat.
    assert_eq!(enter(&mut node, "m0", |_| {}), ErrorCode::None);
    for number in 1..200 {
        assert_eq!(enter(&mut node, &format!("m{number}"), |_| {}), ErrorCode::None);
    }
    node.pass(1_000);
    assert_eq!(enter(&mut node, "n", |_| {}), ErrorCode::UnknownServerError);
    let beat = |request: &mut ConsumerGroupHeartbeatRequest| {
        request.member_epoch = 1;
        request.topic_partitions = None;
    };
    assert_eq!(enter(&mut node, "n", beat), ErrorCode::UnknownMemberId);
    assert_eq!(enter(&mut node, "m0", beat), ErrorCode::None);
}

#[test]
fn what_a_member_says_and_what_its_pattern_matches_fit_into_a_batch() {
    let mut node = consumers(topics(2_000, 1));
    let many = |request: &mut ConsumerGroupHeartbeatRequest| {
        request.subscribed_topic_names = Some((0..2_000).map(|name| format!("t{name}").into()).collect());
    };
    assert_eq!(enter(&mut node, "a", many), ErrorCode::UnknownServerError);
    let all = |request: &mut ConsumerGroupHeartbeatRequest| request.subscribed_topic_regex = Some("t.*".into());
    assert_eq!(enter(&mut node, "a", all), ErrorCode::UnknownServerError);
    assert_eq!(node.log.len(), 0, "who was refused has left nothing");
    let some = |request: &mut ConsumerGroupHeartbeatRequest| request.subscribed_topic_regex = Some("t1.".into());
    assert_eq!(enter(&mut node, "a", some), ErrorCode::None);
}

#[test]
fn so_many_leave_at_once_as_a_batch_can_say() {
    let mut node = consumers(topics(1, 2));
    let names: Vec<String> = (0..60).map(|number| format!("m{number}")).collect();
    names.iter().for_each(|name| assert_eq!(enter(&mut node, name, |_| {}), ErrorCode::None));
    let members = names.iter().map(|name| MemberIdentity { member_id: (**name).into(), ..Default::default() });
    let request = LeaveGroupRequest { group_id: "c".into(), members: members.collect(), ..Default::default() };
    let leave = LeaveGroup { request, version: 5 };
    let (records, replies) = node.submit(Waiter(1), Command::LeaveGroup(leave));
    assert_fits(&node, &records);
    let [(_, Reply::LeaveGroup(reply))] = &*replies else { panic!("one answer: {replies:?}") };
    let gone = reply.members.iter().filter(|member| member.error_code == 0).count();
    assert_eq!(3 * gone + 1, records.len());
    assert!((20..60).contains(&gone), "{gone}");
}
