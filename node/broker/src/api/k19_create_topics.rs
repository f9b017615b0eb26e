//! CreateTopics. Versions 2-7 (KIP-4, KIP-195, KIP-525, KIP-516). The controller decides: see `pure/metadata`.

use ottla_wire::messages::{CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::CreateTopics, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, mut request: CreateTopicsRequest) -> CreateTopicsResponse {
    let on_cluster = ctx.may(Operation::Create, Resource::Cluster);
    let may = |name: &str| on_cluster || ctx.may(Operation::Create, Resource::Topic(name));
    let refused = request.topics.extract_if(.., |topic| !may(&topic.name)).map(|topic| CreatableTopicResult {
        name: topic.name,
        error_code: ErrorCode::TopicAuthorizationFailed.code(),
        ..Default::default()
    });
    let refused: Vec<_> = refused.collect();
    let mut response = ctx.broker.control.create_topics(request).await;
    response.topics.extend(refused);
    response
}
