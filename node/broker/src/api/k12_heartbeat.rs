//! Heartbeat: a member of a classic group shows that it lives. Versions 0-4.

use ottla_wire::messages::{HeartbeatRequest, HeartbeatResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::coordinate::groups::ask;
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::Heartbeat, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: HeartbeatRequest) -> HeartbeatResponse {
    let group = request.group_id.clone();
    let beat = if ctx.may(Operation::Read, Resource::Group(&group)) {
        ask!(ctx.broker.groups, &group, Heartbeat(request))
    } else {
        Err(ErrorCode::GroupAuthorizationFailed)
    };
    match beat {
        // While its coordinator loads, nobody is taken for dead; and clients give up where they are told (as in Kafka).
        Err(ErrorCode::CoordinatorLoadInProgress) => HeartbeatResponse::default(),
        beat => beat.unwrap_or_else(refused),
    }
}

fn refused(error: ErrorCode) -> HeartbeatResponse {
    HeartbeatResponse { error_code: error.code(), ..Default::default() }
}
