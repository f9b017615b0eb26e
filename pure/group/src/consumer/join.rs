//! Who sends a heartbeat: a member, or one that shall become one.
//!
//! A member is known by its id and its epoch. One with an epoch that is not its last, or the one before whose answer may
//! not have arrived, has been taken for dead, and its partitions may be another's by now: it is fenced, gives up all, and
//! joins again with epoch 0. A static member has a name besides. Whoever joins with the name of a member that has left
//! for now gets its place, with what it owned; while that member is there, nobody else can have its name.

use std::sync::Arc;

use ottla_wire::ErrorCode;
use ottla_wire::messages::ConsumerGroupHeartbeatRequest;

use super::from_classic::Predecessor;
use super::group::Group;
use super::heartbeat::{ConsumerGroupHeartbeat, JOIN_EPOCH};
use super::member::{LEFT_FOR_NOW_EPOCH, Member};
use super::refusal::Refusal;
use super::{from_classic, reasons, records, regex, said, session};
use crate::Record;
use crate::groups::Step;
use crate::history::What;
use crate::migrate;
use crate::room::Room;

/// The id of the member that the heartbeat is of. A new member is not in the group yet when this is done, but all that
/// could keep it from joining has been looked at.
pub(super) fn find_or_admit(
    step: &mut Step<'_>,
    heartbeat: &ConsumerGroupHeartbeat,
    room: &mut Room,
) -> Result<Arc<str>, Refusal> {
    let request = &heartbeat.request;
    let group_id = &request.group_id;
    let predecessor = match step.log.consumer.contains_key(group_id) {
        true => Predecessor::Nothing,
        false => from_classic::may_begin(step, group_id, request)?,
    };
    let to_be = predecessor.group();
    let group = step.log.consumer.get(group_id).unwrap_or(&to_be);
    let members_max = step.soft.config.consumer_members_max;
    if group.members.len() >= members_max && !group.members.contains_key(&request.member_id) {
        let message = format!("The consumer group has reached its maximum capacity of {members_max} members.");
        return Err(Refusal::new(ErrorCode::GroupMaxSizeReached, message));
    }
    let member_id = match &request.member_id {
        id if id.is_empty() => heartbeat.uuid.to_string().into(),
        id => id.clone(),
    };
    let replaced = match &request.instance_id {
        Some(instance) => static_member(group, request, instance, &member_id)?,
        None => {
            dynamic_member(group, request, &member_id)?;
            None
        }
    };
    if let Some(pattern) = request.subscribed_topic_regex.as_ref().filter(|pattern| !pattern.is_empty())
        && group.subscribers(pattern) == 0
    {
        regex::matching(pattern, &step.soft.topics).map_err(|error| {
            let message = format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {error}.");
            Refusal::new(ErrorCode::InvalidRegularExpression, message)
        })?;
    }
    let needs = match &predecessor {
        Predecessor::Members(_) => {
            let mut needs = said::first(step, heartbeat, &member_id);
            needs.extend(replaced.iter().flat_map(|bearer| replacement(group_id, group, bearer, &member_id)));
            needs
        }
        Predecessor::Empty => said::first(step, heartbeat, &member_id),
        Predecessor::Nothing => Vec::new(),
    };
    from_classic::begin(step, group_id, predecessor, &needs, room)?;
    if let Some(bearer) = replaced {
        replace(step, group_id, &bearer, &member_id, room)?;
    }
    Ok(member_id)
}

fn dynamic_member(group: &Group, request: &ConsumerGroupHeartbeatRequest, id: &Arc<str>) -> Result<(), Refusal> {
    match group.members.get(id) {
        Some(member) => check_epoch(member, request),
        None if request.member_epoch == JOIN_EPOCH => Ok(()),
        None => Err(Refusal::unknown_member(&request.group_id, id)),
    }
}

/// Gives back the id of the member whose place is to be taken, if that is so.
fn static_member(
    group: &Group,
    request: &ConsumerGroupHeartbeatRequest,
    instance: &Arc<str>,
    id: &Arc<str>,
) -> Result<Option<Arc<str>>, Refusal> {
    let bearer = group.of_instance(instance).and_then(|bearer| group.members.get_key_value(bearer));
    if request.member_epoch == JOIN_EPOCH {
        return match bearer {
            None => Ok(None),
            Some((bearer, member)) if bearer == id => check_epoch(member, request).map(|()| None),
            Some((bearer, member)) if member.epoch == LEFT_FOR_NOW_EPOCH || member.is_classic() => {
                Ok(Some(bearer.clone()))
            }
            Some((bearer, _)) => Err(unreleased(instance, id, bearer)),
        };
    }
    let Some((bearer, member)) = bearer else { return Err(unknown_instance(instance)) };
    if bearer != id {
        return Err(fenced_instance(instance, id, bearer));
    }
    check_epoch(member, request).map(|()| None)
}

pub(super) fn unknown_instance(instance: &str) -> Refusal {
    Refusal::new(ErrorCode::UnknownMemberId, format!("Instance id {instance} is unknown."))
}

pub(super) fn fenced_instance(instance: &str, id: &str, bearer: &str) -> Refusal {
    let message = format!("Static member {id} with instance id {instance} was fenced by member {bearer}.");
    Refusal::new(ErrorCode::FencedInstanceId, message)
}

fn unreleased(instance: &str, id: &str, bearer: &str) -> Refusal {
    let message = format!(
        "Static member {id} with instance id {instance} cannot join the group because the instance id is owned by \
         {bearer} member."
    );
    Refusal::new(ErrorCode::UnreleasedInstanceId, message)
}

/// The answer that told a member its epoch may not have arrived; then it says the one before, and owns no more than it
/// should.
fn check_epoch(member: &Member, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
    let (received, known) = (request.member_epoch, member.epoch);
    if received == JOIN_EPOCH || received == known {
        return Ok(());
    }
    let reported = request.topic_partitions.as_deref();
    if received == member.previous_epoch && reported.is_some_and(|reported| member.is_assigned(reported)) {
        return Ok(());
    }
    let which = if received > known { "greater" } else { "smaller" };
    let message = format!(
        "The consumer group member has a {which} member epoch ({received}) than the one known by the group coordinator \
         ({known}). The member must abandon all its partitions and rejoin."
    );
    Err(Refusal::new(ErrorCode::FencedMemberEpoch, message))
}

/// A static member is back under another id, and has what it had.
pub(super) fn replace(
    step: &mut Step<'_>,
    group_id: &Arc<str>,
    bearer: &Arc<str>,
    id: &Arc<str>,
    room: &mut Room,
) -> Result<(), Refusal> {
    let group = step.log.consumer.get(group_id).expect("the bearer is in it");
    let records = replacement(group_id, group, bearer, id);
    room.take(&records)?;
    reasons::because_of(step, group_id, bearer, What::replaced(id));
    session::forget(step, group_id, bearer);
    migrate::forget(step, group_id, bearer);
    records.into_iter().for_each(|record| step.log.write(record));
    Ok(())
}

fn replacement(group_id: &Arc<str>, group: &Group, bearer: &Arc<str>, id: &Arc<str>) -> Vec<Record> {
    let target = group.target(bearer);
    let member = group.members.get(bearer).expect("names are those of members").clone();
    let member = Member { epoch: JOIN_EPOCH, previous_epoch: JOIN_EPOCH, ..member };
    let mut records = Vec::from(records::no_member(group_id, bearer));
    records.push(records::member(group_id, id, member.said.clone()));
    records.push(records::target(group_id, id, &target));
    records.push(records::current(group_id, id, &member));
    records
}
