//! The classic protocol: members join, one of them assigns, all sync.
//!
//! Consumers have to agree on who reads what, by rules that the coordinator does not know (each language brings its own,
//! Connect shares out tasks). So the coordinator only brings them together: it waits until all members have joined, gives
//! what each said of itself to one of them, the leader, and hands out what the leader makes of it. Each such round is a
//! generation; a member of an old one is refused. Members show that they live by heartbeats, and learn by their answers
//! that a new round has begun.
//!
//! ```text
//!             join                   all joined               leader syncs
//!   Empty ───────────▶ Preparing ─────────────────▶ Completing ───────────▶ Stable
//!     ▲                 │     ▲                           │                    │
//!     └─────────────────┘     └───────────────────────────┴────────────────────┘
//!       nobody is left               a member joins, leaves, or is lost
//! ```
//!
//! A group is written to the log when it becomes stable or empty, and when a static member is replaced. In between it is
//! in memory: a [`Group`] is taken out of the soft state, changed by one request or timer, and put back ([`take`],
//! [`put`]). One that has nobody in it is dropped; the log says all there is to say about it.

mod alive;
pub(crate) mod convert;
pub(crate) mod describe;
pub(crate) mod heartbeat;
pub(crate) mod join;
mod join_static;
pub(crate) mod leave;
mod pending;
mod reasons;
pub(crate) mod rebalance;
mod roster;
pub(crate) mod session;
mod subscription;
pub(crate) mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ottla_wire::ErrorCode;
use ottla_wire::records::consumer_offsets::{GroupMetadataKey, GroupMetadataValue, MemberMetadata};

use crate::Record;
use crate::groups::{Step, Timer};
use crate::history::{Reason, What};
pub(crate) use alive::Alive;
use alive::MEMBERS_BYTES_MAX;
use pending::Pending;
use roster::{Member, Protocol, Roster};
use subscription::Subscription;

/// The type of these groups, as ListGroups shows it.
pub(crate) const TYPE: &str = "classic";
/// The state of a group in which there is nobody.
pub(crate) const EMPTY: &str = "Empty";
/// The protocol type of consumers, the only one whose subscriptions the coordinator can read.
const CONSUMER: &str = "consumer";

/// Members that a group has given an id and that have not joined with it. Kafka has no limit: each of them costs memory
/// until the session timeout that it named.
pub const PENDING_MEMBERS_MAX: usize = 10_000;

/// A group that has members, or expects some.
#[derive(Debug)]
pub(crate) struct Group {
    id: Arc<str>,
    pub(crate) phase: Phase,
    /// Wall time of the last change of phase, -1 if an old record does not say.
    pub(crate) since_ms: i64,
    pub(crate) generation: i32,
    /// What kind of program the members are. `None` until the first has joined.
    pub(crate) protocol_type: Option<Arc<str>>,
    /// The way of assigning that this generation goes by.
    protocol: Option<Arc<str>>,
    leader: Option<Arc<str>>,
    members: Roster,
    /// Ids that were given to members which have not joined yet.
    pending: Pending,
    /// Members of this generation that have not synced yet.
    unsynced: BTreeSet<Arc<str>>,
    /// What the members of this generation subscribe to.
    subscription: Subscription,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Empty,
    /// Members are joining.
    Preparing(Preparing),
    /// All have joined; the leader assigns.
    Completing,
    Stable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Preparing {
    /// The group was empty: those who start together shall be in one generation, so it waits a while for more.
    Initial {
        /// Whether somebody has come since the timer was set.
        is_growing: bool,
        delay_ms: i64,
        /// How much longer it may be put off.
        remaining_ms: i64,
    },
    /// Members of the last generation join again.
    Again,
}

impl Phase {
    /// Kafka's name for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Phase::Empty => EMPTY,
            Phase::Preparing(_) => "PreparingRebalance",
            Phase::Completing => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }
}

/// The group as it is, to be changed and [`put`] back; `None` if there is none of this id.
pub(crate) fn take(step: &mut Step<'_>, id: &Arc<str>) -> Option<Group> {
    step.soft.classic.remove(id).or_else(|| {
        let (id, recorded) = step.log.groups.get_key_value(id)?;
        Some(Group::restored(id, recorded))
    })
}

/// Keeps the group in memory for as long as somebody is in it or expected.
pub(crate) fn put(step: &mut Step<'_>, group: Group) {
    if !group.is_empty() || !group.pending.is_empty() {
        step.soft.classic.insert(group);
    }
}

/// Lets go of a group that is no more. Only some who have not joined can be in it.
pub(crate) fn forget(step: &mut Step<'_>, id: &Arc<str>) {
    let Some(group) = step.soft.classic.remove(id) else { return };
    assert!(group.is_empty(), "the group {id} has members");
    for member in group.pending.into_ids() {
        step.soft.timers.cancel(&Timer::Session(id.clone(), member));
    }
}

/// Brings the groups that the log knows back to life: their members have a session to be heard of again.
pub(crate) fn loaded(step: &mut Step<'_>) {
    let recorded = step.log.groups.iter().filter(|(_, recorded)| !recorded.members.is_empty());
    let groups: Vec<Group> = recorded.map(|(id, recorded)| Group::restored(id, recorded)).collect();
    groups.into_iter().for_each(|group| begin(step, group, What::Loaded));
}

/// One that has no leader has just come from the other protocol: its members have yet to share what others have left.
fn begin(step: &mut Step<'_>, mut group: Group, why: What) {
    for member in group.members.ids() {
        group.heard_of(step, &member);
    }
    if group.leader.is_none() || group.members.len() > step.soft.config.members_max {
        group.because(step, Reason::of_group(why));
        rebalance::prepare(step, &mut group);
    }
    put(step, group);
}

/// Whether `member_id` is a member, and the one that bears the name of a static member if it says so.
pub(crate) fn validate_member(group: &Group, member_id: &str, instance_id: Option<&Arc<str>>) -> Result<(), ErrorCode> {
    if let Some(instance) = instance_id {
        match group.members.of_instance(instance) {
            None => return Err(ErrorCode::UnknownMemberId),
            Some(bearer) if **bearer != *member_id => return Err(ErrorCode::FencedInstanceId),
            Some(_) => {}
        }
    }
    if group.members.get(member_id).is_some() { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
}

impl Group {
    /// One that nobody has heard of.
    fn new(id: Arc<str>, now_ms: i64) -> Group {
        let recorded = GroupMetadataValue { current_state_timestamp: now_ms, ..Default::default() };
        Group::restored(&id, &recorded)
    }

    /// As the log says: empty, or stable with each member and what it was assigned.
    fn restored(id: &Arc<str>, recorded: &GroupMetadataValue) -> Group {
        let protocol = recorded.protocol.clone().filter(|name| !name.is_empty());
        let mut members = Roster::default();
        for member in &recorded.members {
            let name = protocol.clone().unwrap_or_default();
            members.insert(Member::restored(member, Protocol { name, metadata: member.subscription.clone() }));
        }
        let mut group = Group {
            id: id.clone(),
            phase: if members.is_empty() { Phase::Empty } else { Phase::Stable },
            since_ms: recorded.current_state_timestamp,
            generation: recorded.generation,
            protocol_type: Some(recorded.protocol_type.clone()).filter(|name| !name.is_empty()),
            protocol,
            leader: recorded.leader.clone().filter(|id| !id.is_empty()),
            members,
            pending: Pending::default(),
            unsynced: BTreeSet::new(),
            subscription: Subscription::default(),
        };
        group.subscription = Subscription::of(&group);
        group
    }

    /// Of what its members say of themselves.
    fn bytes(&self) -> usize {
        self.members.bytes() + self.pending.bytes()
    }

    /// The record of the group with these assignments.
    fn record(&self, assignments: &BTreeMap<Arc<str>, Bytes>) -> Record {
        let protocol = self.protocol.clone();
        let members = self.members.iter().map(|member| MemberMetadata {
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: protocol.as_ref().map(|name| member.metadata(name)).unwrap_or_default(),
            assignment: assignments.get(&member.id).cloned().unwrap_or_default(),
            ..Default::default()
        });
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type_or_empty(),
            generation: self.generation,
            members: members.collect(),
            protocol,
            leader: self.leader.clone(),
            current_state_timestamp: self.since_ms,
            ..Default::default()
        };
        Record::GroupMetadata(GroupMetadataKey { group: self.id.clone() }, Some(value))
    }

    fn enter(&mut self, step: &Step<'_>, phase: Phase) {
        self.phase = phase;
        self.since_ms = step.now.wall_ms;
    }

    /// Whether there is nobody in it, though some may be expected.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.phase, Phase::Empty)
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(crate) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    pub(crate) fn protocol_type_or_empty(&self) -> Arc<str> {
        self.protocol_type.clone().unwrap_or_default()
    }

    /// Whether a member may want the offsets of the topic.
    pub(crate) fn subscribes_to(&self, topic: &str) -> bool {
        self.subscription.may_have(topic, self.is_of_consumers())
    }

    pub(crate) fn knows_subscriptions(&self) -> bool {
        self.subscription.is_known()
    }

    /// The member lives: its session begins anew.
    pub(crate) fn heard_of(&self, step: &mut Step<'_>, member_id: &str) {
        if let Some(member) = self.members.get(member_id) {
            let timer = Timer::Session(self.id.clone(), member.id.clone());
            step.soft.timers.set(timer, step.now, member.session_timeout_ms.into());
        }
    }
}
