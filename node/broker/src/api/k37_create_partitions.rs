//! CreatePartitions: topics get more partitions. Versions 0-3 (KIP-195). The controller decides: see `pure/metadata`.

use ottla_wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::CreatePartitions, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, mut request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let may = |name: &str| ctx.may(Operation::Alter, Resource::Topic(name));
    let refused: Vec<_> = request.topics.extract_if(.., |topic| !may(&topic.name)).collect();
    let mut response = ctx.broker.control.create_partitions(request).await;
    response.results.extend(refused.into_iter().map(|topic| CreatePartitionsTopicResult {
        name: topic.name,
        error_code: ErrorCode::TopicAuthorizationFailed.code(),
        ..Default::default()
    }));
    response
}
