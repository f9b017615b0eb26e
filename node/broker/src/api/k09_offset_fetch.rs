//! OffsetFetch: how far groups have read. Versions 1-10.
//!
//! Since version 8 a request may ask for many groups, since version 10 it names topics by id. An older request is one for
//! a single group, and is answered in that form. From version 7 on it may ask for stable offsets only.

use std::sync::Arc;

use ottla_base::Uuid;
use ottla_group::OffsetFetch;
use ottla_metadata::Image;
use ottla_wire::messages::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use ottla_wire::{ApiKey, ErrorCode};

use super::answer_room::AnswerRoom;
use super::{Api, Run};
use crate::coordinate::groups::ask;
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::OffsetFetch, run: Run::Cold(|call| call.answer(handle)) };

/// First version in which a group has an error of its own, beside its partitions.
const GROUP_ERROR_FROM: i16 = 2;
/// First version with many groups.
const GROUPS_FROM: i16 = 8;
/// First version in which topics are named by id.
const TOPIC_IDS_FROM: i16 = 10;

async fn handle(ctx: Ctx, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if ctx.version < GROUPS_FROM {
        return fetch_single(&ctx, request).await;
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    let mut room = AnswerRoom::default();
    for group in request.groups {
        if let Err(error) = room.check() {
            groups.push(failed(group.group_id, error));
            continue;
        }
        let fetched = fetch(&ctx, OffsetFetch { group, require_stable: request.require_stable }).await;
        groups.push(match room.take(bytes(&fetched)) {
            Ok(()) => fetched,
            Err(error) => failed(fetched.group_id, error),
        });
    }
    OffsetFetchResponse { groups, ..Default::default() }
}

async fn fetch(ctx: &Ctx, fetch: OffsetFetch) -> OffsetFetchResponseGroup {
    let OffsetFetch { mut group, require_stable } = fetch;
    let group_id = group.group_id.clone();
    if !ctx.may(Operation::Describe, Resource::Group(&group_id)) {
        return failed(group_id, ErrorCode::GroupAuthorizationFailed);
    }
    let mut refused = Vec::new();
    if let Some(topics) = &mut group.topics {
        let published = ctx.broker.published();
        topics.retain_mut(|topic| match find(ctx, &published.image, topic) {
            Ok(()) => true,
            Err(error) => {
                refused.push(refuse(topic, error));
                false
            }
        });
    }
    let is_for_all = group.topics.is_none();
    match ask!(ctx.broker.groups, &group_id, OffsetFetch(OffsetFetch { group, require_stable })) {
        Err(error) => failed(group_id, error),
        Ok(mut response) => {
            if is_for_all {
                let published = ctx.broker.published();
                response.topics.retain_mut(|topic| is_to_be_told(ctx, &published.image, topic));
            }
            response.topics.extend(refused);
            response
        }
    }
}

fn failed(group_id: Arc<str>, error: ErrorCode) -> OffsetFetchResponseGroup {
    OffsetFetchResponseGroup { group_id, error_code: error.code(), ..Default::default() }
}

/// About as many as it has on the wire.
fn bytes(group: &OffsetFetchResponseGroup) -> usize {
    const NUMBERS: usize = 20;
    let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
    let texts = partitions.map(|partition| NUMBERS + partition.metadata.as_ref().map_or(0, |text| text.len()));
    group.group_id.len()
        + group.topics.iter().map(|topic| NUMBERS + topic.name.len()).sum::<usize>()
        + texts.sum::<usize>()
}

/// Gives the topic the name that the coordinator knows it by.
fn find(ctx: &Ctx, image: &Image, topic: &mut OffsetFetchRequestTopics) -> Result<(), ErrorCode> {
    if ctx.version >= TOPIC_IDS_FROM {
        let known = image.topics().get_by_id(&topic.topic_id).ok_or(ErrorCode::UnknownTopicId)?;
        topic.name = known.name.clone();
    }
    let may = ctx.may(Operation::Describe, Resource::Topic(&topic.name));
    if may { Ok(()) } else { Err(ErrorCode::TopicAuthorizationFailed) }
}

fn refuse(topic: &OffsetFetchRequestTopics, error: ErrorCode) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.iter().map(|index| OffsetFetchResponsePartitions {
        partition_index: *index,
        committed_offset: -1,
        metadata: Some(Arc::default()),
        error_code: error.code(),
        ..Default::default()
    });
    OffsetFetchResponseTopics {
        topic_id: topic.topic_id,
        name: topic.name.clone(),
        partitions: partitions.collect(),
        ..Default::default()
    }
}

/// Of what was not asked for by name: whether it is the client's business, and its id if the answer needs that.
fn is_to_be_told(ctx: &Ctx, image: &Image, topic: &mut OffsetFetchResponseTopics) -> bool {
    if !ctx.may(Operation::Describe, Resource::Topic(&topic.name)) {
        return false;
    }
    if ctx.version >= TOPIC_IDS_FROM {
        topic.topic_id = image.topics().get(&topic.name).map_or(Uuid::ZERO, |known| known.id);
        return !topic.topic_id.is_zero();
    }
    true
}

async fn fetch_single(ctx: &Ctx, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let topic = |topic: OffsetFetchRequestTopic| OffsetFetchRequestTopics {
        name: topic.name,
        partition_indexes: topic.partition_indexes,
        ..Default::default()
    };
    let topics: Option<Vec<_>> = request.topics.map(|topics| topics.into_iter().map(topic).collect());
    let asked = if ctx.version < GROUP_ERROR_FROM { topics.clone().unwrap_or_default() } else { Vec::new() };
    let group = OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() };
    let mut group = fetch(ctx, OffsetFetch { group, require_stable: request.require_stable }).await;
    if let Err(error) = AnswerRoom::default().take(bytes(&group)) {
        group = failed(group.group_id, error);
    }
    if group.error_code != ErrorCode::None.code() {
        let error = ErrorCode::from_code(group.error_code).unwrap_or(ErrorCode::UnknownServerError);
        group.topics = asked.iter().map(|topic| refuse(topic, error)).collect();
    }
    OffsetFetchResponse {
        topics: group.topics.into_iter().map(single_topic).collect(),
        error_code: group.error_code,
        ..Default::default()
    }
}

fn single_topic(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
        ..Default::default()
    });
    OffsetFetchResponseTopic { name: topic.name, partitions: partitions.collect(), ..Default::default() }
}
