//! JoinGroup: a member wants to be in the next generation.
//!
//! A new member does not know its id. If the answer that tells it is lost, it asks anew, and the group waits for somebody
//! who does not exist; so from version 4 on it is told its id first and joins with it (KIP-394). The answer to that comes
//! when the group is complete: this request waits longer than any other.
//!
//! A member that is there already joins again because a rebalance is on, because it did not get its last answer, or
//! because it has something new to say. Only if nothing is new is it answered at once, with the generation that there is.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_machine::Waiter;
use ottla_wire::messages::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember};
use ottla_wire::{ErrorCode, STRING_BYTES_MAX};

use super::rebalance::rebalance_or_complete;
use super::roster::{Joining, Member, Protocol};
use super::{Group, MEMBERS_BYTES_MAX, PENDING_MEMBERS_MAX, Phase, Preparing, join_static, put, take, validate_member};
use crate::delete;
use crate::groups::{Reply, Step, Timer};
use crate::history::{Reason, What, Who};
use crate::migrate;

/// First version in which a new member is told its id before it joins.
pub(crate) const KNOWN_MEMBER_ID_FROM: i16 = 4;
/// How long a new member is believed to wait for the answer: it cannot send heartbeats before it has it.
pub(super) const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1000;
/// What is added to a client's id or a static member's name to make a member's id: a dash and a uuid.
const MEMBER_ID_SUFFIX_BYTES: usize = 37;

#[derive(Clone, Debug)]
pub struct JoinGroup {
    pub request: JoinGroupRequest,
    pub version: i16,
    pub client_id: Arc<str>,
    /// As Kafka writes it: a slash and the address.
    pub client_host: Arc<str>,
    /// A random one, of which the id of a new member is made.
    pub uuid: Uuid,
}

pub(crate) fn decide(step: &mut Step<'_>, asker: Waiter, join: JoinGroup) {
    let id = join.request.group_id.clone();
    let member_id = join.request.member_id.clone();
    if let Err(code) = check(step, &join) {
        return refuse(step, asker, code, member_id);
    }
    if let Some(group) = step.log.consumer.get(&id) {
        if !group.members.is_empty() {
            return migrate::join::decide(step, asker, join);
        }
        if !member_id.is_empty() {
            return refuse(step, asker, ErrorCode::UnknownMemberId, member_id);
        }
        delete::end(step, &id);
    }
    let known = take(step, &id);
    let is_new_group = known.is_none();
    if is_new_group && !member_id.is_empty() {
        return refuse(step, asker, ErrorCode::UnknownMemberId, member_id);
    }
    let mut group = known.unwrap_or_else(|| Group::new(id, step.now.wall_ms));
    if is_new_group {
        // What the log does not know can be neither listed nor deleted.
        step.log.write(group.record(&Default::default()));
    }
    // Its own group is not among the others now.
    let bytes = step.soft.classic.bytes() + group.bytes() + bytes(&join);
    if bytes > MEMBERS_BYTES_MAX || !has_room(&group, &member_id, step.soft.config.members_max) {
        // A member that comes too late to its own group is not waited for any longer.
        group.remove(step, &member_id);
        refuse(step, asker, ErrorCode::GroupMaxSizeReached, Arc::default());
    } else if !supports(&group, &join.request) {
        refuse(step, asker, ErrorCode::InconsistentGroupProtocol, member_id);
    } else if member_id.is_empty() {
        new_member(step, &mut group, asker, join);
    } else {
        known_member(step, &mut group, asker, join);
    }
    put(step, group);
}

/// What can be said without looking at the group.
fn check(step: &Step<'_>, join: &JoinGroup) -> Result<(), ErrorCode> {
    let JoinGroupRequest { group_id, session_timeout_ms, group_instance_id, .. } = &join.request;
    let config = &step.soft.config;
    let origin = group_instance_id.as_ref().unwrap_or(&join.client_id);
    if group_id.is_empty() {
        Err(ErrorCode::InvalidGroupId)
    } else if !(config.session_timeout_ms_min..=config.session_timeout_ms_max).contains(session_timeout_ms) {
        Err(ErrorCode::InvalidSessionTimeout)
    } else if origin.len() + MEMBER_ID_SUFFIX_BYTES > STRING_BYTES_MAX {
        Err(ErrorCode::InvalidRequest)
    } else {
        Ok(())
    }
}

/// Of what the member says of itself, about.
fn bytes(join: &JoinGroup) -> usize {
    let protocols = join.request.protocols.iter().map(|protocol| protocol.name.len() + protocol.metadata.len());
    let instance = join.request.group_instance_id.as_ref().map_or(0, |instance| instance.len());
    2 * (join.client_id.len() + instance) + MEMBER_ID_SUFFIX_BYTES + protocols.sum::<usize>()
}

/// While members join, those count that have done so: the others may not come back.
fn has_room(group: &Group, member_id: &str, members_max: usize) -> bool {
    let member = group.members.get(member_id);
    match group.phase {
        Phase::Empty => true,
        Phase::Preparing(_) => member.is_some_and(Member::is_joining) || group.members.joining() < members_max,
        Phase::Completing | Phase::Stable => member.is_some() || group.members.len() < members_max,
    }
}

/// Whether the one that joins has a protocol that all others have too.
fn supports(group: &Group, request: &JoinGroupRequest) -> bool {
    if group.is_empty() {
        return !request.protocol_type.is_empty() && !request.protocols.is_empty();
    }
    group.protocol_type.as_ref() == Some(&request.protocol_type)
        && request.protocols.iter().any(|protocol| group.members.all_support(&protocol.name))
}

fn new_member(step: &mut Step<'_>, group: &mut Group, asker: Waiter, join: JoinGroup) {
    let origin = join.request.group_instance_id.as_ref().unwrap_or(&join.client_id);
    let id: Arc<str> = format!("{origin}-{}", hyphenated(join.uuid)).into();
    if let Some(instance) = &join.request.group_instance_id {
        return match group.members.of_instance(instance).cloned() {
            Some(bearer) => join_static::replace(step, group, asker, join, &bearer, id),
            None => add(step, group, asker, join, id),
        };
    }
    if join.version < KNOWN_MEMBER_ID_FROM {
        return add(step, group, asker, join, id);
    }
    if group.pending.len() >= PENDING_MEMBERS_MAX {
        return refuse(step, asker, ErrorCode::GroupMaxSizeReached, Arc::default());
    }
    group.pending.insert(id.clone());
    let timer = Timer::Session(group.id.clone(), id.clone());
    step.soft.timers.set(timer, step.now, join.request.session_timeout_ms.into());
    refuse(step, asker, ErrorCode::MemberIdRequired, id);
}

fn known_member(step: &mut Step<'_>, group: &mut Group, asker: Waiter, join: JoinGroup) {
    let id = join.request.member_id.clone();
    let instance = join.request.group_instance_id.as_ref();
    if group.pending.contains(&id) && instance.is_none() {
        return add(step, group, asker, join, id);
    }
    if let Err(code) = validate_member(group, &id, instance) {
        return refuse(step, asker, code, id);
    }
    let joining = joining(asker, join.request);
    let is_unchanged = group.members.get(&id).is_some_and(|member| member.protocols() == joining.protocols);
    match group.phase {
        Phase::Empty => refuse(step, asker, ErrorCode::UnknownMemberId, id),
        // It may not have got its last answer.
        Phase::Completing if is_unchanged => {
            let members = if group.is_leader(&id) { group.for_leader() } else { Vec::new() };
            step.reply(asker, Reply::JoinGroup(group.generation(id, members)));
        }
        // The leader joins to make a rebalance: what changed is not in what it says of itself, but in the topics.
        Phase::Stable if is_unchanged && !group.is_leader(&id) => {
            step.reply(asker, Reply::JoinGroup(group.generation(id, Vec::new())));
        }
        Phase::Preparing(_) | Phase::Completing | Phase::Stable => {
            if !matches!(group.phase, Phase::Preparing(_)) {
                group.because_of(step, &id, if is_unchanged { What::Asked } else { What::Changed });
            }
            join_again(step, group, &id, joining);
            rebalance_or_complete(step, group);
        }
    }
}

/// Lets the member wait for the next generation; who waited for it before need not any longer.
pub(super) fn join_again(step: &mut Step<'_>, group: &mut Group, id: &Arc<str>, joining: Joining) {
    if let Some(before) = group.members.join(id, joining) {
        refuse(step, before, ErrorCode::RebalanceInProgress, id.clone());
    }
}

fn add(step: &mut Step<'_>, group: &mut Group, asker: Waiter, join: JoinGroup, id: Arc<str>) {
    let JoinGroup { request, client_id, client_host, .. } = join;
    if let Phase::Preparing(Preparing::Initial { is_growing, .. }) = &mut group.phase {
        *is_growing = true;
    }
    if group.members.is_empty() {
        group.protocol_type = Some(request.protocol_type.clone());
    }
    group.leader.get_or_insert_with(|| id.clone());
    group.pending.remove(&id);
    let instance_id = request.group_instance_id.clone();
    let who = Who::new(&id, instance_id.as_ref(), (&client_id, &client_host));
    group.because(step, Reason::of(What::Joined, who));
    let client = (client_id, client_host);
    group.members.insert(Member::new(id.clone(), instance_id, client, joining(asker, request)));
    step.soft.timers.set(Timer::Session(group.id.clone(), id), step.now, NEW_MEMBER_JOIN_TIMEOUT_MS);
    rebalance_or_complete(step, group);
}

/// What the request says of its member. Version 0 has no rebalance timeout.
pub(super) fn joining(asker: Waiter, request: JoinGroupRequest) -> Joining {
    let mut protocols: Vec<Protocol> = Vec::with_capacity(request.protocols.len());
    let mut names = BTreeSet::new();
    for JoinGroupRequestProtocol { name, metadata, .. } in request.protocols {
        if names.insert(name.clone()) {
            protocols.push(Protocol { name, metadata });
        }
    }
    let rebalance_timeout_ms = match request.rebalance_timeout_ms {
        ..0 => request.session_timeout_ms,
        rebalance_timeout_ms => rebalance_timeout_ms,
    };
    Joining { session_timeout_ms: request.session_timeout_ms, rebalance_timeout_ms, protocols, asker }
}

pub(crate) fn refuse(step: &mut Step<'_>, asker: Waiter, code: ErrorCode, member_id: Arc<str>) {
    let response = JoinGroupResponse { error_code: code.code(), member_id, protocol_name: None, ..Default::default() };
    step.reply(asker, Reply::JoinGroup(response));
}

impl Group {
    /// What a member is told of the generation.
    pub(super) fn generation(&self, member_id: Arc<str>, members: Vec<JoinGroupResponseMember>) -> JoinGroupResponse {
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id,
            members,
            ..Default::default()
        }
    }

    /// What all members say of themselves, for the one that assigns.
    pub(super) fn for_leader(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = self.members.iter().map(|member| JoinGroupResponseMember {
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(&protocol),
            ..Default::default()
        });
        members.collect()
    }
}

/// As Java writes a uuid.
fn hyphenated(uuid: Uuid) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(uuid.0));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
