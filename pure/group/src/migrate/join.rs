//! JoinGroup of a classic member in a consumer group.
//!
//! It is what a heartbeat is of the others: the member says what it subscribes to and what it owns, and takes a step
//! towards its target. It is answered at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use ottla_machine::Waiter;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{JoinGroupRequest, JoinGroupResponse};
use ottla_wire::records::consumer_offsets::ConsumerGroupMemberMetadataValue;
use ottla_wire::records::consumer_protocol::ConsumerProtocolSubscription;

use super::upgrade::classic_metadata;
use super::{classic_member, downgrade, has_joined, protocol, sync};
use crate::classic::join::{JoinGroup, KNOWN_MEMBER_ID_FROM, refuse};
use crate::consumer::{self, Group};
use crate::groups::{Reply, Step, Timer};

/// Of a JoinGroup that was found to be well formed, to a consumer group that has members.
pub(crate) fn decide(step: &mut Step<'_>, asker: Waiter, join: JoinGroup) {
    let said_id = join.request.member_id.clone();
    let is_unknown = said_id.is_empty();
    let member_id: Arc<str> = if is_unknown { join.uuid.to_string().into() } else { said_id.clone() };
    let Some(group) = step.log.consumer.get(&join.request.group_id) else { return };
    let (subscription, protocols) = match check(step, group, &join) {
        Ok(said) => said,
        Err(code) => return refuse(step, asker, code, said_id),
    };
    if !group.members.contains_key(&member_id) && !subscription.owned_partitions.is_empty() {
        // It was removed and does not know yet: it must not come back with what is another's by now, as Kafka lets it.
        return refuse(step, asker, ErrorCode::UnknownMemberId, said_id);
    }
    let instance = join.request.group_instance_id.clone();
    if is_unknown && instance.is_none() && join.version >= KNOWN_MEMBER_ID_FROM {
        return refuse(step, asker, ErrorCode::MemberIdRequired, member_id);
    }
    let bearer = instance.as_ref().and_then(|instance| group.of_instance(instance)).cloned();
    if instance.is_some() && !is_unknown {
        match &bearer {
            None => return refuse(step, asker, ErrorCode::UnknownMemberId, said_id),
            Some(bearer) if *bearer != member_id => return refuse(step, asker, ErrorCode::FencedInstanceId, said_id),
            Some(_) => {}
        }
    }
    if let Some(bearer) = &bearer
        && downgrade::with_replaced(step, asker, bearer, &join)
    {
        return;
    }
    let replaced = bearer.filter(|bearer| *bearer != member_id);
    let said = said(&join, &subscription, protocols);
    let reported = protocol::reported(&subscription, &step.soft.topics);
    let entry = consumer::Entry { member_id: &member_id, replaced: replaced.as_ref(), said, reported: &reported };
    if let Err(code) = consumer::enter(step, &join.request.group_id, entry) {
        return refuse(step, asker, code, said_id);
    }
    answer(step, asker, &join.request, &member_id);
}

/// What the member says, if the group can take it.
type Said = (ConsumerProtocolSubscription, Vec<(Arc<str>, Bytes)>);

fn check(step: &Step<'_>, group: &Group, join: &JoinGroup) -> Result<Said, ErrorCode> {
    let JoinGroupRequest { member_id, protocol_type, protocols, .. } = &join.request;
    if group.members.len() >= step.soft.config.consumer_members_max && !group.members.contains_key(member_id) {
        return Err(ErrorCode::GroupMaxSizeReached);
    }
    let is_known = protocols.iter().any(|protocol| group.all_classic_support(&protocol.name));
    if **protocol_type != *consumer::TYPE || !is_known {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    let mut names = BTreeSet::new();
    let distinct = protocols.iter().filter(|protocol| names.insert(&protocol.name));
    let protocols: Vec<_> = distinct.map(|protocol| (protocol.name.clone(), protocol.metadata.clone())).collect();
    // All protocols of a consumer say the same of it.
    let said = protocols.first().map_or(&[][..], |(_, said)| said);
    let subscription = protocol::subscription(said).map_err(|_| ErrorCode::InconsistentGroupProtocol)?;
    Ok((subscription, protocols))
}

fn said(
    join: &JoinGroup,
    subscription: &ConsumerProtocolSubscription,
    protocols: Vec<(Arc<str>, Bytes)>,
) -> ConsumerGroupMemberMetadataValue {
    let names: BTreeSet<Arc<str>> = subscription.topics.iter().cloned().collect();
    let JoinGroupRequest { session_timeout_ms, rebalance_timeout_ms, group_instance_id, .. } = &join.request;
    ConsumerGroupMemberMetadataValue {
        instance_id: group_instance_id.clone(),
        rack_id: subscription.rack_id.clone().filter(|rack| !rack.is_empty()),
        client_id: join.client_id.clone(),
        client_host: join.client_host.clone(),
        subscribed_topic_names: names.into_iter().collect(),
        // Classic members match patterns themselves.
        subscribed_topic_regex: Some(Arc::default()),
        rebalance_timeout_ms: match *rebalance_timeout_ms {
            ..0 => *session_timeout_ms,
            rebalance_timeout_ms => rebalance_timeout_ms,
        },
        server_assignor: None,
        classic_member_metadata: Some(classic_metadata(*session_timeout_ms, protocols)),
        ..Default::default()
    }
}

fn answer(step: &mut Step<'_>, asker: Waiter, request: &JoinGroupRequest, member_id: &Arc<str>) {
    let group_id = &request.group_id;
    has_joined(step, group_id, member_id);
    let group = step.log.consumer.get(group_id).expect("the member has just joined it");
    let member = classic_member(group, member_id, None).expect("it has joined by the classic protocol");
    let response = JoinGroupResponse {
        generation_id: member.epoch,
        protocol_type: Some(consumer::TYPE.into()),
        protocol_name: sync::preferred(member).map(|(name, _)| name),
        member_id: member_id.clone(),
        ..Default::default()
    };
    let timeout_ms = member.said.rebalance_timeout_ms;
    let timer = Timer::ConsumerSync(group_id.clone(), member_id.clone());
    step.soft.timers.set(timer, step.now, timeout_ms.into());
    step.reply(asker, Reply::JoinGroup(response));
}
