//! Members that come, go, fall silent and are restarted in any order, while the coordinator crashes now and then.
//!
//! Whatever happens: a partition has one owner in a generation, what was committed is found, the log's generations rise,
//! nobody is answered twice, and the log says all. And once things calm down, the members that are left agree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::Uuid;
use ottla_group::{Command, Config, JoinGroup, LeaveGroup, OffsetCommit, OffsetFetch, Record, Reply, SyncGroup};
use ottla_machine::Waiter;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, LeaveGroupRequest, MemberIdentity,
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetFetchRequestGroup,
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::node::{Done, Node};
use crate::show;
use crate::transcripts::subscription;

const GROUP: &str = "g";
const PARTITIONS: u8 = 5;
const CLIENTS: usize = 5;
/// Clients below this one have names that outlive them.
const STATIC: usize = 2;
const SESSION_MS: i32 = 1_000;
const REBALANCE_MS: i32 = 2_000;
/// Enough for every ghost of a member to be noticed, and for a few rebalances after that.
const ROUNDS_MAX: usize = 200;
const ROUND_MS: i64 = 100;

#[derive(Clone, Debug)]
enum Act {
    /// All clients but one do what they should, and a little time passes.
    Round(usize),
    /// A client does what it should.
    Go(usize),
    Join(usize, u8),
    Sync(usize),
    Heartbeat(usize),
    Commit(usize, u8),
    /// Of somebody who is no member.
    CommitFromOutside(u8),
    Leave(usize),
    /// The client does not wait any longer for its answer, and goes by what it knew before.
    GiveUp(usize),
    /// The client forgets all but its name.
    Restart(usize),
    Pass(i64),
    Crash,
}

fn act() -> impl Strategy<Value = Act> {
    let client = || 0..CLIENTS;
    prop_oneof![
        10 => (0..2 * CLIENTS).prop_map(Act::Round),
        8 => client().prop_map(Act::Go),
        3 => (client(), 0..3u8).prop_map(|(client, topics)| Act::Join(client, topics)),
        3 => client().prop_map(Act::Sync),
        2 => client().prop_map(Act::Heartbeat),
        10 => (client(), 0..PARTITIONS).prop_map(|(client, partition)| Act::Commit(client, partition)),
        1 => (0..PARTITIONS).prop_map(Act::CommitFromOutside),
        2 => client().prop_map(Act::Leave),
        3 => client().prop_map(Act::GiveUp),
        2 => client().prop_map(Act::Restart),
        3 => prop_oneof![Just(50i64), Just(500), Just(1_000), Just(2_500)].prop_map(Act::Pass),
        1 => Just(Act::Crash),
    ]
}

#[derive(Debug, Default)]
struct Client {
    member_id: Arc<str>,
    generation: i32,
    /// The members, if it leads.
    members: Vec<Arc<str>>,
    has_joined: bool,
    owned: Option<BTreeSet<u8>>,
    topics: u8,
    /// The request that it waits for.
    waits: Option<Waiter>,
}

impl Client {
    fn forget(&mut self) {
        *self = Client { topics: self.topics, ..Client::default() };
    }

    fn rejoin(&mut self) {
        self.has_joined = false;
        self.owned = None;
    }
}

struct World {
    node: Node,
    clients: Vec<Client>,
    /// Who sent a request that is not answered, unless it has forgotten that.
    askers: BTreeMap<Waiter, usize>,
    next: u64,
    /// What was acknowledged last.
    committed: BTreeMap<i32, i64>,
    committing: BTreeMap<Waiter, (i32, i64, i32)>,
    /// By generation and partition, the client that got it.
    owners: BTreeMap<(i32, u8), usize>,
    recorded_generation: i32,
}

impl World {
    fn new() -> World {
        let config = Config {
            session_timeout_ms_min: SESSION_MS,
            initial_rebalance_delay_ms: 300,
            offsets_retention_check_interval_ms: i64::MAX / 2,
            ..Config::default()
        };
        World {
            node: Node::new(config),
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            askers: BTreeMap::new(),
            next: 0,
            committed: BTreeMap::new(),
            committing: BTreeMap::new(),
            owners: BTreeMap::new(),
            recorded_generation: 0,
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Round(but) => {
                (0..CLIENTS).filter(|client| *client != but).for_each(|client| self.go(client));
                self.act(Act::Pass(ROUND_MS));
            }
            Act::Go(client) => self.go(client),
            Act::Join(client, topics) if self.clients[client].waits.is_none() => {
                self.clients[client].topics = topics;
                self.join(client);
            }
            Act::Sync(client) if self.clients[client].waits.is_none() && self.clients[client].has_joined => {
                self.sync(client);
            }
            Act::Heartbeat(client) if self.clients[client].waits.is_none() => self.heartbeat(client),
            Act::Commit(client, partition) if self.owns(client, partition) => self.commit(Some(client), partition),
            Act::CommitFromOutside(partition) => self.commit(None, partition),
            Act::Leave(client) => {
                self.leave(client);
                self.clients[client].forget();
            }
            Act::GiveUp(client) => self.clients[client].waits = None,
            Act::Restart(client) => self.clients[client].forget(),
            Act::Pass(ms) => {
                let until = self.node.now.mono_ms + ms;
                while self.node.now.mono_ms < until {
                    let done = self.node.pass(until);
                    self.take(done);
                }
            }
            Act::Crash => {
                self.askers.clear();
                self.clients.iter_mut().for_each(|client| client.waits = None);
                let done = self.node.crash();
                self.take(done);
                self.check_committed();
            }
            Act::Join(..) | Act::Sync(_) | Act::Heartbeat(_) | Act::Commit(..) => {}
        }
    }

    fn owns(&self, client: usize, partition: u8) -> bool {
        self.clients[client].owned.as_ref().is_some_and(|owned| owned.contains(&partition))
    }

    fn instance(client: usize) -> Option<Arc<str>> {
        (client < STATIC).then(|| format!("i{client}").into())
    }

    fn submit(&mut self, client: Option<usize>, command: Command) -> Waiter {
        self.next += 1;
        let waiter = Waiter(self.next);
        if let Some(client) = client {
            self.askers.insert(waiter, client);
            self.clients[client].waits = Some(waiter);
        }
        let done = self.node.submit(waiter, command);
        self.take(done);
        waiter
    }

    fn join(&mut self, client: usize) {
        let metadata = subscription(["t", "t,u", "u"][usize::from(self.clients[client].topics)]);
        let request = JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            member_id: self.clients[client].member_id.clone(),
            group_instance_id: World::instance(client),
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata, ..Default::default() }],
            ..Default::default()
        };
        let uuid = Uuid(u128::from(self.next).to_be_bytes());
        let client_id = format!("c{client}").into();
        let join = JoinGroup { request, version: 9, client_id, client_host: "/h".into(), uuid };
        self.submit(Some(client), Command::JoinGroup(join));
    }

    fn sync(&mut self, client: usize) {
        let Client { members, generation, member_id, .. } = &self.clients[client];
        let given = members.iter().enumerate().map(|(place, member)| {
            let partitions = (0..PARTITIONS).filter(|partition| usize::from(*partition) % members.len() == place);
            let assignment: Bytes = partitions.collect::<Vec<u8>>().into();
            SyncGroupRequestAssignment { member_id: member.clone(), assignment, ..Default::default() }
        });
        let request = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: *generation,
            member_id: member_id.clone(),
            group_instance_id: World::instance(client),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: given.collect(),
            ..Default::default()
        };
        self.submit(Some(client), Command::SyncGroup(SyncGroup { request, version: 5 }));
    }

    fn heartbeat(&mut self, client: usize) {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: self.clients[client].generation,
            member_id: self.clients[client].member_id.clone(),
            group_instance_id: World::instance(client),
            ..Default::default()
        };
        self.submit(Some(client), Command::Heartbeat(request));
    }

    fn commit(&mut self, client: Option<usize>, partition: u8) {
        let offset = self.next as i64;
        let (generation, member_id, instance) = match client {
            Some(client) => {
                let known = &self.clients[client];
                (known.generation, known.member_id.clone(), World::instance(client))
            }
            None => (-1, "".into(), None),
        };
        let partition_index = i32::from(partition);
        let partition =
            OffsetCommitRequestPartition { partition_index, committed_offset: offset, ..Default::default() };
        let topic = OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
        let request = OffsetCommitRequest {
            group_id: GROUP.into(),
            generation_id_or_member_epoch: generation,
            member_id,
            group_instance_id: instance,
            topics: vec![topic],
            ..Default::default()
        };
        self.committing.insert(Waiter(self.next + 1), (partition_index, offset, generation));
        self.submit(None, Command::OffsetCommit(OffsetCommit { request: request.into(), version: 9 }));
    }

    fn leave(&mut self, client: usize) {
        let identity = MemberIdentity {
            member_id: self.clients[client].member_id.clone(),
            group_instance_id: World::instance(client),
            ..Default::default()
        };
        let request = LeaveGroupRequest { group_id: GROUP.into(), members: vec![identity], ..Default::default() };
        self.submit(None, Command::LeaveGroup(LeaveGroup { request, version: 5 }));
    }

    fn take(&mut self, (records, replies): Done) {
        for (_, record) in records {
            if let Record::GroupMetadata(_, Some(group)) = record {
                assert!(group.generation >= self.recorded_generation, "the generations of the log rise");
                self.recorded_generation = group.generation;
                let mut given: Vec<u8> = group.members.iter().flat_map(|member| member.assignment.to_vec()).collect();
                given.sort_unstable();
                assert!(given.windows(2).all(|pair| pair[0] != pair[1]), "a partition is given once");
            }
        }
        for (waiter, reply) in replies {
            if let Some((partition, offset, generation)) = self.committing.remove(&waiter) {
                let Reply::OffsetCommit(reply) = reply else { panic!("a commit is answered as one") };
                if reply.topics[0].partitions[0].error_code == ErrorCode::None.code() {
                    assert!(generation == -1 || generation >= self.recorded_generation, "a zombie has committed");
                    self.committed.insert(partition, offset);
                }
                continue;
            }
            let Some(client) = self.askers.remove(&waiter) else {
                assert!(matches!(reply, Reply::LeaveGroup(_) | Reply::OffsetFetch(_)), "answered twice: {reply:?}");
                continue;
            };
            if self.clients[client].waits == Some(waiter) {
                self.clients[client].waits = None;
                self.told(client, reply);
            }
        }
    }

    /// What a client makes of an answer.
    fn told(&mut self, client: usize, reply: Reply) {
        let code = match reply {
            Reply::JoinGroup(reply) => self.told_of_generation(client, reply),
            Reply::SyncGroup(reply) => self.told_assignment(client, reply),
            Reply::Heartbeat(reply) => show::code(reply.error_code),
            other => panic!("nobody asked for {other:?}"),
        };
        let client = &mut self.clients[client];
        match code {
            ErrorCode::None | ErrorCode::MemberIdRequired => {}
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => client.rejoin(),
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => client.forget(),
            other => panic!("nobody should be told {other}"),
        }
    }

    fn told_of_generation(&mut self, client: usize, reply: JoinGroupResponse) -> ErrorCode {
        let known = &mut self.clients[client];
        let code = show::code(reply.error_code);
        if matches!(code, ErrorCode::None | ErrorCode::MemberIdRequired) {
            known.member_id = reply.member_id;
        }
        if code == ErrorCode::None {
            known.generation = reply.generation_id;
            known.has_joined = true;
            known.owned = None;
            // A leader that is told not to assign has nothing to give.
            known.members = reply.members.into_iter().map(|member| member.member_id).collect();
            if reply.skip_assignment {
                known.members.clear();
            }
        }
        code
    }

    fn told_assignment(&mut self, client: usize, reply: SyncGroupResponse) -> ErrorCode {
        let code = show::code(reply.error_code);
        if code == ErrorCode::None {
            let owned: BTreeSet<u8> = reply.assignment.iter().copied().collect();
            for partition in &owned {
                let owner = *self.owners.entry((self.clients[client].generation, *partition)).or_insert(client);
                assert_eq!(owner, client, "two own partition {partition} in one generation");
            }
            self.clients[client].owned = Some(owned);
        }
        code
    }

    fn check_committed(&mut self) {
        let request = OffsetFetchRequestGroup { group_id: GROUP.into(), topics: None, ..Default::default() };
        let (_, replies) =
            self.node.submit(Waiter(0), Command::OffsetFetch(OffsetFetch { group: request, require_stable: false }));
        let Some((_, Reply::OffsetFetch(reply))) = replies.into_iter().next() else { panic!("a fetch is answered") };
        let partitions = reply.topics.iter().flat_map(|topic| &topic.partitions);
        let found: BTreeMap<i32, i64> = partitions.map(|p| (p.partition_index, p.committed_offset)).collect();
        assert_eq!(found, self.committed);
    }

    /// What a client should do next.
    fn go(&mut self, client: usize) {
        let known = &self.clients[client];
        match (known.waits, known.has_joined, &known.owned) {
            (Some(_), ..) => {}
            (None, false, _) => self.join(client),
            (None, true, None) => self.sync(client),
            (None, true, Some(_)) => self.heartbeat(client),
        }
    }

    /// All clients do what they should, until they agree.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.act(Act::Round(CLIENTS));
            if self.agree() {
                return;
            }
        }
        panic!("no agreement: {:?}", self.clients);
    }

    /// Who does what it should is left in peace: once sessions of before have ended, no timer disturbs the generation.
    fn stay(&mut self) {
        (0..2 * i64::from(SESSION_MS) / ROUND_MS).for_each(|_| self.act(Act::Round(CLIENTS)));
        self.settle();
        let generation = self.clients[0].generation;
        for _ in 0..2 * i64::from(REBALANCE_MS) / ROUND_MS {
            self.act(Act::Round(CLIENTS));
            assert!(self.agree() && self.clients[0].generation == generation, "disturbed: {:?}", self.clients);
        }
    }

    fn agree(&self) -> bool {
        let generation = self.clients[0].generation;
        let owned = self.clients.iter().filter_map(|client| client.owned.as_ref());
        owned.clone().count() == CLIENTS
            && self.clients.iter().all(|client| client.generation == generation)
            && owned.flatten().copied().collect::<BTreeSet<u8>>() == (0..PARTITIONS).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn members_agree_in_the_end(acts in vec(act(), 0..80)) {
        let mut world = World::new();
        for act in acts {
            world.act(act);
        }
        world.settle();
        world.stay();
        world.check_committed();
        world.act(Act::Crash);
        prop_assert!(world.askers.is_empty());
    }
}
