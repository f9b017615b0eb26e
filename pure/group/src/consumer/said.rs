//! What a member says of itself: its subscription, its name, where it is.
//!
//! A heartbeat says only what has changed. The topics that a pattern matches are looked up when the first member comes
//! with it, and again when there are other topics ([`super::patterns`]).

use std::sync::Arc;

use ottla_wire::messages::ConsumerGroupHeartbeatRequest;
use ottla_wire::records::consumer_offsets::ConsumerGroupMemberMetadataValue;

use super::heartbeat::ConsumerGroupHeartbeat;
use super::member::Member;
use super::reconcile::Subscription;
use super::refusal::Refusal;
use super::{patterns, reasons, records, regex};
use crate::Record;
use crate::groups::Step;
use crate::history::{Reason, What};
use crate::room::Room;

/// Whether what a member subscribes to has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// Its names, or its pattern.
    Subscription,
}

impl Change {
    pub(super) fn of_subscription(self) -> Subscription {
        match self {
            Change::Nothing => Subscription::Unchanged,
            Change::Subscription => Subscription::Changed,
        }
    }
}

/// Writes what is new of the member, which may be all.
pub(super) fn update(
    step: &mut Step<'_>,
    heartbeat: &ConsumerGroupHeartbeat,
    id: &Arc<str>,
    room: &mut Room,
) -> Result<Change, Refusal> {
    let group_id = &heartbeat.request.group_id;
    let member = step.log.consumer.get(group_id).and_then(|group| group.members.get(id));
    if member.is_some_and(|member| is_as_before(&member.said, heartbeat)) {
        return Ok(Change::Nothing);
    }
    let said = now(&member.unwrap_or(&Member::default()).said, heartbeat);
    write(step, group_id, (id, said), room)
}

/// What a member writes of itself that is new.
pub(super) fn first(step: &Step<'_>, heartbeat: &ConsumerGroupHeartbeat, id: &Arc<str>) -> Vec<Record> {
    let group_id = &heartbeat.request.group_id;
    let said = now(&Member::default().said, heartbeat);
    let pattern = said.subscribed_topic_regex.clone().filter(|pattern| !pattern.is_empty());
    let matched = pattern.map(|pattern| {
        let topics = regex::matching(&pattern, &step.soft.topics).unwrap_or_default().into_iter().collect();
        records::pattern(group_id, &pattern, topics, step.now.wall_ms)
    });
    [records::member(group_id, id, said)].into_iter().chain(matched).collect()
}

/// Lets a member say this, whatever it said before.
pub(super) fn write(
    step: &mut Step<'_>,
    group_id: &Arc<str>,
    (id, said): (&Arc<str>, ConsumerGroupMemberMetadataValue),
    room: &mut Room,
) -> Result<Change, Refusal> {
    let member = step.log.consumer.get(group_id).and_then(|group| group.members.get(id));
    let none = Member::default();
    let before = &member.unwrap_or(&none).said;
    let pattern_before = before.subscribed_topic_regex.clone().filter(|pattern| !pattern.is_empty());
    let pattern = said.subscribed_topic_regex.clone().filter(|pattern| !pattern.is_empty());
    let pattern_changed = pattern != pattern_before;
    let names_changed = before.subscribed_topic_names != said.subscribed_topic_names;
    let what = if member.is_none() { What::Joined } else { What::Changed };
    let reason = (names_changed || pattern_changed).then(|| Reason::of(what, reasons::who(id, &said)));
    let is_new = member.is_none() || *before != said;
    let record = is_new.then(|| records::member(group_id, id, said));
    let matched = pattern.filter(|_| pattern_changed);
    let matched = matched.and_then(|pattern| patterns::resolved_if_new(step, group_id, &pattern));
    // All of it or nothing: who is refused is not in the group.
    room.take(record.iter().chain(&matched))?;
    record.into_iter().for_each(|record| step.log.write(record));
    if let Some(reason) = reason {
        reasons::because(step, group_id, reason);
    }
    if pattern_changed && let Some(pattern) = pattern_before {
        patterns::forget_if_unused(step, group_id, &pattern);
    }
    matched.into_iter().for_each(|record| step.log.write(record));
    Ok(if names_changed || pattern_changed { Change::Subscription } else { Change::Nothing })
}

/// Most heartbeats say nothing: that costs nothing.
fn is_as_before(said: &ConsumerGroupMemberMetadataValue, heartbeat: &ConsumerGroupHeartbeat) -> bool {
    let ConsumerGroupHeartbeatRequest { instance_id, rack_id, rebalance_timeout_ms, server_assignor, .. } =
        &heartbeat.request;
    let keeps = |before: &Option<Arc<str>>, now: &Option<Arc<str>>| now.is_none() || now == before;
    heartbeat.request.subscribed_topic_names.is_none()
        && keeps(&said.subscribed_topic_regex, &heartbeat.request.subscribed_topic_regex)
        && keeps(&said.instance_id, instance_id)
        && keeps(&said.rack_id, rack_id)
        && keeps(&said.server_assignor, server_assignor)
        && (*rebalance_timeout_ms == -1 || *rebalance_timeout_ms == said.rebalance_timeout_ms)
        && said.client_id == heartbeat.client_id
        && said.client_host == heartbeat.client_host
        && said.classic_member_metadata.is_none()
}

fn now(
    before: &ConsumerGroupMemberMetadataValue,
    heartbeat: &ConsumerGroupHeartbeat,
) -> ConsumerGroupMemberMetadataValue {
    let request = &heartbeat.request;
    let or_before = |now: &Option<Arc<str>>, before: &Option<Arc<str>>| now.clone().or_else(|| before.clone());
    let names = request.subscribed_topic_names.clone().map(|mut names| {
        names.sort_unstable();
        names.dedup();
        names
    });
    ConsumerGroupMemberMetadataValue {
        instance_id: or_before(&request.instance_id, &before.instance_id),
        rack_id: or_before(&request.rack_id, &before.rack_id),
        client_id: heartbeat.client_id.clone(),
        client_host: heartbeat.client_host.clone(),
        subscribed_topic_names: names.unwrap_or_else(|| before.subscribed_topic_names.clone()),
        subscribed_topic_regex: or_before(&request.subscribed_topic_regex, &before.subscribed_topic_regex),
        rebalance_timeout_ms: match request.rebalance_timeout_ms {
            -1 => before.rebalance_timeout_ms,
            rebalance_timeout_ms => rebalance_timeout_ms,
        },
        server_assignor: or_before(&request.server_assignor, &before.server_assignor),
        classic_member_metadata: None,
        ..Default::default()
    }
}
