//! FindCoordinator: which broker decides for a group. Versions 0-6.
//!
//! It is the leader of the partition of `__consumer_offsets` that the group's id hashes to. The first one who asks makes
//! that topic. Kafka answers COORDINATOR_NOT_AVAILABLE then; here the answer waits for the topic, and has it.

use std::sync::Arc;

use ottla_base::NodeId;
use ottla_metadata::topic_name::CONSUMER_OFFSETS;
use ottla_wire::messages::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run, described};
use crate::coordinate::groups::partition_of;
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::FindCoordinator, run: Run::Cold(|call| call.answer(handle)) };

/// First version with many keys.
const KEYS_FROM: i16 = 4;

/// Kafka's ids of what has a coordinator.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

async fn handle(ctx: Ctx, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if ctx.version < KEYS_FROM {
        let found = find(&ctx, request.key_type, request.key).await;
        let Coordinator { node_id, host, port, error_code, error_message, .. } = found;
        let is_found = error_code == ErrorCode::None.code();
        let error_message = error_message.or_else(|| is_found.then(|| "NONE".into()));
        return FindCoordinatorResponse { node_id, host, port, error_code, error_message, ..Default::default() };
    }
    let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
    for key in request.coordinator_keys {
        coordinators.push(find(&ctx, request.key_type, key).await);
    }
    FindCoordinatorResponse { coordinators, ..Default::default() }
}

async fn find(ctx: &Ctx, key_type: i8, key: Arc<str>) -> Coordinator {
    match endpoint(ctx, key_type, &key).await {
        Ok((node_id, host, port)) => Coordinator {
            key,
            node_id,
            host,
            port,
            error_message: (ctx.version >= KEYS_FROM).then(Arc::default),
            ..Default::default()
        },
        Err((error, message)) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: error.code(),
            error_message: Some(message.into()),
            ..Default::default()
        },
    }
}

async fn endpoint(ctx: &Ctx, key_type: i8, key: &str) -> Result<(i32, Arc<str>, i32), (ErrorCode, &'static str)> {
    match key_type {
        GROUP if !ctx.may(Operation::Describe, Resource::Group(key)) => {
            return Err((ErrorCode::GroupAuthorizationFailed, ""));
        }
        GROUP => {}
        TRANSACTION => return Err((ErrorCode::UnsupportedVersion, "there are no transactions yet")),
        _ => return Err((ErrorCode::InvalidRequest, "only groups have coordinators here")),
    }
    let missing = (ErrorCode::CoordinatorNotAvailable, "");
    if ctx.broker.published().image.topics().get(CONSUMER_OFFSETS).is_none() {
        ctx.broker.control.create_internal(CONSUMER_OFFSETS).await.map_err(|_| missing)?;
    }
    let published = ctx.broker.published();
    let topic = published.image.topics().get(CONSUMER_OFFSETS).ok_or(missing)?;
    let index = partition_of(key, topic.partition_count()).ok_or(missing)?;
    let partition = i32::try_from(index).ok().and_then(|index| topic.partition(index)).ok_or(missing)?;
    let (leader_id, error) = described::leader(ctx, &published.image, partition);
    let leader = published.image.brokers().get(NodeId(leader_id));
    let endpoint = leader.and_then(|leader| described::endpoint(leader, &ctx.client));
    match endpoint {
        Some((host, port)) if error == ErrorCode::None => Ok((leader_id, host, port)),
        _ => Err(missing),
    }
}
