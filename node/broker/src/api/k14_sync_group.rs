//! SyncGroup: the leader of a classic group brings its assignment, the others fetch their part. Versions 0-5.
//!
//! The answer comes when the leader has spoken.

use ottla_group::SyncGroup;
use ottla_wire::messages::{SyncGroupRequest, SyncGroupResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::coordinate::groups::ask;
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::SyncGroup, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: SyncGroupRequest) -> SyncGroupResponse {
    let group = request.group_id.clone();
    let synced = if ctx.may(Operation::Read, Resource::Group(&group)) {
        ask!(ctx.broker.groups, &group, SyncGroup(SyncGroup { request, version: ctx.version }))
    } else {
        Err(ErrorCode::GroupAuthorizationFailed)
    };
    synced.unwrap_or_else(|error| SyncGroupResponse { error_code: error.code(), ..Default::default() })
}
