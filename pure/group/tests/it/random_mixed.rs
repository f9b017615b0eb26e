//! Members of both protocols in one group: they come, go, fall silent, lose answers, and are restarted with the other
//! protocol in any order, while topics grow and the coordinator crashes now and then.
//!
//! Whatever happens: a partition has one owner, in the log and among those who read; generations and epochs rise; what was
//! committed is found; nobody waits for an answer for ever; the log says all, compacted too; and a group that may become
//! classic again is no consumer group when only classic members are in it. Once things calm down, each partition is read by
//! one who subscribes to it, and nothing is written any more.

mod classic;
mod client;
mod consumer;
mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_group::{
    Command, Config, DescribeGroups, Groups, LeaveGroup, MigrationPolicy, OffsetCommit, OffsetFetch, Record, Reply,
    Soft, Topic, Topics,
};
use ottla_machine::{At, Load, Waiter};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    ConsumerGroupDescribeRequest, DescribeGroupsRequest, LeaveGroupRequest, MemberIdentity, OffsetCommitRequest,
    OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetFetchRequestGroup,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::node::{Done, Node};
use classic::Style;
use client::{Client, Place, Protocol, all_places, id};
use ledger::{Form, Ledger};

const GROUP: &str = "g";
const CLIENTS: usize = 4;
/// Clients below this one have names that outlive them.
const STATIC: usize = 2;
const SESSION_MS: i32 = 2_000;
const REBALANCE_MS: i32 = 1_000;
const DELAY_MS: i32 = 200;
const ROUND_MS: i64 = 150;
/// Enough for every ghost of a member to be noticed, for each interval, and for a few rebalances after that.
const ROUNDS_MAX: usize = 200;
/// After so many a leader looks again at what there is to assign.
const LOOK_ROUNDS: usize = 50;
/// A rebalance waits for members to join, and then for the leader.
const ANSWER_MS: i64 = 2 * REBALANCE_MS as i64 + DELAY_MS as i64;

#[derive(Clone, Debug)]
enum Act {
    /// All clients but one that are not silent do what they should, and a little time passes: so many times.
    Rounds(usize, u8),
    Go(usize),
    /// The answer does not arrive.
    GoInVain(usize),
    /// Goes on to read what it must give up.
    GoSlowly(usize),
    /// Reads only what it was told to read.
    Follow(usize),
    /// Does not wait any longer for the answer.
    GiveUp(usize),
    Subscribe(usize, u8),
    /// Begins or ends to be silent.
    Silence(usize),
    /// Leaves for good, whatever its name.
    Leave(usize),
    /// Stops as clients do that are told to.
    Stop(usize),
    /// The client forgets all but its name.
    Restart(usize),
    /// The same, and it speaks the other protocol from then on.
    Switch(usize),
    StopAndSwitch(usize),
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
        14 => (0..2 * CLIENTS, 1..5u8).prop_map(|(but, count)| Act::Rounds(but, count)),
        10 => client().prop_map(Act::Go),
        4 => client().prop_map(Act::GoInVain),
        4 => client().prop_map(Act::GoSlowly),
        3 => client().prop_map(Act::Follow),
        2 => client().prop_map(Act::GiveUp),
        2 => (client(), 0..4u8).prop_map(|(client, which)| Act::Subscribe(client, which)),
        2 => client().prop_map(Act::Silence),
        1 => client().prop_map(Act::Leave),
        1 => client().prop_map(Act::Stop),
        1 => client().prop_map(Act::Restart),
        2 => client().prop_map(Act::Switch),
        4 => client().prop_map(Act::StopAndSwitch),
        5 => client().prop_map(Act::Commit),
        3 => client().prop_map(Act::CommitAsBefore),
        1 => Just(Act::CommitFromOutside),
        1 => (1..7u8).prop_map(Act::Grow),
        3 => prop_oneof![Just(50i64), Just(500), Just(1_200), Just(2_500)].prop_map(Act::Pass),
        2 => Just(Act::Crash),
    ]
}

/// What a client gets to know of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hears {
    Answer,
    Nothing,
}

/// Somebody who asked and was not answered yet.
#[derive(Clone, Copy, Debug)]
struct Asked {
    client: usize,
    life: u32,
    since_ms: i64,
}

struct World {
    node: Node,
    style: Style,
    clients: Vec<Client>,
    askers: BTreeMap<Waiter, Asked>,
    next: u64,
    committed: BTreeMap<(Arc<str>, i32), i64>,
    log: Ledger,
    /// Of the classic group, as members were told.
    generation: i32,
    partitions: i32,
    is_settling: bool,
    /// A classic group takes back a static member that subscribes to something else, and nobody is told; as little as of
    /// one that was waited for to give something up, or of new partitions that a leader has not seen before its restart.
    may_overlook: bool,
    records: usize,
}

impl World {
    fn new(policy: MigrationPolicy, style: Style, interval_ms: i32) -> World {
        let config = Config {
            session_timeout_ms_min: SESSION_MS,
            initial_rebalance_delay_ms: DELAY_MS,
            consumer_session_timeout_ms: SESSION_MS,
            consumer_assignment_interval_ms: interval_ms,
            consumer_migration_policy: policy,
            offsets_retention_check_interval_ms: i64::MAX / 2,
            ..Config::default()
        };
        let mut world = World {
            node: Node::new(config),
            style,
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            askers: BTreeMap::new(),
            next: 0,
            committed: BTreeMap::new(),
            log: Ledger::default(),
            generation: 0,
            partitions: 3,
            is_settling: false,
            may_overlook: false,
            records: 0,
        };
        world.set_topics();
        world
    }

    fn upgrades(&self) -> bool {
        use MigrationPolicy::{Bidirectional, Upgrade};
        matches!(self.node.config.consumer_migration_policy, Upgrade | Bidirectional)
    }

    fn downgrades(&self) -> bool {
        use MigrationPolicy::{Bidirectional, Downgrade};
        matches!(self.node.config.consumer_migration_policy, Downgrade | Bidirectional)
    }

    fn instance(client: usize) -> Option<Arc<str>> {
        (client < STATIC).then(|| format!("i{client}").into())
    }

    fn set_topics(&mut self) {
        let mut topics = Topics::default();
        for (name, partitions) in [("t", self.partitions), ("u", 2)] {
            topics.insert(name.into(), Topic { id: id(name), partitions, racks: Vec::new() });
        }
        self.node.topics = topics.clone();
        self.ask(Command::TopicsChanged(topics));
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Rounds(but, count) => (0..count).for_each(|_| self.round(but)),
            Act::Go(client) => self.go(client, Hears::Answer),
            Act::GoInVain(client) => self.go(client, Hears::Nothing),
            Act::GoSlowly(client) => match self.clients[client].speaks {
                Protocol::Classic => self.go_classic(client, Hears::Answer),
                Protocol::Consumer => self.beat(client, Hears::Answer),
            },
            Act::Follow(client) if self.clients[client].speaks == Protocol::Consumer => self.clients[client].follow(),
            Act::GiveUp(client) => self.give_up(client),
            Act::Subscribe(client, which) => {
                self.may_overlook |= client < STATIC;
                self.clients[client].which = which;
            }
            Act::Silence(client) => self.clients[client].is_silent ^= true,
            Act::Leave(client) => {
                self.leave(client);
                self.clients[client].restart(client);
            }
            Act::Stop(client) => self.stop(client),
            Act::Restart(client) => self.clients[client].restart(client),
            Act::Switch(client) => self.clients[client].switch(client),
            Act::StopAndSwitch(client) => {
                self.stop(client);
                self.clients[client].switch(client);
            }
            Act::Commit(client) => self.commit(client, self.clients[client].epoch),
            Act::CommitAsBefore(client) => self.commit(client, self.clients[client].previous_epoch),
            Act::CommitFromOutside => self.commit_from_outside(),
            Act::Grow(by) => {
                self.may_overlook |= self.log.form == Form::Classic;
                self.partitions = self.partitions.max(i32::from(by));
                self.set_topics();
            }
            Act::Pass(ms) => self.pass(ms),
            // A new coordinator knows of each member the protocol of the generation alone, and may never let in one that
            // does not know that.
            Act::Crash if self.style != Style::Mixed || self.is_settling => self.crash(),
            Act::Follow(_) | Act::Crash => {}
        }
        self.check_readers();
        self.check_form();
    }

    fn round(&mut self, but: usize) {
        for client in (0..CLIENTS).filter(|client| *client != but) {
            if !self.clients[client].is_silent {
                self.go(client, Hears::Answer);
            }
            self.check_readers();
        }
        self.pass(ROUND_MS);
    }

    fn go(&mut self, client: usize, hears: Hears) {
        match self.clients[client].speaks {
            Protocol::Classic => self.go_classic(client, hears),
            Protocol::Consumer => self.go_consumer(client, hears),
        }
    }

    fn give_up(&mut self, client: usize) {
        let style = self.style;
        let known = &mut self.clients[client];
        if known.classic.waits.take().is_some() {
            known.must_join(style);
        }
    }

    fn pass(&mut self, ms: i64) {
        let until = self.node.now.mono_ms + ms;
        while self.node.now.mono_ms < until {
            let done = self.node.pass(until);
            let replies = self.took(done);
            assert!(replies.is_empty(), "nobody asked for {replies:?}");
            self.check_readers();
            self.check_form();
        }
        let now_ms = self.node.now.mono_ms;
        for asked in self.askers.values() {
            assert!(now_ms - asked.since_ms <= ANSWER_MS, "{asked:?} still waits at {now_ms}");
        }
    }

    fn crash(&mut self) {
        self.askers.clear();
        (0..CLIENTS).for_each(|client| self.give_up(client));
        self.check_compacted();
        let done = self.node.crash();
        self.generation = self.log.epoch;
        self.took(done);
        self.check_committed();
    }

    /// Removes the client, as it would do itself, or an administrator for it.
    fn leave(&mut self, client: usize) {
        if self.clients[client].speaks == Protocol::Consumer {
            self.submit_beat(client, Some(-1));
            return;
        }
        let identity = MemberIdentity {
            member_id: self.clients[client].member_id.clone(),
            group_instance_id: World::instance(client),
            ..Default::default()
        };
        let request = LeaveGroupRequest { group_id: GROUP.into(), members: vec![identity], ..Default::default() };
        self.ask(Command::LeaveGroup(LeaveGroup { request, version: 5 }));
    }

    /// One that has a name may be back soon.
    fn stop(&mut self, client: usize) {
        match (self.clients[client].speaks, client < STATIC) {
            (Protocol::Classic, true) => {}
            (Protocol::Consumer, true) => drop(self.submit_beat(client, Some(-2))),
            (_, false) => self.leave(client),
        }
        self.clients[client].restart(client);
    }

    /// For all that the client reads.
    fn commit(&mut self, client: usize, epoch: i32) {
        let known = &self.clients[client];
        if known.epoch == 0 || known.owned.is_empty() {
            return;
        }
        let (owned, member_id) = (known.owned.clone(), known.member_id.clone());
        let instance = World::instance(client).filter(|_| known.speaks == Protocol::Classic);
        let is_done = self.submit_commit(&owned, (&member_id, instance), epoch);
        if is_done && let Some(member) = self.log.members.get(&member_id).filter(|member| member.epoch != epoch) {
            assert!(owned.is_subset(&member.owned), "{member_id} has committed for {owned:?}, and has {member:?}");
        }
    }

    fn commit_from_outside(&mut self) {
        let is_done = self.submit_commit(&[("t", 0)].into(), (&"".into(), None), -1);
        if self.log.form == Form::Consumer {
            assert_eq!(is_done, self.log.members.is_empty(), "who is no member commits if nobody else can");
        }
    }

    fn submit_commit(
        &mut self,
        places: &BTreeSet<Place>,
        (member_id, group_instance_id): (&Arc<str>, Option<Arc<str>>),
        epoch: i32,
    ) -> bool {
        let offset = self.next as i64;
        let topics = places.iter().map(|(topic, partition_index)| OffsetCommitRequestTopic {
            name: (*topic).into(),
            topic_id: id(topic),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: *partition_index,
                committed_offset: offset,
                ..Default::default()
            }],
            ..Default::default()
        });
        let request = OffsetCommitRequest {
            group_id: GROUP.into(),
            generation_id_or_member_epoch: epoch,
            member_id: member_id.clone(),
            group_instance_id,
            topics: topics.collect(),
            ..Default::default()
        };
        let reply = self.ask(Command::OffsetCommit(OffsetCommit { request: request.into(), version: 9 }));
        let Reply::OffsetCommit(reply) = reply else { panic!("a commit is answered") };
        let is_done = reply.topics[0].partitions[0].error_code == ErrorCode::None.code();
        if is_done {
            self.committed.extend(places.iter().map(|(topic, p)| (((*topic).into(), *p), offset)));
        }
        is_done
    }

    /// Asks for what is answered at once.
    fn ask(&mut self, command: Command) -> Reply {
        self.next += 1;
        let waiter = Waiter(self.next);
        let done = self.node.submit(waiter, command);
        let mut replies = self.took(done);
        let Some((answered, reply)) = replies.pop() else { panic!("no answer") };
        assert_eq!((answered, replies.len()), (waiter, 0));
        reply
    }

    /// Asks for what may take a while.
    fn ask_as(&mut self, client: usize, hears: Hears, command: Command) {
        self.next += 1;
        let waiter = Waiter(self.next);
        let life = self.clients[client].lives;
        self.askers.insert(waiter, Asked { client, life, since_ms: self.node.now.mono_ms });
        self.clients[client].classic.waits = (hears == Hears::Answer).then_some(waiter);
        let done = self.node.submit(waiter, command);
        let replies = self.took(done);
        assert!(replies.is_empty(), "nobody asked for {replies:?}");
    }

    /// Takes what a step wrote, and tells clients what they are told. Gives back the answers that none of them waits for.
    fn took(&mut self, (records, replies): Done) -> Vec<(Waiter, Reply)> {
        self.records += records.len();
        let was_classic = self.log.form == Form::Classic;
        let (had_classic, had_consumers) = (self.log.has_classic, !self.log.members.is_empty());
        self.log.follow(&records);
        assert!(self.upgrades() || !had_classic || self.log.form == Form::Classic, "upgraded: {records:?}");
        assert!(self.downgrades() || !had_consumers || self.log.form == Form::Consumer, "downgraded: {records:?}");
        let mut is_new = false;
        for (_, record) in &records {
            if let Record::GroupMetadata(_, Some(group)) = record {
                // A consumer group that has become classic goes on; one that has lost all its members does not.
                is_new |= was_classic && group.generation > self.generation;
                self.generation = group.generation;
                if !was_classic {
                    let is_in =
                        |client: &Client| group.members.iter().any(|member| member.member_id == client.member_id);
                    self.clients.iter_mut().for_each(|client| client.has_missed |= !is_in(client));
                }
            }
        }
        let mut told = Vec::new();
        let mut others = Vec::new();
        for (waiter, reply) in replies {
            match self.askers.remove(&waiter) {
                Some(asked) => told.push((waiter, asked, reply)),
                None => others.push((waiter, reply)),
            }
        }
        let mut partakers = BTreeSet::new();
        for (_, asked, reply) in &told {
            if let Reply::JoinGroup(reply) = reply
                && !reply.leader.is_empty()
            {
                partakers.insert((asked.client, asked.life));
                is_new |= reply.generation_id > self.generation;
            }
        }
        let generations = told.iter().filter_map(|(_, _, reply)| match reply {
            Reply::JoinGroup(reply) if !reply.leader.is_empty() => Some(reply.generation_id),
            _ => None,
        });
        self.generation = generations.fold(self.generation, i32::max);
        if is_new {
            for (client, known) in self.clients.iter_mut().enumerate() {
                known.has_missed |= known.speaks == Protocol::Classic && !partakers.contains(&(client, known.lives));
            }
        }
        for (waiter, asked, reply) in told {
            if self.clients[asked.client].classic.waits == Some(waiter) {
                self.clients[asked.client].classic.waits = None;
                self.told_classic(asked.client, reply);
            }
        }
        others
    }

    /// Those who are in the group read nothing that another of them reads.
    fn check_readers(&self) {
        let mut readers = BTreeMap::new();
        let is_in = |client: &&Client| match self.log.form {
            Form::Nothing => false,
            Form::Classic => client.speaks == Protocol::Classic,
            Form::Consumer => self.log.members.contains_key(&client.member_id),
        };
        for client in self.clients.iter().filter(is_in).filter(|client| !client.has_missed) {
            for place in &client.owned {
                let other = readers.insert(*place, &client.member_id);
                assert_eq!(other, None, "{} reads {place:?} too", client.member_id);
            }
        }
    }

    fn check_form(&self) {
        if self.downgrades() && self.log.form == Form::Consumer {
            assert!(!self.log.is_left_to_classic(), "it could be classic: {:?}", self.log);
        }
    }

    fn check_committed(&mut self) {
        let request = OffsetFetchRequestGroup { group_id: GROUP.into(), topics: None, ..Default::default() };
        let Reply::OffsetFetch(reply) =
            self.ask(Command::OffsetFetch(OffsetFetch { group: request, require_stable: false }))
        else {
            panic!("a fetch is answered")
        };
        let found = reply.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|p| ((topic.name.clone(), p.partition_index), p.committed_offset))
        });
        assert_eq!(found.collect::<BTreeMap<_, _>>(), self.committed);
    }

    /// What is left of the log when it is compacted says the same.
    fn check_compacted(&self) {
        let log = self.node.log.iter().enumerate();
        let last: BTreeMap<&[u8], usize> = log.clone().map(|(offset, (key, _))| (key.as_slice(), offset)).collect();
        let mut load = Load::<Groups>::default();
        for (offset, (key, value)) in log.filter(|(offset, (key, value))| last[&**key] == *offset && value.is_some()) {
            let record = Record::decode(key, value.as_deref()).unwrap().unwrap();
            load.replay(At { offset: offset as i64 }, &record);
        }
        let soft = Soft::new(self.node.config).with(self.node.topics.clone(), self.node.group_configs.clone());
        let (shard, batch) = load.start(self.node.log.len() as i64, soft, self.node.now);
        assert_eq!(batch.records, []);
        assert_eq!(shard.hard(), self.node.shard.hard());
    }

    /// All clients do what they should, until each partition is read and nothing is written.
    fn settle(&mut self) {
        self.is_settling = true;
        self.clients.iter_mut().for_each(|client| client.is_silent = false);
        for round in 1..=ROUNDS_MAX {
            if self.round_writes() == 0 && self.is_settled() {
                return;
            }
            if (self.may_overlook || self.style == Style::Cooperative) && round % LOOK_ROUNDS == 0 {
                let style = self.style;
                self.clients.iter_mut().filter(|client| client.leads()).for_each(|client| client.must_join(style));
            }
        }
        let state = self.state();
        panic!("not settled, but {state} of {:?}: {:?}", self.log, self.clients);
    }

    /// Once sessions of before have ended, nothing disturbs who does what it should.
    fn stay(&mut self) {
        let rounds = 2 * i64::from(SESSION_MS) / ROUND_MS;
        (0..rounds).for_each(|_| self.act(Act::Rounds(CLIENTS, 1)));
        self.settle();
        for _ in 0..rounds {
            assert_eq!(self.round_writes(), 0);
            assert!(self.is_settled(), "disturbed: {:?}", self.clients);
        }
        assert!(self.askers.is_empty(), "still waiting: {:?}", self.askers);
    }

    /// How many records were written while all did what they should.
    fn round_writes(&mut self) -> usize {
        let before = self.records;
        self.act(Act::Rounds(CLIENTS, 1));
        self.records - before
    }

    fn is_settled(&mut self) -> bool {
        let read: Vec<Place> = self.clients.iter().flat_map(|client| client.owned.iter().copied()).collect();
        let all = all_places(self.partitions);
        let wanted: BTreeSet<Place> =
            all.filter(|(topic, _)| self.clients.iter().any(|client| client.subscribes_to(topic))).collect();
        let fits = |client: &Client| client.owned.iter().all(|(topic, _)| client.subscribes_to(topic));
        let any_consumer = self.clients.iter().any(|client| client.speaks == Protocol::Consumer);
        let form_fits = match self.log.form {
            Form::Nothing => false,
            Form::Classic => !any_consumer,
            Form::Consumer => any_consumer || !self.downgrades(),
        };
        form_fits
            && read.len() == wanted.len()
            && read.into_iter().collect::<BTreeSet<_>>() == wanted
            && self.clients.iter().all(|client| client.is_in() && fits(client))
            && self.state() == "Stable"
    }

    fn state(&mut self) -> String {
        if self.log.form == Form::Classic {
            let request = DescribeGroupsRequest { groups: vec![GROUP.into()], ..Default::default() };
            let reply = self.ask(Command::DescribeGroups(DescribeGroups { request, version: 6 }));
            let Reply::DescribeGroups(reply) = reply else { panic!("a description") };
            return reply.groups[0].group_state.to_string();
        }
        let request = ConsumerGroupDescribeRequest { group_ids: vec![GROUP.into()], ..Default::default() };
        let reply = self.ask(Command::ConsumerGroupDescribe(request));
        let Reply::ConsumerGroupDescribe(reply) = reply else { panic!("a description") };
        reply.groups[0].group_state.to_string()
    }
}

fn policy() -> impl Strategy<Value = MigrationPolicy> {
    use MigrationPolicy::{Bidirectional, Disabled, Downgrade, Upgrade};
    prop_oneof![1 => Just(Disabled), 1 => Just(Upgrade), 1 => Just(Downgrade), 3 => Just(Bidirectional)]
}

fn style() -> impl Strategy<Value = Style> {
    prop_oneof![2 => Just(Style::Eager), 1 => Just(Style::Mixed), 3 => Just(Style::Cooperative)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn members_of_both_protocols_share_in_the_end(
        policy in policy(),
        style in style(),
        interval_ms in prop_oneof![Just(0), Just(400)],
        acts in vec(act(), 0..80),
    ) {
        let mut world = World::new(policy, style, interval_ms);
        for act in acts {
            world.act(act);
        }
        world.settle();
        world.stay();
        world.check_committed();
        let before = world.records;
        world.act(Act::Crash);
        // A new coordinator has nothing to say.
        (0..CLIENTS).for_each(|client| world.go(client, Hears::Answer));
        prop_assert_eq!(world.records, before);
    }
}
