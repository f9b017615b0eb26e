//! Heartbeat of a classic member in a consumer group.

use ottla_wire::ErrorCode;
use ottla_wire::messages::{HeartbeatRequest, HeartbeatResponse};

use super::{await_join, classic_member};
use crate::consumer::{self, Progress};
use crate::groups::Step;

pub(crate) fn decide(step: &mut Step<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    let error_code = beat(step, &request).err().unwrap_or(ErrorCode::None).code();
    HeartbeatResponse { error_code, ..Default::default() }
}

fn beat(step: &mut Step<'_>, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
    let HeartbeatRequest { group_id, member_id, generation_id, group_instance_id, .. } = request;
    let group = step.log.consumer.get(group_id).ok_or(ErrorCode::UnknownMemberId)?;
    let member = classic_member(group, member_id, group_instance_id.as_ref())?;
    if member.epoch != *generation_id {
        return Err(ErrorCode::IllegalGeneration);
    }
    consumer::session::heard_of(step, group_id, member_id);
    consumer::heartbeat::notice(step, group_id, member_id);
    let group = step.log.consumer.get(group_id).ok_or(ErrorCode::UnknownMemberId)?;
    let member = classic_member(group, member_id, None)?;
    let must_join = member.epoch < group.assignment_epoch
        || match member.progress {
            Progress::UnrevokedPartitions => true,
            Progress::UnreleasedPartitions => !group.waits_for_others(member_id),
            Progress::Stable | Progress::Unknown => false,
        };
    if !must_join {
        return Ok(());
    }
    await_join(step, group_id, member_id);
    Err(ErrorCode::RebalanceInProgress)
}
