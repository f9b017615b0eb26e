//! JoinGroup: a member of a classic group wants to be in its next generation. Versions 0-9.
//!
//! The answer comes when the group is complete.

use ottla_group::JoinGroup;
use ottla_wire::messages::{JoinGroupRequest, JoinGroupResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::coordinate::groups::ask;
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::JoinGroup, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: JoinGroupRequest) -> JoinGroupResponse {
    let (group, member_id) = (request.group_id.clone(), request.member_id.clone());
    let joined = if ctx.may(Operation::Read, Resource::Group(&group)) {
        let (client_id, client_host) = (ctx.client_id.clone(), ctx.client_host());
        let join =
            JoinGroup { request, version: ctx.version, client_id, client_host, uuid: ctx.broker.rt.random_uuid() };
        ask!(ctx.broker.groups, &group, JoinGroup(join))
    } else {
        Err(ErrorCode::GroupAuthorizationFailed)
    };
    joined.unwrap_or_else(|error| JoinGroupResponse {
        error_code: error.code(),
        generation_id: -1,
        member_id,
        ..Default::default()
    })
}
