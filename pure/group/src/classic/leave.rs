//! LeaveGroup: members go, or an administrator removes them.
//!
//! A consumer that stops says so, and the others need not wait for the end of its session. A static member does not: it
//! may be back soon. An administrator who knows better names it by its name alone.

use ottla_wire::ErrorCode;
use ottla_wire::messages::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse};

use super::rebalance::member_removed;
use super::{Group, put, take, validate_member};
use crate::groups::{Step, Timer};
use crate::history::What;
use crate::migrate;

/// First version in which several may leave at once.
const MEMBERS_FROM: i16 = 3;

#[derive(Clone, Debug)]
pub struct LeaveGroup {
    pub request: LeaveGroupRequest,
    pub version: i16,
}

pub(crate) fn decide(step: &mut Step<'_>, leave: LeaveGroup) -> LeaveGroupResponse {
    let LeaveGroup { request, version } = leave;
    if request.group_id.is_empty() {
        return LeaveGroupResponse { error_code: ErrorCode::InvalidGroupId.code(), ..Default::default() };
    }
    if step.log.consumer.contains_key(&request.group_id) {
        return migrate::leave::decide(step, LeaveGroup { request, version });
    }
    let mut group = take(step, &request.group_id);
    let one = |identity: MemberIdentity| {
        let outcome = group.as_mut().map_or(Err(ErrorCode::UnknownMemberId), |group| remove(step, group, &identity));
        MemberResponse {
            member_id: identity.member_id,
            group_instance_id: identity.group_instance_id,
            error_code: outcome.err().unwrap_or(ErrorCode::None).code(),
            ..Default::default()
        }
    };
    let members: Vec<MemberResponse> = leaving(request, version).into_iter().map(one).collect();
    let anyone_left = members.iter().any(|member| member.error_code == ErrorCode::None.code());
    if let Some(mut group) = group {
        if anyone_left {
            member_removed(step, &mut group);
        }
        put(step, group);
    }
    answer(members, version)
}

/// Who leaves, whatever the version.
pub(crate) fn leaving(request: LeaveGroupRequest, version: i16) -> Vec<MemberIdentity> {
    match version {
        ..MEMBERS_FROM => vec![MemberIdentity { member_id: request.member_id, ..Default::default() }],
        _ => request.members,
    }
}

/// The outcome of each that is [`leaving`], in the same order.
pub(crate) fn answer(members: Vec<MemberResponse>, version: i16) -> LeaveGroupResponse {
    match version {
        ..MEMBERS_FROM => {
            let error_code = members.first().map_or(0, |member| member.error_code);
            LeaveGroupResponse { error_code, ..Default::default() }
        }
        _ => LeaveGroupResponse { members, ..Default::default() },
    }
}

fn remove(step: &mut Step<'_>, group: &mut Group, identity: &MemberIdentity) -> Result<(), ErrorCode> {
    let MemberIdentity { member_id, group_instance_id, .. } = identity;
    if member_id.is_empty() {
        let bearer = group_instance_id.as_ref().and_then(|instance| group.members.of_instance(instance));
        let bearer = bearer.cloned().ok_or(ErrorCode::UnknownMemberId)?;
        group.because_of(step, &bearer, What::Left);
        group.remove(step, &bearer);
    } else if group.pending.contains(member_id) {
        group.remove(step, member_id);
        step.soft.timers.cancel(&Timer::Session(group.id.clone(), member_id.clone()));
    } else {
        validate_member(group, member_id, group_instance_id.as_ref())?;
        group.because_of(step, member_id, What::Left);
        group.remove(step, member_id);
    }
    Ok(())
}
