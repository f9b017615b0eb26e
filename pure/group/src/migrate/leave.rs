//! LeaveGroup in a consumer group: an administrator removes members, or a classic member goes.
//!
//! Whoever knows a member's id, or the name of a static one, may remove it, whatever protocol it speaks. Those that the
//! request names go at once: one new epoch for all.

use std::sync::Arc;

use ottla_wire::ErrorCode;
use ottla_wire::messages::{LeaveGroupResponse, MemberIdentity, MemberResponse};

use crate::classic::leave::{LeaveGroup, answer, leaving};
use crate::consumer::{Group, leave, reasons, records, room};
use crate::groups::Step;
use crate::history::What;

pub(crate) fn decide(step: &mut Step<'_>, request: LeaveGroup) -> LeaveGroupResponse {
    let LeaveGroup { request, version } = request;
    let group_id = request.group_id.clone();
    let Some(group) = step.log.consumer.get(&group_id) else { return LeaveGroupResponse::default() };
    let mut gone = Vec::new();
    let mut members = Vec::new();
    let mut room = room(&step.soft.config, &group_id);
    for identity in leaving(request, version) {
        // With each member its pattern may go.
        let found = find(group, &identity).and_then(|id| {
            let tombstones = records::no_member(&group_id, &id);
            let pattern = group.members.get(&id).and_then(|member| member.pattern());
            let pattern = pattern.map(|pattern| records::no_pattern(&group_id, pattern));
            let fits = room.take(&tombstones).and_then(|()| room.take(pattern.as_slice()));
            fits.map(|()| id).map_err(|_| ErrorCode::UnknownServerError)
        });
        let error_code = found.as_ref().err().copied().unwrap_or(ErrorCode::None).code();
        gone.extend(found);
        members.push(MemberResponse {
            member_id: identity.member_id,
            group_instance_id: identity.group_instance_id,
            error_code,
            ..Default::default()
        });
    }
    gone.iter().for_each(|id| reasons::because_of(step, &group_id, id, What::Left));
    leave::remove(step, &group_id, &gone);
    answer(members, version)
}

fn find(group: &Group, identity: &MemberIdentity) -> Result<Arc<str>, ErrorCode> {
    let MemberIdentity { member_id, group_instance_id, .. } = identity;
    let Some(instance) = group_instance_id else {
        let found = group.members.get_key_value(member_id);
        return found.map(|(id, _)| id.clone()).ok_or(ErrorCode::UnknownMemberId);
    };
    match group.of_instance(instance) {
        None => Err(ErrorCode::UnknownMemberId),
        Some(bearer) if !member_id.is_empty() && bearer != member_id => Err(ErrorCode::FencedInstanceId),
        Some(bearer) => Ok(bearer.clone()),
    }
}
