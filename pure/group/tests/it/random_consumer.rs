//! Members of a consumer group that come, go, fall silent, lose answers and are restarted in any order, while topics grow
//! and the coordinator crashes now and then.
//!
//! Whatever happens: a partition has one owner, in the log and among those who read; epochs rise; who commits for what it
//! may not own is refused; what was committed is found; the log says all. And once things calm down, each partition is
//! read by somebody who subscribes to it, and heartbeats write nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_group::{Command, Config, ConsumerGroupHeartbeat, OffsetCommit, OffsetFetch, Record, Reply, Topic, Topics};
use ottla_machine::Waiter;
use ottla_wire::ErrorCode;
use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use ottla_wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, OffsetCommitRequest,
    OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetFetchRequestGroup,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::node::{Done, Node};
use crate::show;

const GROUP: &str = "g";
const CLIENTS: usize = 4;
/// Clients below this one have names that outlive them.
const STATIC: usize = 2;
const SESSION_MS: i32 = 2_000;
const REBALANCE_MS: i32 = 1_000;
const ROUND_MS: i64 = 150;
/// Enough for every ghost of a member to be noticed, for each interval, and for a few rebalances after that.
const ROUNDS_MAX: usize = 150;

/// A topic and a partition of it.
type Place = (Uuid, i32);

#[derive(Clone, Debug)]
enum Act {
    /// All clients but one send their heartbeats and do as they are told, and a little time passes.
    Round(usize),
    Beat(usize),
    /// The answer does not arrive.
    BeatInVain(usize),
    /// Reads only what it was told to read.
    Follow(usize),
    Subscribe(usize, u8),
    Leave(usize),
    Pause(usize),
    /// The client forgets all but its name.
    Restart(usize),
    Commit(usize),
    CommitAsBefore(usize),
    CommitFromOutside,
    Grow(u8),
    Pass(i64),
    Crash,
}

fn act() -> impl Strategy<Value = Act> {
    let client = || 0..CLIENTS;
    prop_oneof![
        10 => (0..2 * CLIENTS).prop_map(Act::Round),
        10 => client().prop_map(Act::Beat),
        4 => client().prop_map(Act::BeatInVain),
        6 => client().prop_map(Act::Follow),
        3 => (client(), 0..4u8).prop_map(|(client, which)| Act::Subscribe(client, which)),
        2 => client().prop_map(Act::Leave),
        2 => client().prop_map(Act::Pause),
        2 => client().prop_map(Act::Restart),
        6 => client().prop_map(Act::Commit),
        4 => client().prop_map(Act::CommitAsBefore),
        1 => Just(Act::CommitFromOutside),
        1 => (1..7u8).prop_map(Act::Grow),
        3 => prop_oneof![Just(50i64), Just(500), Just(1_200), Just(2_500)].prop_map(Act::Pass),
        2 => Just(Act::Crash),
    ]
}

#[derive(Debug, Default)]
struct Client {
    member_id: Arc<str>,
    /// 0 until it has joined.
    epoch: i32,
    previous_epoch: i32,
    /// What it was told to own.
    assigned: BTreeSet<Place>,
    /// What it reads.
    owned: BTreeSet<Place>,
    /// What it subscribes to, as a choice of few.
    which: u8,
    lives: u32,
}

impl Client {
    fn names(&self) -> Option<Vec<Arc<str>>> {
        match self.which {
            0 => Some(vec!["t".into()]),
            1 => Some(vec!["t".into(), "u".into()]),
            2 => Some(vec!["u".into()]),
            _ => Some(Vec::new()),
        }
    }

    fn pattern(&self) -> Arc<str> {
        if self.which == 3 { ".*".into() } else { "".into() }
    }

    fn subscribes_to(&self, topic: &Uuid) -> bool {
        match self.which {
            0 => *topic == id(1),
            2 => *topic == id(2),
            _ => true,
        }
    }

    fn lose_all(&mut self) {
        self.epoch = 0;
        self.previous_epoch = 0;
        self.assigned.clear();
        self.owned.clear();
    }

    /// Gives up what it does not own any longer.
    fn follow(&mut self) {
        self.owned = self.assigned.clone();
    }
}

fn id(number: u128) -> Uuid {
    Uuid(number.to_be_bytes())
}

fn name(topic: &Uuid) -> &'static str {
    if *topic == id(1) { "t" } else { "u" }
}

struct World {
    node: Node,
    clients: Vec<Client>,
    next: i64,
    committed: BTreeMap<(Arc<str>, i32), i64>,
    /// By member, what the log says that it owns.
    owned: BTreeMap<Arc<str>, BTreeSet<Place>>,
    epochs: BTreeMap<Arc<str>, i32>,
    group_epoch: i32,
    partitions: i32,
}

impl World {
    fn new(interval_ms: i32) -> World {
        let config = Config {
            consumer_session_timeout_ms: SESSION_MS,
            consumer_assignment_interval_ms: interval_ms,
            offsets_retention_check_interval_ms: i64::MAX / 2,
            ..Config::default()
        };
        let mut world = World {
            node: Node::new(config),
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            next: 0,
            committed: BTreeMap::new(),
            owned: BTreeMap::new(),
            epochs: BTreeMap::new(),
            group_epoch: 0,
            partitions: 3,
        };
        world.set_topics();
        (0..CLIENTS).for_each(|client| world.act(Act::Restart(client)));
        world
    }

    fn set_topics(&mut self) {
        let mut topics = Topics::default();
        for (number, partitions) in [(1, self.partitions), (2, 2)] {
            let id = id(number);
            topics.insert(name(&id).into(), Topic { id, partitions, racks: Vec::new() });
        }
        self.node.topics = topics.clone();
        let done = self.node.submit(Waiter(0), Command::TopicsChanged(topics));
        self.took(done);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Round(but) => {
                for client in (0..CLIENTS).filter(|client| *client != but) {
                    self.beat(client);
                    self.clients[client].follow();
                }
                self.act(Act::Pass(ROUND_MS));
            }
            Act::Beat(client) => {
                self.beat(client);
            }
            Act::BeatInVain(client) => {
                self.submit_beat(client, None);
            }
            Act::Follow(client) => self.clients[client].follow(),
            Act::Subscribe(client, which) => self.clients[client].which = which,
            Act::Leave(client) => {
                self.submit_beat(client, Some(-1));
                self.clients[client].lose_all();
            }
            Act::Pause(client) if client < STATIC => {
                self.submit_beat(client, Some(-2));
                self.clients[client].lose_all();
            }
            Act::Restart(client) => {
                let client_state = &mut self.clients[client];
                client_state.lose_all();
                client_state.lives += 1;
                client_state.member_id = format!("c{client}.{}", client_state.lives).into();
            }
            Act::Commit(client) => self.commit(client, self.clients[client].epoch),
            Act::CommitAsBefore(client) => self.commit(client, self.clients[client].previous_epoch),
            Act::CommitFromOutside => self.commit_from_outside(),
            Act::Grow(by) => {
                self.partitions = self.partitions.max(i32::from(by));
                self.set_topics();
            }
            Act::Pass(ms) => {
                let until = self.node.now.mono_ms + ms;
                while self.node.now.mono_ms < until {
                    let done = self.node.pass(until);
                    self.took(done);
                }
            }
            Act::Crash => {
                let done = self.node.crash();
                self.took(done);
                self.check_committed();
            }
            Act::Pause(_) => {}
        }
        self.check_readers();
    }

    /// Sends a heartbeat, with another epoch than the client's if it leaves. Gives back what was written too.
    fn submit_beat(
        &mut self,
        client: usize,
        leave_epoch: Option<i32>,
    ) -> (Vec<String>, ConsumerGroupHeartbeatResponse) {
        let known = &self.clients[client];
        let mut topics = BTreeMap::<Uuid, Vec<i32>>::new();
        known.owned.iter().for_each(|(topic, partition)| topics.entry(*topic).or_default().push(*partition));
        let owned = topics.into_iter();
        let owned = owned.map(|(topic_id, partitions)| TopicPartitions { topic_id, partitions, ..Default::default() });
        let request = ConsumerGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: known.member_id.clone(),
            member_epoch: leave_epoch.unwrap_or(known.epoch),
            instance_id: (client < STATIC).then(|| format!("i{client}").into()),
            rebalance_timeout_ms: REBALANCE_MS,
            subscribed_topic_names: known.names(),
            subscribed_topic_regex: Some(known.pattern()),
            topic_partitions: Some(owned.collect()),
            ..Default::default()
        };
        let heartbeat = ConsumerGroupHeartbeat {
            request,
            version: 1,
            client_id: format!("c{client}").into(),
            client_host: "/h".into(),
            uuid: Uuid::ZERO,
        };
        let done = self.node.submit(Waiter(0), Command::ConsumerGroupHeartbeat(heartbeat));
        let written = done.0.iter().map(|(_, record)| show::record(record)).collect();
        let mut replies = self.took(done);
        let Some(Reply::ConsumerGroupHeartbeat(reply)) = replies.pop() else { panic!("a heartbeat is answered") };
        (written, reply)
    }

    /// Gives back what was written.
    fn beat(&mut self, client: usize) -> Vec<String> {
        let (written, reply) = self.submit_beat(client, None);
        let known = &mut self.clients[client];
        match show::code(reply.error_code) {
            ErrorCode::None => {
                if reply.member_epoch != known.epoch {
                    known.previous_epoch = known.epoch;
                    known.epoch = reply.member_epoch;
                }
                if let Some(assignment) = reply.assignment {
                    let topics = assignment.topic_partitions.into_iter();
                    let places =
                        topics.flat_map(|topic| topic.partitions.into_iter().map(move |p| (topic.topic_id, p)));
                    known.assigned = places.collect();
                    // What is to be given up is read until then.
                    known.owned.extend(&known.assigned);
                }
            }
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => known.lose_all(),
            ErrorCode::GroupIdNotFound => known.lose_all(),
            ErrorCode::UnreleasedInstanceId => assert_eq!(known.epoch, 0),
            other => panic!("nobody should be told {other}"),
        }
        written
    }

    /// For all that the client reads.
    fn commit(&mut self, client: usize, epoch: i32) {
        let known = &self.clients[client];
        if known.epoch == 0 || known.owned.is_empty() {
            return;
        }
        let (owned, member_id) = (known.owned.clone(), known.member_id.clone());
        if self.submit_commit(&owned, &member_id, epoch) && self.epochs.get(&member_id) != Some(&epoch) {
            let in_log = &self.owned[&member_id];
            assert!(owned.is_subset(in_log), "{member_id} has committed for {owned:?}, and owns {in_log:?}");
        }
    }

    fn commit_from_outside(&mut self) {
        let is_empty = self.owned.is_empty();
        let is_done = self.submit_commit(&[(id(1), 0)].into(), &"".into(), -1);
        assert_eq!(is_done, is_empty, "who is no member commits if nobody else can");
    }

    fn submit_commit(&mut self, places: &BTreeSet<Place>, member_id: &Arc<str>, epoch: i32) -> bool {
        self.next += 1;
        let topics = places.iter().map(|(topic, partition)| {
            let partition = OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: self.next,
                ..Default::default()
            };
            OffsetCommitRequestTopic {
                name: name(topic).into(),
                topic_id: *topic,
                partitions: vec![partition],
                ..Default::default()
            }
        });
        let request = OffsetCommitRequest {
            group_id: GROUP.into(),
            generation_id_or_member_epoch: epoch,
            member_id: member_id.clone(),
            topics: topics.collect(),
            ..Default::default()
        };
        let done =
            self.node.submit(Waiter(0), Command::OffsetCommit(OffsetCommit { request: request.into(), version: 9 }));
        let mut replies = self.took(done);
        let Some(Reply::OffsetCommit(reply)) = replies.pop() else { panic!("a commit is answered") };
        let is_done = reply.topics[0].partitions[0].error_code == ErrorCode::None.code();
        if is_done {
            let committed = places.iter().map(|(topic, partition)| ((name(topic).into(), *partition), self.next));
            self.committed.extend(committed);
        }
        is_done
    }

    /// Follows the log by itself, and holds each batch to what must be true.
    fn took(&mut self, (records, replies): Done) -> Vec<Reply> {
        for (_, record) in &records {
            match record {
                Record::ConsumerGroupMetadata(_, Some(value)) => {
                    assert!(value.epoch > self.group_epoch, "the epochs of the group rise");
                    self.group_epoch = value.epoch;
                }
                Record::ConsumerGroupTargetAssignmentMetadata(_, Some(value)) => {
                    assert_eq!(value.assignment_epoch, self.group_epoch, "a target is that of the last epoch");
                }
                Record::ConsumerGroupMemberMetadata(key, Some(_)) => {
                    self.owned.entry(key.member_id.clone()).or_default();
                }
                Record::ConsumerGroupMemberMetadata(key, None) => {
                    self.owned.remove(&key.member_id);
                    self.epochs.remove(&key.member_id);
                }
                Record::ConsumerGroupCurrentMemberAssignment(key, Some(value)) => {
                    let before = self.epochs.insert(key.member_id.clone(), value.member_epoch).unwrap_or(0);
                    assert!(value.member_epoch >= before || value.member_epoch == -2, "the epochs of a member rise");
                    let topics = value.assigned_partitions.iter().chain(&value.partitions_pending_revocation);
                    let places = topics.flat_map(|topic| topic.partitions.iter().map(|p| (topic.topic_id, *p)));
                    self.owned.insert(key.member_id.clone(), places.collect());
                }
                Record::ConsumerGroupCurrentMemberAssignment(key, None) => {
                    self.owned.insert(key.member_id.clone(), BTreeSet::new());
                }
                _ => {}
            }
        }
        let mut owners = BTreeMap::new();
        for (member, places) in &self.owned {
            for place in places {
                let other = owners.insert(*place, member);
                assert_eq!(other, None, "{member} owns {place:?} too: {records:?}");
            }
        }
        replies.into_iter().map(|(_, reply)| reply).collect()
    }

    /// Those who are in the group read nothing that another of them reads.
    fn check_readers(&self) {
        let mut readers = BTreeMap::new();
        let members =
            self.clients.iter().filter(|client| client.epoch > 0 && self.owned.contains_key(&client.member_id));
        for client in members {
            for place in &client.owned {
                let other = readers.insert(*place, &client.member_id);
                assert_eq!(other, None, "{} reads {place:?} too", client.member_id);
            }
        }
    }

    fn check_committed(&mut self) {
        let request = OffsetFetchRequestGroup { group_id: GROUP.into(), topics: None, ..Default::default() };
        let done =
            self.node.submit(Waiter(0), Command::OffsetFetch(OffsetFetch { group: request, require_stable: false }));
        let Some(Reply::OffsetFetch(reply)) = self.took(done).pop() else { panic!("a fetch is answered") };
        let found = reply.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|p| ((topic.name.clone(), p.partition_index), p.committed_offset))
        });
        assert_eq!(found.collect::<BTreeMap<_, _>>(), self.committed);
    }

    /// All clients do what they should, until each partition is read and heartbeats write nothing.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.act(Act::Pass(ROUND_MS));
            let mut has_written = false;
            for client in 0..CLIENTS {
                has_written |= !self.beat(client).is_empty();
                self.clients[client].follow();
            }
            self.check_readers();
            if !has_written && self.is_settled() {
                return;
            }
        }
        let state = self.describe();
        panic!("not settled, but {state}: {:?}", self.clients);
    }

    fn is_settled(&mut self) -> bool {
        let read: BTreeSet<Place> = self.clients.iter().flat_map(|client| client.owned.iter().copied()).collect();
        let all = [(1, self.partitions), (2, 2)].into_iter();
        let wanted = all.filter(|(topic, _)| self.clients.iter().any(|client| client.subscribes_to(&id(*topic))));
        let wanted = wanted.flat_map(|(topic, partitions)| (0..partitions).map(move |p| (id(topic), p)));
        let fits = |client: &Client| client.owned.iter().all(|(topic, _)| client.subscribes_to(topic));
        let are_all_in = self.clients.iter().all(|client| client.epoch > 0);
        are_all_in && read == wanted.collect() && self.clients.iter().all(fits) && self.describe() == "Stable"
    }

    fn describe(&mut self) -> String {
        let request = ConsumerGroupDescribeRequest { group_ids: vec![GROUP.into()], ..Default::default() };
        let done = self.node.submit(Waiter(0), Command::ConsumerGroupDescribe(request));
        let Some(Reply::ConsumerGroupDescribe(reply)) = self.took(done).pop() else { panic!("a description") };
        reply.groups[0].group_state.to_string()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn members_share_in_the_end(acts in vec(act(), 0..80), interval_ms in prop_oneof![Just(0), Just(400)]) {
        let mut world = World::new(interval_ms);
        for act in acts {
            world.act(act);
        }
        world.settle();
        world.check_committed();
        world.act(Act::Crash);
        // A new coordinator has nothing to say.
        (0..CLIENTS).for_each(|client| assert_eq!(world.beat(client), Vec::<String>::new()));
    }
}
