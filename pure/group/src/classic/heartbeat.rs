//! Heartbeat: a member shows that it lives, and learns that it has to join again.

use ottla_wire::ErrorCode;
use ottla_wire::messages::{HeartbeatRequest, HeartbeatResponse};

use super::{Group, Phase, put, take, validate_member};
use crate::groups::Step;
use crate::migrate;

pub(crate) fn decide(step: &mut Step<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    if step.log.consumer.contains_key(&request.group_id) {
        return migrate::heartbeat::decide(step, request);
    }
    let code = if request.group_id.is_empty() {
        ErrorCode::InvalidGroupId
    } else if let Some(group) = take(step, &request.group_id) {
        let code = beat(step, &group, &request);
        put(step, group);
        code
    } else {
        ErrorCode::UnknownMemberId
    };
    HeartbeatResponse { error_code: code.code(), ..Default::default() }
}

fn beat(step: &mut Step<'_>, group: &Group, request: &HeartbeatRequest) -> ErrorCode {
    if let Err(code) = validate_member(group, &request.member_id, request.group_instance_id.as_ref()) {
        return code;
    }
    if request.generation_id != group.generation {
        return ErrorCode::IllegalGeneration;
    }
    group.heard_of(step, &request.member_id);
    match group.phase {
        Phase::Preparing(_) => ErrorCode::RebalanceInProgress,
        // Members may not have synced yet, and send heartbeats all the same.
        Phase::Empty | Phase::Completing | Phase::Stable => ErrorCode::None,
    }
}
