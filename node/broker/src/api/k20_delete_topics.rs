//! DeleteTopics, by name or by id. Versions 1-6 (KIP-4, KIP-516). The controller decides: see `pure/metadata`.

use ottla_wire::messages::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::DeleteTopics, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, mut request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    if !ctx.broker.settings.delete_topics {
        return refuse_all(request, ErrorCode::TopicDeletionDisabled);
    }
    let may = |name: &str| ctx.may(Operation::Delete, Resource::Topic(name));
    let by_name: Vec<_> = request.topic_names.extract_if(.., |name| !may(name)).collect();
    let states: Vec<_> = {
        let published = ctx.broker.published();
        let topics = published.image.topics();
        let name_of = |topic: &ottla_wire::messages::DeleteTopicState| {
            topic.name.clone().or_else(|| topics.get_by_id(&topic.topic_id).map(|topic| topic.name.clone()))
        };
        request.topics.extract_if(.., |topic| name_of(topic).is_some_and(|name| !may(&name))).collect()
    };
    let refused = DeleteTopicsRequest { topic_names: by_name, topics: states, ..Default::default() };
    let mut response = ctx.broker.control.delete_topics(request).await;
    response.responses.extend(refuse_all(refused, ErrorCode::TopicAuthorizationFailed).responses);
    response
}

fn refuse_all(request: DeleteTopicsRequest, error: ErrorCode) -> DeleteTopicsResponse {
    let by_name = request.topic_names.into_iter().map(|name| (Some(name), Default::default()));
    let states = request.topics.into_iter().map(|topic| (topic.name, topic.topic_id));
    let responses = by_name.chain(states).map(|(name, topic_id)| DeletableTopicResult {
        name,
        topic_id,
        error_code: error.code(),
        ..Default::default()
    });
    DeleteTopicsResponse { responses: responses.collect(), ..Default::default() }
}
