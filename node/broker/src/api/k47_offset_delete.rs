//! OffsetDelete: a group forgets some of its offsets (KIP-496). Version 0.

use ottla_wire::messages::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::coordinate::groups::ask;
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::OffsetDelete, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, mut request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let refuse = |error: ErrorCode| OffsetDeleteResponse { error_code: error.code(), ..Default::default() };
    let group = request.group_id.clone();
    if !ctx.may(Operation::Delete, Resource::Group(&group)) {
        return refuse(ErrorCode::GroupAuthorizationFailed);
    }
    let mut refused = Vec::new();
    for mut topic in std::mem::take(&mut request.topics) {
        let missing = split_off_missing(&ctx, &mut topic);
        refused.extend(missing);
        if !topic.partitions.is_empty() {
            request.topics.push(topic);
        }
    }
    // Without partitions too: whether there is the group is told in any case.
    match ask!(ctx.broker.groups, &group, OffsetDelete(request)) {
        Ok(mut response) if response.error_code == ErrorCode::None.code() => {
            merge(&mut response.topics, refused);
            response
        }
        Ok(response) => response,
        Err(error) => refuse(error),
    }
}

/// Takes the partitions that there are not out of the request, and gives their answer.
fn split_off_missing(ctx: &Ctx, topic: &mut OffsetDeleteRequestTopic) -> Option<OffsetDeleteResponseTopic> {
    let published = ctx.broker.published();
    let may = ctx.may(Operation::Read, Resource::Topic(&topic.name));
    let known = published.image.topics().get(&topic.name).filter(|_| may);
    let error = if may { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::TopicAuthorizationFailed };
    let is_there = |index| known.is_some_and(|known| known.partition(index).is_some());
    let mut partitions = Vec::new();
    topic.partitions.retain(|partition| {
        let partition_index = partition.partition_index;
        if !is_there(partition_index) {
            partitions.push(OffsetDeleteResponsePartition { partition_index, error_code: error.code() });
            return false;
        }
        true
    });
    (!partitions.is_empty()).then(|| OffsetDeleteResponseTopic { name: topic.name.clone(), partitions })
}

/// Puts the partitions of a topic that both have together.
fn merge(topics: &mut Vec<OffsetDeleteResponseTopic>, refused: Vec<OffsetDeleteResponseTopic>) {
    for refused in refused {
        match topics.iter_mut().find(|topic| topic.name == refused.name) {
            Some(topic) => topic.partitions.extend(refused.partitions),
            None => topics.push(refused),
        }
    }
}
