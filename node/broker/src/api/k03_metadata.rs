//! Metadata: brokers, topics, leaders; makes topics that are asked for and are not there.
//!
//! Versions 0-13. `auto.create.topics.enable` acts as in Kafka, except that the answer waits for the new topic and has it;
//! Kafka answers UNKNOWN_TOPIC_OR_PARTITION and lets the client ask again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_metadata::image::{Image, Topic};
use ottla_metadata::topic_name;
use ottla_wire::messages::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run, described};
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::Metadata, run: Run::Cold(|call| call.answer(handle)) };

/// The version since which clients know LISTENER_NOT_FOUND.
const LISTENER_NOT_FOUND_FROM: i16 = 6;

async fn handle(ctx: Ctx, request: MetadataRequest) -> MetadataResponse {
    let MetadataRequest { topics, include_topic_authorized_operations: operations, .. } = request;
    // Version 0 has no null: an empty list means all.
    let asked = topics.filter(|topics| ctx.version > 0 || !topics.is_empty());
    let mut refused = Refused::new();
    if let Some(asked) = &asked
        && request.allow_auto_topic_creation
        && ctx.broker.settings.auto_create_topics
    {
        refused = create_missing(&ctx, asked).await;
    }
    let published = ctx.broker.published();
    let image = &published.image;
    let describe = |topic: &Topic| described_topic(&ctx, image, topic, operations);
    let rows = asked.as_ref().map_or(image.topics().len(), Vec::len);
    let topics = ctx.make(rows, || match asked {
        None => {
            let visible = |topic: &&Topic| ctx.may(Operation::Describe, Resource::Topic(&topic.name));
            image.topics().iter().filter(visible).map(describe).collect()
        }
        Some(asked) => {
            let mut seen = BTreeSet::new();
            let asked = asked.into_iter().filter(|topic| seen.insert(identity(topic)));
            asked.map(|asked| find(&ctx, image, &asked, &refused).map_or_else(|missing| missing, describe)).collect()
        }
    });
    MetadataResponse {
        brokers: brokers(&ctx, image),
        cluster_id: Some(ctx.broker.identity.cluster_id.clone()),
        controller_id: ctx.broker.identity.node_id.0,
        topics,
        cluster_authorized_operations: described::cluster_operations(
            &ctx,
            request.include_cluster_authorized_operations,
        ),
        ..Default::default()
    }
}

/// Topics that could not be made, and why.
type Refused = BTreeMap<Arc<str>, ErrorCode>;

/// What is meant: a topic is described once, however often it is asked for, and beside an id a name means nothing.
fn identity(asked: &MetadataRequestTopic) -> (Option<Arc<str>>, Uuid) {
    (asked.name.clone().filter(|_| asked.topic_id.is_zero()), asked.topic_id)
}

/// Makes the topics that have a name, and are not there.
async fn create_missing(ctx: &Ctx, asked: &[MetadataRequestTopic]) -> Refused {
    let published = ctx.broker.published();
    let mut missing: BTreeSet<Arc<str>> = asked
        .iter()
        .filter(|topic| topic.topic_id.is_zero())
        .filter_map(|topic| topic.name.clone())
        .filter(|name| published.image.topics().get(name).is_none() && topic_name::check(name).is_ok())
        // One that no coordinator here needs is not a topic of a client's making either.
        .filter(|name| !topic_name::is_internal(name) || **name == *topic_name::CONSUMER_OFFSETS)
        .filter(|name| ctx.may(Operation::Create, Resource::Topic(name)))
        .collect();
    drop(published);
    if missing.is_empty() {
        return Refused::new();
    }
    let mut results = Vec::new();
    // This one has settings that its coordinator needs.
    if let Some(name) = missing.take(topic_name::CONSUMER_OFFSETS) {
        let made = ctx.broker.control.create_internal(&name).await;
        results.push((name, made.err().unwrap_or(ErrorCode::None)));
    }
    if !missing.is_empty() {
        results.extend(ctx.broker.control.auto_create(missing).await);
    }
    let is_there = [ErrorCode::None, ErrorCode::TopicAlreadyExists];
    results.into_iter().filter(|(_, error)| !is_there.contains(error)).collect()
}

fn find<'i>(
    ctx: &Ctx,
    image: &'i Image,
    asked: &MetadataRequestTopic,
    refused: &Refused,
) -> Result<&'i Topic, MetadataResponseTopic> {
    let missing = |error: ErrorCode| MetadataResponseTopic {
        error_code: error.code(),
        name: asked.name.clone(),
        topic_id: asked.topic_id,
        ..Default::default()
    };
    let topic = match &asked.name {
        // An id says which topic is meant, whatever name stands beside it.
        _ if asked.topic_id != Uuid::ZERO => {
            let unknown = || MetadataResponseTopic { name: None, ..missing(ErrorCode::UnknownTopicId) };
            image.topics().get_by_id(&asked.topic_id).ok_or_else(unknown)?
        }
        None => return Err(missing(ErrorCode::InvalidRequest)),
        Some(name) if topic_name::check(name).is_err() => return Err(missing(ErrorCode::InvalidTopicException)),
        Some(name) => image.topics().get(name).ok_or_else(|| {
            let why = refused.get(name).copied();
            missing(why.unwrap_or(ErrorCode::UnknownTopicOrPartition))
        })?,
    };
    if !ctx.may(Operation::Describe, Resource::Topic(&topic.name)) {
        return Err(missing(ErrorCode::TopicAuthorizationFailed));
    }
    Ok(topic)
}

fn described_topic(ctx: &Ctx, image: &Image, topic: &Topic, operations: bool) -> MetadataResponseTopic {
    let partitions = topic.partitions().map(|(index, partition)| {
        let (leader_id, error) = described::leader(ctx, image, partition);
        let error = match error {
            ErrorCode::ListenerNotFound if ctx.version < LISTENER_NOT_FOUND_FROM => ErrorCode::LeaderNotAvailable,
            error => error,
        };
        MetadataResponsePartition {
            error_code: error.code(),
            partition_index: index,
            leader_id,
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: described::node_ids(&partition.replicas),
            isr_nodes: described::node_ids(&partition.isr),
            offline_replicas: described::offline_replicas(ctx, image, partition),
            ..Default::default()
        }
    });
    MetadataResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: topic_name::is_internal(&topic.name),
        partitions: partitions.collect(),
        topic_authorized_operations: described::topic_operations(ctx, &topic.name, operations),
        ..Default::default()
    }
}

fn brokers(ctx: &Ctx, image: &Image) -> Vec<MetadataResponseBroker> {
    let live = image.brokers().iter().filter(|broker| !broker.fenced);
    live.filter_map(|broker| {
        let (host, port) = described::endpoint(broker, &ctx.client)?;
        Some(MetadataResponseBroker {
            node_id: broker.id.0,
            host,
            port,
            rack: broker.rack.clone(),
            ..Default::default()
        })
    })
    .collect()
}
