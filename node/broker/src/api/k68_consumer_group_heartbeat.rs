//! ConsumerGroupHeartbeat: members of consumer groups join, report, get their partitions, and leave (KIP-848).
//! Versions 0-1.

use ottla_group::ConsumerGroupHeartbeat;
use ottla_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::coordinate::groups::ask;
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::ConsumerGroupHeartbeat, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
    match beat(&ctx, request).await {
        Ok(response) => response,
        Err(error) => ConsumerGroupHeartbeatResponse { error_code: error.code(), ..Default::default() },
    }
}

async fn beat(ctx: &Ctx, request: ConsumerGroupHeartbeatRequest) -> Result<ConsumerGroupHeartbeatResponse, ErrorCode> {
    if !ctx.broker.settings.consumer_groups {
        return Err(ErrorCode::UnsupportedVersion);
    }
    if !ctx.may(Operation::Read, Resource::Group(&request.group_id)) {
        return Err(ErrorCode::GroupAuthorizationFailed);
    }
    let mut names = request.subscribed_topic_names.iter().flatten();
    if names.any(|name| !ctx.may(Operation::Describe, Resource::Topic(name))) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let group = request.group_id.clone();
    let (client_id, client_host) = (ctx.client_id.clone(), ctx.client_host());
    let beat = ConsumerGroupHeartbeat {
        request,
        version: ctx.version,
        client_id,
        client_host,
        uuid: ctx.broker.rt.random_uuid(),
    };
    ask!(ctx.broker.groups, &group, ConsumerGroupHeartbeat(beat))
}
