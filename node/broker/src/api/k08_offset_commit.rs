//! OffsetCommit: how far a group has read. Versions 2-10.
//!
//! Version 10 names topics by id (KIP-848). Partitions that there are not are answered here; the group's coordinator sees
//! the others.

use std::sync::Arc;

use ottla_group::OffsetCommit;
use ottla_metadata::Image;
use ottla_wire::messages::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::coordinate::groups::ask;
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::OffsetCommit, run: Run::Cold(|call| call.answer(handle)) };

/// First version in which topics are named by id.
const TOPIC_IDS_FROM: i16 = 10;

async fn handle(ctx: Ctx, mut request: OffsetCommitRequest) -> OffsetCommitResponse {
    if !ctx.may(Operation::Read, Resource::Group(&request.group_id)) {
        return answer(&request.topics, |_, _| ErrorCode::GroupAuthorizationFailed);
    }
    // Of each topic, and of each partition of it, why the coordinator does not hear of it.
    let refusals: Vec<_> = {
        let published = ctx.broker.published();
        request.topics.iter_mut().map(|topic| refuse_partitions(&ctx, &published.image, topic)).collect()
    };
    if refusals.iter().flatten().all(Option::is_none) {
        return commit(&ctx, request).await;
    }
    let asked = request.topics.clone();
    for (topic, refusals) in request.topics.iter_mut().zip(&refusals) {
        let mut refusals = refusals.iter();
        topic.partitions.retain(|_| refusals.next().is_some_and(Option::is_none));
    }
    request.topics.retain(|topic| !topic.partitions.is_empty());
    let decided = if request.topics.is_empty() { Vec::new() } else { commit(&ctx, request).await.topics };
    // The coordinator answers in the order in which it was asked.
    let mut decided = decided.into_iter().flat_map(|topic| topic.partitions).map(|partition| partition.error_code);
    answer(&asked, |topic, partition| {
        let decided = || decided.next().and_then(ErrorCode::from_code).unwrap_or(ErrorCode::UnknownServerError);
        refusals[topic][partition].unwrap_or_else(decided)
    })
}

async fn commit(ctx: &Ctx, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let request = Arc::new(request);
    let commit = OffsetCommit { request: request.clone(), version: ctx.version };
    match ask!(ctx.broker.groups, &request.group_id, OffsetCommit(commit)) {
        Ok(response) => response,
        Err(error) => answer(&request.topics, |_, _| error),
    }
}

/// Gives the topic its name, if the request has its id, or its id, and says of each partition why it is refused.
fn refuse_partitions(ctx: &Ctx, image: &Image, topic: &mut OffsetCommitRequestTopic) -> Vec<Option<ErrorCode>> {
    let by_id = ctx.version >= TOPIC_IDS_FROM;
    let known = match by_id {
        true => image.topics().get_by_id(&topic.topic_id),
        false => image.topics().get(&topic.name),
    };
    let name = known.map_or_else(|| topic.name.clone(), |known| known.name.clone());
    let refusal = match known {
        None if by_id => Some(ErrorCode::UnknownTopicId),
        _ if !ctx.may(Operation::Read, Resource::Topic(&name)) => Some(ErrorCode::TopicAuthorizationFailed),
        None => Some(ErrorCode::UnknownTopicOrPartition),
        Some(_) => None,
    };
    let Some(known) = known.filter(|_| refusal.is_none()) else {
        return vec![refusal; topic.partitions.len()];
    };
    (topic.name, topic.topic_id) = (name, known.id);
    let is_there = |index| known.partition(index).is_some();
    let missing = |index| (!is_there(index)).then_some(ErrorCode::UnknownTopicOrPartition);
    topic.partitions.iter().map(|partition| missing(partition.partition_index)).collect()
}

fn answer(
    topics: &[OffsetCommitRequestTopic],
    mut outcome: impl FnMut(usize, usize) -> ErrorCode,
) -> OffsetCommitResponse {
    let topics = topics.iter().enumerate().map(|(at, topic)| {
        let partitions = topic.partitions.iter().enumerate();
        let partitions = partitions.map(|(place, partition)| OffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: outcome(at, place).code(),
            ..Default::default()
        });
        OffsetCommitResponseTopic {
            topic_id: topic.topic_id,
            name: Arc::clone(&topic.name),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    OffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}
