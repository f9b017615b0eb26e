//! A consumer group becomes a classic group, as its last member that speaks the consumer protocol goes.
//!
//! The others go on with what they own: that is the assignment of a generation whose number is the group's epoch. (With
//! Kafka it is what they were to own, which others may still have.)
//! They make a rebalance, as what the last member owned is nobody's. The record says so by naming no leader, as the
//! coordinator may be another before it is done. If the last was a static member whose place a classic one takes with the
//! same subscription, and all others have got what they were to own, nothing changes for anybody: then the new one leads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::Uuid;
use ottla_machine::Waiter;
use ottla_wire::records::consumer_offsets::{GroupMetadataKey, GroupMetadataValue, MemberMetadata};

use super::upgrade::classic_metadata;
use super::{forget, protocol, sync};
use crate::classic::convert::revive;
use crate::classic::join::JoinGroup;
use crate::consumer::{self, Group, Member, hash};
use crate::groups::Step;
use crate::room::Room;
use crate::{MigrationPolicy, Record, Topics, classic};

/// Makes the group classic if those that go are the last that keep it from that. They are gone then. Says whether it did.
pub(crate) fn without(step: &mut Step<'_>, id: &Arc<str>, gone: &BTreeSet<Arc<str>>) -> bool {
    let Some(group) = step.log.consumer.get(id) else { return false };
    let count = group.members.len().saturating_sub(gone.len());
    // Most often it does not: that is known without looking at all members.
    if count == 0 || group.classic_members() < count || !is_allowed(step, count) {
        return false;
    }
    let stay = group.members.iter().filter(|(member_id, _)| !gone.contains(*member_id));
    let members: Vec<(Arc<str>, Member)> = stay.map(|(id, member)| (id.clone(), member.clone())).collect();
    members.iter().all(|(_, member)| member.is_classic()) && convert(step, id, &members, None)
}

/// Makes the group classic if a classic member takes the place of the last one that is not, and lets it join there. Says
/// whether it did.
pub(super) fn with_replaced(step: &mut Step<'_>, asker: Waiter, bearer: &Arc<str>, join: &JoinGroup) -> bool {
    let id = join.request.group_id.clone();
    let Some(group) = step.log.consumer.get(&id) else { return false };
    let all_but_one = group.members.iter().all(|(id, member)| id == bearer || member.is_classic());
    if !all_but_one || !is_allowed(step, group.members.len()) {
        return false;
    }
    let protocols: Vec<_> =
        join.request.protocols.iter().map(|protocol| (protocol.name.clone(), protocol.metadata.clone())).collect();
    let Some(Ok(subscription)) = protocols.first().map(|(_, said)| protocol::subscription(said)) else { return false };
    let names: BTreeSet<Arc<str>> = subscription.topics.into_iter().collect();
    let mut members: Vec<(Arc<str>, Member)> =
        group.members.iter().map(|(id, member)| (id.clone(), member.clone())).collect();
    let Some((_, member)) = members.iter_mut().find(|(id, _)| id == bearer) else { return false };
    let is_same = member.pattern().is_none() && names.iter().eq(&member.said.subscribed_topic_names);
    member.said.classic_member_metadata = Some(classic_metadata(join.request.session_timeout_ms, protocols));
    let leader = (is_same && is_settled(group, bearer, &members, &step.soft.topics)).then(|| bearer.clone());
    if !convert(step, &id, &members, leader) {
        return false;
    }
    classic::join::decide(step, asker, join.clone());
    true
}

fn is_allowed(step: &Step<'_>, members: usize) -> bool {
    let config = &step.soft.config;
    matches!(config.consumer_migration_policy, MigrationPolicy::Downgrade | MigrationPolicy::Bidirectional)
        && members <= config.members_max
}

/// Whether the target is that of the topics as they are, all own what they are to own, and all but one, which begins anew,
/// know that and go by the protocol that they will go by then.
fn is_settled(group: &Group, but: &Arc<str>, members: &[(Arc<str>, Member)], topics: &Topics) -> bool {
    let protocol = vote(members);
    let preferred = |member: &Member| sync::preferred(member).map(|(name, _)| name);
    let knows = |member: &Member| member.is_reconciled_to(group.epoch) && preferred(member) == protocol;
    group.epoch == group.assignment_epoch
        && group.metadata_hash == hash::of_group(&group.topics(), topics)
        && members.iter().all(|(id, member)| member.owns_just(&group.target(id)) && (id == but || knows(member)))
}

/// With a leader if the members can go on as they are.
fn convert(step: &mut Step<'_>, id: &Arc<str>, members: &[(Arc<str>, Member)], leader: Option<Arc<str>>) -> bool {
    let Some(group) = step.log.consumer.get(id) else { return false };
    let Some(protocol) = vote(members) else { return false };
    let value = GroupMetadataValue {
        protocol_type: consumer::TYPE.into(),
        generation: group.epoch,
        protocol: Some(protocol.clone()),
        leader,
        current_state_timestamp: step.now.wall_ms,
        members: members.iter().map(|(id, member)| recorded(&step.soft.topics, id, (member, &protocol))).collect(),
        ..Default::default()
    };
    let mut records = consumer::tombstones(id, group);
    records.push(Record::GroupMetadata(GroupMetadataKey { group: id.clone() }, Some(value)));
    if Room::of_batch(&step.soft.config, &[]).take(&records).is_err() {
        return false;
    }
    for member_id in group.members.keys().cloned().collect::<Vec<_>>() {
        consumer::session::forget(step, id, &member_id);
        forget(step, id, &member_id);
    }
    step.soft.consumer.remove(id);
    records.into_iter().for_each(|record| step.log.write(record));
    revive(step, id, members.iter().map(|(id, member)| (id, protocols(member))));
    true
}

fn recorded(topics: &Topics, id: &Arc<str>, (member, protocol): (&Member, &Arc<str>)) -> MemberMetadata {
    let subscription = said(member, protocol);
    let mut owned = BTreeMap::<Uuid, Vec<i32>>::new();
    member.partitions().for_each(|(topic, partition)| owned.entry(topic).or_default().push(partition));
    let session_timeout = member.said.classic_member_metadata.as_ref().map_or(0, |classic| classic.session_timeout_ms);
    MemberMetadata {
        member_id: id.clone(),
        group_instance_id: member.said.instance_id.clone(),
        client_id: member.said.client_id.clone(),
        client_host: member.said.client_host.clone(),
        rebalance_timeout: member.said.rebalance_timeout_ms,
        session_timeout,
        assignment: protocol::write_assignment(&owned, topics, &subscription),
        subscription,
        ..Default::default()
    }
}

/// What the member can go by, and what it says for each.
fn protocols(member: &Member) -> Vec<(Arc<str>, Bytes)> {
    let known = member.said.classic_member_metadata.iter().flat_map(|classic| &classic.supported_protocols);
    known.map(|known| (known.name.clone(), known.metadata.clone())).collect()
}

fn said(member: &Member, protocol: &str) -> Bytes {
    let mut known = protocols(member).into_iter();
    known.find(|(name, _)| **name == *protocol).map(|(_, said)| said).unwrap_or_default()
}

/// The protocol that all know and most prefer, the first by name among equals.
fn vote(members: &[(Arc<str>, Member)]) -> Option<Arc<str>> {
    let names = |member: &Member| -> Vec<Arc<str>> { protocols(member).into_iter().map(|(name, _)| name).collect() };
    let all: Vec<Vec<Arc<str>>> = members.iter().map(|(_, member)| names(member)).collect();
    let mut supporters = BTreeMap::<&Arc<str>, usize>::new();
    for names in &all {
        names.iter().collect::<BTreeSet<_>>().into_iter().for_each(|name| *supporters.entry(name).or_default() += 1);
    }
    let mut votes = BTreeMap::<&Arc<str>, usize>::new();
    for names in &all {
        *votes.entry(names.iter().find(|name| supporters[name] == all.len())?).or_default() += 1;
    }
    votes.into_iter().rev().max_by_key(|(_, count)| *count).map(|(name, _)| name.clone())
}
