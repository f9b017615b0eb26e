//! Group coordinators on a machine that fails: what was acknowledged stays, and a coordinator that has lost its way comes back.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use ottla_records::{BatchHeader, Codec};
use ottla_rt::{Lane, Stalls};
use ottla_storage::disk::{Operation, WatchedDisk};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
    ListGroupsRequest, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetFetchRequest,
    OffsetFetchRequestGroup, OffsetFetchRequestTopics, SyncGroupRequest, SyncGroupRequestAssignment,
};

use crate::panics::Bug;
use crate::support::*;

const LOG: &str = "__consumer_offsets-";
const SOON: Duration = Duration::from_secs(2);
/// Fewer partitions than the 50 of Kafka make a test faster.
const SETTINGS: &[(&str, &str)] = &[("listeners", "PLAINTEXT://127.0.0.1:9092"), ("offsets.topic.num.partitions", "3")];

pub async fn find(client: &mut Client) -> ErrorCode {
    let request = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
    code(client.call(&request, 6).await.coordinators[0].error_code)
}

pub async fn commit(client: &mut Client, offset: i64) -> ErrorCode {
    let partition = OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    let topic = OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    code(client.call(&request, 9).await.topics[0].partitions[0].error_code)
}

/// The offset that the group has committed, -1 if it has not.
async fn committed(client: &mut Client) -> Result<i64, ErrorCode> {
    let topic = OffsetFetchRequestTopics { name: "t".into(), partition_indexes: vec![0], ..Default::default() };
    let group = OffsetFetchRequestGroup { group_id: "g".into(), topics: Some(vec![topic]), ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
    let answer = client.call(&request, 9).await;
    match code(answer.groups[0].error_code) {
        ErrorCode::None => Ok(answer.groups[0].topics[0].partitions[0].committed_offset),
        error => Err(error),
    }
}

/// A broker with the topic `t`, whose group `g` has committed offset 1.
async fn begin(machine: &Machine, settings: &[(&str, &str)]) -> Broker {
    let mut broker = machine.start_set_up(settings).await;
    assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
    assert_eq!(find(&mut broker.client).await, ErrorCode::None, "the first one who asks makes the topic");
    settled(machine, &broker, 1).await;
    broker
}

/// Commits again and again until the coordinator is there.
async fn settled(machine: &Machine, broker: &Broker, offset: i64) {
    let rt = broker.process.rt();
    let mut client = machine.connect().await;
    while commit(&mut client, offset).await != ErrorCode::None {
        rt.sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(committed(&mut client).await, Ok(offset));
}

#[test]
fn what_is_committed_outlives_a_stop_and_a_kill() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let broker = begin(&machine, SETTINGS).await;
        machine.stop(broker).await.unwrap();
        let mut broker = machine.start_set_up(SETTINGS).await;
        broker.process.rt().sleep(SOON).await;
        assert_eq!(committed(&mut broker.client).await, Ok(1));
        assert_eq!(commit(&mut broker.client, 2).await, ErrorCode::None);
        machine.crash(broker).await;
        let mut broker = machine.start_set_up(SETTINGS).await;
        broker.process.rt().sleep(SOON).await;
        assert_eq!(committed(&mut broker.client).await, Ok(2));
    });
}

#[test]
fn commits_are_packed_as_configured_and_read_again() {
    let machine = Machine::new();
    let packed: Vec<_> = SETTINGS.iter().copied().chain([("offsets.topic.compression.codec", "4")]).collect();
    machine.world.block_on(async {
        machine.crash(begin(&machine, &packed).await).await;
        let logs = machine.list("/data").into_iter().filter(|name| name.starts_with("__consumer_offsets-"));
        let logs: Vec<_> = logs.map(|name| machine.read(&format!("/data/{name}/00000000000000000000.log"))).collect();
        let codecs: Vec<_> = logs.iter().filter_map(|log| BatchHeader::parse(log).ok()?.attributes.codec()).collect();
        assert_eq!(codecs, [Codec::Zstd]);
        let mut broker = machine.start_set_up(SETTINGS).await;
        broker.process.rt().sleep(SOON).await;
        assert_eq!(committed(&mut broker.client).await, Ok(1));
    });
}

#[test]
fn a_coordinator_that_is_loading_says_so() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = begin(&machine, SETTINGS).await;
        // A disk that takes its time: the log is read again, on a thread for blocking work.
        broker.process.set_stalls(Stalls { per_mille: 1000, ms_max: 4000 });
        machine.disk.fail_next(Operation::Write, LOG, ErrorKind::Other);
        assert_eq!(commit(&mut broker.client, 2).await, ErrorCode::NotCoordinator);
        broker.process.rt().sleep(Duration::from_millis(150)).await;
        assert_eq!(commit(&mut broker.client, 2).await, ErrorCode::CoordinatorLoadInProgress);
        let request = ListGroupsRequest::default();
        assert_eq!(code(broker.client.call(&request, 4).await.error_code), ErrorCode::CoordinatorLoadInProgress);
        let member = JoinGroupResponse { member_id: "m".into(), ..Default::default() };
        assert_eq!(beat(&mut broker.client, &member).await, ErrorCode::None, "clients give up where they are told");
        broker.process.rt().sleep(Duration::from_secs(20)).await;
        assert_eq!(committed(&mut broker.client).await, Ok(1));
    });
}

#[test]
fn a_log_that_cannot_be_read_takes_its_own_groups_away_and_no_others() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let broker = begin(&machine, SETTINGS).await;
        machine.stop(broker).await.unwrap();
        let logs = (0..3).map(|index| format!("{LOG}{index}/00000000000000000000.log"));
        let log = logs.into_iter().find(|log| !machine.read(log).is_empty()).expect("the group is in one of them");
        let mut bytes = machine.read(&log);
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        machine.write(&log, &bytes);
        let mut broker = machine.start_set_up(SETTINGS).await;
        broker.process.rt().sleep(SOON).await;
        let listed = broker.client.call(&ListGroupsRequest::default(), 4).await;
        assert_eq!((code(listed.error_code), listed.groups.len()), (ErrorCode::None, 0));
        assert_eq!(committed(&mut broker.client).await, Err(ErrorCode::NotCoordinator));
    });
}

#[test]
fn a_topic_that_goes_while_its_coordinator_is_loading_takes_its_offsets_with_it() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = begin(&machine, SETTINGS).await;
        machine.disk.fail_next(Operation::Write, LOG, ErrorKind::Other);
        assert_eq!(commit(&mut broker.client, 2).await, ErrorCode::NotCoordinator);
        assert_eq!(broker.client.delete("t", 1000).await, ErrorCode::None);
        assert_eq!(committed(&mut broker.client).await, Err(ErrorCode::CoordinatorLoadInProgress));
        broker.process.rt().sleep(SOON).await;
        assert_eq!(committed(&mut broker.client).await, Ok(-1));
    });
}

#[test]
fn where_only_what_is_flushed_counts_a_commit_waits_for_the_disk() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let settings = [SETTINGS, &[("log.flush.interval.messages", "1")]].concat();
        let mut broker = begin(&machine, &settings).await;
        let rt = broker.process.rt();
        machine.disk.fail_all(Operation::Sync, LOG, ErrorKind::Other);
        assert_eq!(commit(&mut broker.client, 2).await, ErrorCode::NotCoordinator, "nobody knows what becomes of it");
        assert!(committed(&mut broker.client).await.is_err());
        machine.disk.mend();
        rt.sleep(Duration::from_secs(10)).await;
        settled(&machine, &broker, 3).await;
        machine.crash(broker).await;
        machine.disk.power_loss();
        let mut broker = machine.start_set_up(&settings).await;
        broker.process.rt().sleep(SOON).await;
        assert_eq!(committed(&mut broker.client).await, Ok(3));
    });
}

#[test]
fn a_commit_does_not_wait_for_ever_for_a_disk_that_stalls() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let settings =
            [SETTINGS, &[("log.flush.interval.messages", "1"), ("offsets.commit.timeout.ms", "700")]].concat();
        let mut broker = begin(&machine, &settings).await;
        let rt = broker.process.rt();
        broker.process.set_stalls(Stalls { per_mille: 1000, ms_max: 20_000 });
        let began_ms = rt.now().mono_ms;
        assert_eq!(commit(&mut broker.client, 2).await, ErrorCode::NotCoordinator);
        assert!((700..1500).contains(&(rt.now().mono_ms - began_ms)));
        broker.process.set_stalls(Stalls::default());
        rt.sleep(Duration::from_secs(60)).await;
        settled(&machine, &broker, 3).await;
    });
}

#[test]
fn a_commit_that_cannot_be_written_is_refused_and_forgotten() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = begin(&machine, SETTINGS).await;
        machine.disk.fail_next(Operation::Write, LOG, ErrorKind::StorageFull);
        assert_eq!(commit(&mut broker.client, 2).await, ErrorCode::NotCoordinator);
        assert_eq!(committed(&mut broker.client).await, Err(ErrorCode::CoordinatorLoadInProgress));
        broker.process.rt().sleep(SOON).await;
        assert_eq!(committed(&mut broker.client).await, Ok(1));
        assert_eq!(commit(&mut broker.client, 3).await, ErrorCode::None);
        assert_eq!(committed(&mut broker.client).await, Ok(3));
        assert!(machine.stop(broker).await.is_ok());
    });
}

#[test]
fn a_coordinator_in_which_a_bug_has_struck_is_loaded_again() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let broker = begin(&machine, SETTINGS).await;
        machine.stop(broker).await.unwrap();
        let bug = Bug::of(Operation::Write);
        let disk = Arc::new(WatchedDisk::new(machine.disk.clone(), bug.clone()));
        let mut broker = machine.start_on(disk).await.unwrap();
        let rt = broker.process.rt();
        settled(&machine, &broker, 1).await;
        bug.strike();
        let mut client = machine.connect().await;
        let dies = rt.spawn(Lane::Data, "client", async move { commit(&mut client, 2).await });
        assert!(dies.await.is_err(), "its connection is gone");
        bug.go();
        rt.sleep(Duration::from_secs(7)).await;
        assert_eq!(committed(&mut broker.client).await, Ok(1));
        assert_eq!(commit(&mut broker.client, 3).await, ErrorCode::None);
        assert!(machine.stop(broker).await.is_ok());
    });
}

pub async fn join(client: &mut Client, member_id: &str) -> JoinGroupResponse {
    let protocol = JoinGroupRequestProtocol { name: "range".into(), ..Default::default() };
    let request = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: member_id.into(),
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    };
    // A new member is told its id by version 4 only.
    client.call(&request, 3).await
}

async fn sync(client: &mut Client, joined: &JoinGroupResponse) -> ErrorCode {
    let assignments = joined.members.iter().map(|member| SyncGroupRequestAssignment {
        member_id: member.member_id.clone(),
        assignment: vec![1].into(),
        ..Default::default()
    });
    let request = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        assignments: assignments.collect(),
        ..Default::default()
    };
    code(client.call(&request, 3).await.error_code)
}

async fn beat(client: &mut Client, joined: &JoinGroupResponse) -> ErrorCode {
    let request = HeartbeatRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        ..Default::default()
    };
    code(client.call(&request, 3).await.error_code)
}

async fn state(client: &mut Client) -> String {
    let listed = client.call(&ListGroupsRequest::default(), 4).await;
    listed.groups.iter().map(|group| group.group_state.to_string()).collect()
}

#[test]
fn time_alone_moves_a_group_and_a_restart_keeps_its_members() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = begin(&machine, SETTINGS).await;
        let began_ms = broker.process.rt().now().mono_ms;
        let joined = join(&mut broker.client, "").await;
        let waited_ms = broker.process.rt().now().mono_ms - began_ms;
        assert!((3000..3500).contains(&waited_ms), "the first member waits for more, {waited_ms} ms");
        assert_eq!(sync(&mut broker.client, &joined).await, ErrorCode::None);
        assert_eq!(beat(&mut broker.client, &joined).await, ErrorCode::None);
        assert_eq!(state(&mut broker.client).await, "Stable");
        machine.crash(broker).await;

        let mut broker = machine.start_set_up(SETTINGS).await;
        broker.process.rt().sleep(SOON).await;
        assert_eq!(beat(&mut broker.client, &joined).await, ErrorCode::None, "it is a member still");
        broker.process.rt().sleep(Duration::from_secs(9)).await;
        assert_eq!(state(&mut broker.client).await, "Stable");
        broker.process.rt().sleep(SOON).await;
        assert_eq!(state(&mut broker.client).await, "Empty", "its session is over");
        assert_eq!(beat(&mut broker.client, &joined).await, ErrorCode::UnknownMemberId);
    });
}

#[test]
fn who_waits_for_others_is_answered_when_the_broker_stops() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let broker = begin(&machine, SETTINGS).await;
        let rt = broker.process.rt();
        let mut client = machine.connect().await;
        let waits = rt.spawn(Lane::Data, "client", async move { join(&mut client, "").await });
        rt.sleep(Duration::from_millis(100)).await;
        let began_ms = rt.now().mono_ms;
        assert!(machine.stop(broker).await.is_ok());
        assert!(rt.now().mono_ms - began_ms < 1000);
        assert_eq!(waits.await.map(|joined| code(joined.error_code)), Ok(ErrorCode::NotCoordinator));
    });
}
