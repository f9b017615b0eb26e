//! LeaveGroup: members go, or are removed by an administrator. Versions 0-5.

use ottla_group::LeaveGroup;
use ottla_wire::messages::{LeaveGroupRequest, LeaveGroupResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::coordinate::groups::ask;
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::LeaveGroup, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let group = request.group_id.clone();
    let left = if ctx.may(Operation::Read, Resource::Group(&group)) {
        ask!(ctx.broker.groups, &group, LeaveGroup(LeaveGroup { request, version: ctx.version }))
    } else {
        Err(ErrorCode::GroupAuthorizationFailed)
    };
    left.unwrap_or_else(|error| LeaveGroupResponse { error_code: error.code(), ..Default::default() })
}
