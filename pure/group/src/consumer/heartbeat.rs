//! ConsumerGroupHeartbeat: the one request of the consumer protocol.
//!
//! A member joins, changes its subscription, shows that it lives, reports what it owns and leaves, all with heartbeats;
//! the answer tells it what to own. Most heartbeats say and change nothing: they cost a few look-ups, however many members
//! the group has, and write nothing. What a heartbeat changes is one batch: the member, the group's epoch, a new target,
//! and how far the member is towards it.
//!
//! This file has the order of things. Each of them is a question with a file of its own: whether the request is one
//! (`request.rs`), who sends it and whether it may join (`join.rs`), what it says that is new (`said.rs`), whether the
//! group's epoch rises (`epoch.rs`), whether there is a new target (`target.rs`), how far the member can go towards it
//! (`reconcile.rs`), and, if it leaves, `leave.rs`.

use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use ottla_wire::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions as Assigned};
use ottla_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::member::{LEFT_EPOCH, LEFT_FOR_NOW_EPOCH, Owned};
use super::reconcile::Report;
use super::refusal::Refusal;
use super::said::Change;
use super::{epoch, join, leave, request, room, said, session, settings, target};
use crate::groups::Step;
use crate::room::{Lack, Room};

/// The epoch with which a member joins.
pub(super) const JOIN_EPOCH: i32 = 0;
/// First version in which clients make the ids of their members.
const CLIENT_MEMBER_ID_FROM: i16 = 1;

#[derive(Clone, Debug)]
pub struct ConsumerGroupHeartbeat {
    pub request: ConsumerGroupHeartbeatRequest,
    pub version: i16,
    pub client_id: Arc<str>,
    /// As Kafka writes it: a slash and the address.
    pub client_host: Arc<str>,
    /// A random one, which becomes the id of a new member that has none (version 0).
    pub uuid: Uuid,
}

impl ConsumerGroupHeartbeat {
    /// Whether the client makes the member's id, even before it joins.
    pub(super) fn client_makes_member_id(&self) -> bool {
        self.version >= CLIENT_MEMBER_ID_FROM
    }
}

pub(crate) fn decide(step: &mut Step<'_>, heartbeat: ConsumerGroupHeartbeat) -> ConsumerGroupHeartbeatResponse {
    let answer = request::check(&heartbeat, &step.soft.config).and_then(|()| match heartbeat.request.member_epoch {
        LEFT_EPOCH | LEFT_FOR_NOW_EPOCH => leave::decide(step, heartbeat.request),
        _ => beat(step, heartbeat),
    });
    answer.unwrap_or_else(|Refusal { code, message }| ConsumerGroupHeartbeatResponse {
        error_code: code.code(),
        error_message: Some(message.into()),
        ..Default::default()
    })
}

fn beat(step: &mut Step<'_>, heartbeat: ConsumerGroupHeartbeat) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
    let group_id = &heartbeat.request.group_id;
    let mut room = room(&step.soft.config, group_id);
    let member_id = join::find_or_admit(step, &heartbeat, &mut room)?;
    let change = said::update(step, &heartbeat, &member_id, &mut room)?;
    session::heard_of(step, group_id, &member_id);
    let news = News { change, reported: heartbeat.request.topic_partitions.as_deref() };
    let has_new_assignment = advance(step, group_id, &member_id, news, &mut room)?;

    let group = step.log.consumer.get(group_id).expect("the member is in it");
    let member = group.members.get(&member_id).expect("it was found or let in");
    let must_tell = has_new_assignment || is_full(&heartbeat.request) || heartbeat.request.member_epoch == JOIN_EPOCH;
    Ok(ConsumerGroupHeartbeatResponse {
        member_epoch: member.epoch,
        heartbeat_interval_ms: settings::heartbeat_interval_ms(step.soft, group_id),
        assignment: must_tell.then(|| assignment(&member.assigned)),
        member_id: Some(member_id),
        ..Default::default()
    })
}

/// What a member has brought.
pub(super) struct News<'a> {
    pub(super) change: Change,
    /// What it says it owns, if it says it.
    pub(super) reported: Option<&'a [TopicPartitions]>,
}

/// Brings the group, and then the member, as far as it can be brought by what the member has said. Says whether the member
/// has another assignment now.
pub(super) fn advance(
    step: &mut Step<'_>,
    group_id: &Arc<str>,
    member_id: &Arc<str>,
    news: News<'_>,
    room: &mut Room,
) -> Result<bool, Refusal> {
    let News { change, reported } = news;
    let renewed = advance_group(step, group_id, (member_id, change), room);
    let member = step.log.consumer.get(group_id).and_then(|group| group.members.get(member_id));
    if renewed == Err(Lack::Ever) && member.is_some_and(|member| member.epoch == JOIN_EPOCH) {
        // Who is in the group goes on with the target there is. Who comes must not believe that it gets something, and
        // is not let in.
        leave::remove(step, group_id, std::slice::from_ref(member_id));
        return Err(Lack::Ever.into());
    }
    let report = Report { reported, subscription: change.of_subscription() };
    Ok(session::reconcile(step, group_id, member_id, report, room)?)
}

/// A client that says all does not know what the coordinator knows of it.
fn is_full(request: &ConsumerGroupHeartbeatRequest) -> bool {
    request.rebalance_timeout_ms != -1
        && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
        && request.topic_partitions.is_some()
}

/// Brings the group as far as it can be brought.
fn advance_group(
    step: &mut Step<'_>,
    group_id: &Arc<str>,
    (member_id, change): (&Arc<str>, Change),
    room: &mut Room,
) -> Result<(), Lack> {
    epoch::raise_if_due(step, group_id, change, room);
    target::renew_if_due(step, group_id, member_id, room)
}

/// A classic member has shown that it lives: if topics have changed, or a new target is due, that is seen to. Kafka leaves
/// it to members of the consumer protocol, of which a group may have none.
pub(crate) fn notice(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>) {
    let mut room = room(&step.soft.config, group_id);
    // Where the log cannot take a target, all go on with the one they have.
    let _ = advance_group(step, group_id, (member_id, Change::Nothing), &mut room);
}

fn assignment(assigned: &Owned) -> Assignment {
    let topics = assigned.iter().map(|(topic, partitions)| Assigned {
        topic_id: *topic,
        partitions: partitions.keys().copied().collect(),
        ..Default::default()
    });
    Assignment { topic_partitions: topics.collect(), ..Default::default() }
}
