//! SyncGroup of a classic member in a consumer group: it fetches what it owns. There is no leader to wait for.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::Uuid;
use ottla_machine::Waiter;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{SyncGroupRequest, SyncGroupResponse};

use super::{await_join, classic_member, protocol};
use crate::consumer::{self, Member, Progress};
use crate::groups::{Reply, Step, Timer};

pub(crate) fn decide(step: &mut Step<'_>, asker: Waiter, request: &SyncGroupRequest) {
    let response = match sync(step, request) {
        Ok((protocol_name, assignment)) => SyncGroupResponse {
            protocol_type: Some(consumer::TYPE.into()),
            protocol_name: Some(protocol_name),
            assignment,
            ..Default::default()
        },
        Err(code) => SyncGroupResponse { error_code: code.code(), ..Default::default() },
    };
    step.reply(asker, Reply::SyncGroup(response));
}

/// The protocol and the assignment of the member.
fn sync(step: &mut Step<'_>, request: &SyncGroupRequest) -> Result<(Arc<str>, Bytes), ErrorCode> {
    let SyncGroupRequest { group_id, member_id, generation_id, group_instance_id, .. } = request;
    let group = step.log.consumer.get(group_id).ok_or(ErrorCode::UnknownMemberId)?;
    let member = classic_member(group, member_id, group_instance_id.as_ref())?;
    if member.epoch != *generation_id {
        return Err(ErrorCode::IllegalGeneration);
    }
    let (name, said) = named(member, request).ok_or(ErrorCode::InconsistentGroupProtocol)?;
    if group.assignment_epoch > member.epoch && member.progress != Progress::UnrevokedPartitions {
        await_join(step, group_id, member_id);
        return Err(ErrorCode::RebalanceInProgress);
    }
    let assigned: BTreeMap<Uuid, Vec<i32>> =
        member.assigned.iter().map(|(topic, partitions)| (*topic, partitions.keys().copied().collect())).collect();
    let assignment = protocol::write_assignment(&assigned, &step.soft.topics, &said);
    step.soft.timers.cancel(&Timer::ConsumerSync(group_id.clone(), member_id.clone()));
    consumer::session::heard_of(step, group_id, member_id);
    Ok((name, assignment))
}

/// The protocol that the request names, and what the member says for it. One that has joined before the group changed was
/// told what all preferred then, and not what it prefers itself; Kafka refuses that.
fn named(member: &Member, request: &SyncGroupRequest) -> Option<(Arc<str>, Bytes)> {
    let is_of_consumers = request.protocol_type.as_deref().is_none_or(|name| name == consumer::TYPE);
    let Some(name) = request.protocol_name.as_ref().filter(|_| is_of_consumers) else {
        return preferred(member).filter(|_| is_of_consumers);
    };
    let protocols = &member.said.classic_member_metadata.as_ref()?.supported_protocols;
    let known = protocols.iter().find(|known| known.name == *name)?;
    Some((known.name.clone(), known.metadata.clone()))
}

/// What the member says for the protocol that it prefers, whose name its JoinGroup is answered with.
pub(super) fn preferred(member: &Member) -> Option<(Arc<str>, Bytes)> {
    let protocols = &member.said.classic_member_metadata.as_ref()?.supported_protocols;
    protocols.first().map(|protocol| (protocol.name.clone(), protocol.metadata.clone()))
}
