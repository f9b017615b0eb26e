//! What a client of the classic protocol says, hears and does, with an assignor as clients have them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::Uuid;
use ottla_group::{Command, JoinGroup, Reply, SyncGroup};
use ottla_machine::Waiter;
use ottla_wire::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember,
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use ottla_wire::records::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, consumer_protocol_assignment::TopicPartition as Assigned,
    consumer_protocol_subscription::TopicPartition as Owned,
};
use ottla_wire::records::encode_versioned;
use ottla_wire::{ErrorCode, Message, Reader, Writer};

use super::client::{Client, Place, all_places, by_topic, known_name};
use super::{GROUP, Hears, REBALANCE_MS, SESSION_MS, World};
use crate::show;

/// How the clients of a run work together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Each gives up all before it joins.
    Eager,
    /// The same, but some would rather not, were they alone.
    Mixed,
    /// Each keeps what it has until it must give it up.
    Cooperative,
}

impl Style {
    fn protocols(self, client: usize) -> &'static [&'static str] {
        match self {
            Style::Eager => &["range"],
            Style::Mixed if client.is_multiple_of(2) => &["range"],
            Style::Mixed => &["cooperative-sticky", "range"],
            Style::Cooperative => &["cooperative-sticky"],
        }
    }
}

#[derive(Debug, Default)]
pub struct Classic {
    pub next: Next,
    /// The members, if it leads and was told.
    members: Vec<JoinGroupResponseMember>,
    leads: bool,
    protocol: Option<Arc<str>>,
    /// What it said last that it subscribes to.
    which: u8,
    /// How many partitions there were when it was told to assign, or not to.
    seen_partitions: i32,
    /// The request that it waits for.
    pub waits: Option<Waiter>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Next {
    #[default]
    Join,
    Sync,
    Heartbeat,
}

impl Classic {
    /// Whether it has to join though nobody has told it to.
    fn has_news(&self, which: u8, partitions: i32) -> bool {
        self.which != which || self.leads && self.seen_partitions != partitions
    }
}

impl Client {
    /// Gives up what it must before it joins.
    pub fn must_join(&mut self, style: Style) {
        self.classic.next = Next::Join;
        match style {
            Style::Cooperative => {
                let names = self.names();
                self.owned.retain(|(topic, _)| names.iter().any(|name| **name == **topic));
            }
            Style::Eager | Style::Mixed => self.owned.clear(),
        }
    }

    /// Whether it is in a classic group and leads it.
    pub fn leads(&self) -> bool {
        self.classic.next == Next::Heartbeat && self.classic.waits.is_none() && self.classic.leads
    }

    fn subscription(&self) -> Bytes {
        let owned = by_topic(&self.owned);
        let owned = owned.into_iter().map(|(topic, partitions)| Owned { topic: topic.into(), partitions }).collect();
        let said = ConsumerProtocolSubscription {
            topics: self.names(),
            owned_partitions: owned,
            generation_id: if self.epoch == 0 { -1 } else { self.epoch },
            ..Default::default()
        };
        let mut bytes = Vec::new();
        encode_versioned(&said, &mut Writer::new(&mut bytes), 3);
        bytes.into()
    }
}

impl World {
    /// What a client should do next.
    pub fn go_classic(&mut self, client: usize, hears: Hears) {
        let (style, partitions) = (self.style, self.partitions);
        let known = &mut self.clients[client];
        if known.classic.waits.is_some() {
            return;
        }
        if known.classic.next == Next::Heartbeat && known.classic.has_news(known.which, partitions) {
            known.must_join(style);
        }
        let command = match known.classic.next {
            Next::Join => self.join(client),
            Next::Sync => self.sync(client),
            Next::Heartbeat => self.heartbeat(client),
        };
        self.ask_as(client, hears, command);
        let known = &mut self.clients[client];
        if hears == Hears::Nothing && known.classic.next == Next::Sync {
            known.must_join(style);
        }
    }

    fn join(&mut self, client: usize) -> Command {
        let known = &mut self.clients[client];
        known.classic.which = known.which;
        let metadata = known.subscription();
        let protocols = self.style.protocols(client).iter();
        let protocols = protocols.map(|name| JoinGroupRequestProtocol {
            name: (*name).into(),
            metadata: metadata.clone(),
            ..Default::default()
        });
        let request = JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            member_id: known.member_id.clone(),
            group_instance_id: World::instance(client),
            protocol_type: "consumer".into(),
            protocols: protocols.collect(),
            ..Default::default()
        };
        let uuid = Uuid(u128::from(self.next + 1).to_be_bytes());
        let client_id = format!("c{client}").into();
        Command::JoinGroup(JoinGroup { request, version: 9, client_id, client_host: "/h".into(), uuid })
    }

    fn sync(&self, client: usize) -> Command {
        let known = &self.clients[client];
        let assignments = assign(&known.classic.members, self.style, known.classic.seen_partitions);
        let request = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: known.epoch,
            member_id: known.member_id.clone(),
            group_instance_id: World::instance(client),
            protocol_type: Some("consumer".into()),
            protocol_name: known.classic.protocol.clone(),
            assignments,
            ..Default::default()
        };
        Command::SyncGroup(SyncGroup { request, version: 5 })
    }

    fn heartbeat(&self, client: usize) -> Command {
        Command::Heartbeat(HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: self.clients[client].epoch,
            member_id: self.clients[client].member_id.clone(),
            group_instance_id: World::instance(client),
            ..Default::default()
        })
    }

    /// What a client makes of an answer.
    pub fn told_classic(&mut self, client: usize, reply: Reply) {
        let code = match reply {
            Reply::JoinGroup(reply) => self.told_of_generation(client, reply),
            Reply::SyncGroup(reply) => self.told_assignment(client, reply),
            Reply::Heartbeat(reply) => show::code(reply.error_code),
            other => panic!("nobody asked for {other:?}"),
        };
        let style = self.style;
        let known = &mut self.clients[client];
        match code {
            ErrorCode::None | ErrorCode::MemberIdRequired => {}
            ErrorCode::RebalanceInProgress => known.must_join(style),
            ErrorCode::IllegalGeneration => known.lose_all(),
            ErrorCode::UnknownMemberId => {
                known.lose_all();
                known.member_id = "".into();
            }
            ErrorCode::FencedInstanceId => known.restart(client),
            other => panic!("nobody should be told {other}"),
        }
    }

    fn told_of_generation(&mut self, client: usize, reply: JoinGroupResponse) -> ErrorCode {
        let partitions = self.partitions;
        let known = &mut self.clients[client];
        let code = show::code(reply.error_code);
        if matches!(code, ErrorCode::None | ErrorCode::MemberIdRequired) {
            known.member_id = reply.member_id.clone();
        }
        if code == ErrorCode::None {
            known.previous_epoch = known.epoch;
            known.epoch = reply.generation_id;
            known.classic.next = Next::Sync;
            known.classic.seen_partitions = partitions;
            known.classic.leads = reply.leader == reply.member_id;
            known.classic.protocol = reply.protocol_name;
            known.classic.members = if reply.skip_assignment { Vec::new() } else { reply.members };
        }
        code
    }

    fn told_assignment(&mut self, client: usize, reply: SyncGroupResponse) -> ErrorCode {
        let code = show::code(reply.error_code);
        if code == ErrorCode::None {
            let style = self.style;
            let known = &mut self.clients[client];
            let assigned = read_assignment(&reply.assignment);
            let has_given_up = !known.owned.is_subset(&assigned);
            known.classic.next = Next::Heartbeat;
            known.owned = assigned;
            known.has_missed = false;
            if has_given_up {
                known.must_join(style);
            }
        }
        code
    }
}

fn read_assignment(bytes: &Bytes) -> BTreeSet<Place> {
    if bytes.is_empty() {
        return BTreeSet::new();
    }
    let mut reader = Reader::new(bytes);
    let version = reader.i16("version").unwrap();
    let assignment = ConsumerProtocolAssignment::decode(&mut reader, version).unwrap();
    let topics = assignment.assigned_partitions.into_iter();
    topics.flat_map(|topic| topic.partitions.into_iter().map(move |p| (known_name(&topic.topic), p))).collect()
}

/// What a leader makes of what the members say. A cooperative one gives nobody what another still has.
fn assign(members: &[JoinGroupResponseMember], style: Style, partitions: i32) -> Vec<SyncGroupRequestAssignment> {
    let said: Vec<ConsumerProtocolSubscription> = members
        .iter()
        .map(|member| {
            let mut reader = Reader::new(&member.metadata);
            let version = reader.i16("version").unwrap();
            ConsumerProtocolSubscription::decode(&mut reader, version).unwrap()
        })
        .collect();
    let owns = |said: &ConsumerProtocolSubscription, topic: &str, partition: i32| {
        said.owned_partitions.iter().any(|owned| *owned.topic == *topic && owned.partitions.contains(&partition))
    };
    let mut given = vec![BTreeSet::<Place>::new(); members.len()];
    for (topic, partition) in all_places(partitions) {
        let able: Vec<usize> =
            (0..members.len()).filter(|member| said[*member].topics.iter().any(|name| **name == *topic)).collect();
        let Some(fewest) = able.iter().copied().min_by_key(|member| given[*member].len()) else { continue };
        let is_kept = style == Style::Cooperative
            && (0..members.len()).any(|member| member != fewest && owns(&said[member], topic, partition));
        if !is_kept {
            given[fewest].insert((topic, partition));
        }
    }
    let given = members.iter().zip(given);
    given
        .map(|(member, places)| SyncGroupRequestAssignment {
            member_id: member.member_id.clone(),
            assignment: write_assignment(&places),
            ..Default::default()
        })
        .collect()
}

fn write_assignment(places: &BTreeSet<Place>) -> Bytes {
    let topics: BTreeMap<_, _> = by_topic(places);
    let topics = topics.into_iter().map(|(topic, partitions)| Assigned { topic: topic.into(), partitions });
    let assignment = ConsumerProtocolAssignment { assigned_partitions: topics.collect(), user_data: None };
    let mut bytes = Vec::new();
    encode_versioned(&assignment, &mut Writer::new(&mut bytes), 3);
    bytes.into()
}
