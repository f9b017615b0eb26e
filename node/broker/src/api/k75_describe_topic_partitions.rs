//! DescribeTopicPartitions: topics and their partitions in pages, sorted by name (KIP-966). Version 0.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_metadata::image::{Image, Topic};
use ottla_metadata::topic_name;
use ottla_wire::messages::describe_topic_partitions_response::Cursor;
use ottla_wire::messages::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition as Partition, DescribeTopicPartitionsResponseTopic as Described,
};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run, described};
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::DescribeTopicPartitions, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let published = ctx.broker.published();
    let image = &published.image;
    let DescribeTopicPartitionsRequest { topics, response_partition_limit, cursor, .. } = request;
    let names: BTreeSet<Arc<str>> = match &topics[..] {
        [] => image.topics().iter().map(|topic| topic.name.clone()).collect(),
        topics => topics.iter().map(|topic| topic.name.clone()).collect(),
    };
    if let Some(cursor) = &cursor
        && (cursor.partition_index < 0 || (!topics.is_empty() && !names.contains(&cursor.topic_name)))
    {
        return refuse_all(names);
    }
    let limit = ctx.broker.settings.described_partitions_max.min(response_partition_limit).max(1) as usize;
    let mut page = Page { room: limit, topics: Vec::new(), next: None };
    let first: Arc<str> = cursor.as_ref().map_or_else(|| "".into(), |cursor| cursor.topic_name.clone());
    for name in names.range::<Arc<str>, _>(first.clone()..) {
        let from =
            cursor.as_ref().filter(|cursor| cursor.topic_name == *name).map_or(0, |cursor| cursor.partition_index);
        match find(&ctx, image, name) {
            Err(missing) => page.topics.push(missing),
            Ok(topic) => page.add(&ctx, image, topic, from),
        }
        if page.next.is_some() {
            break;
        }
    }
    DescribeTopicPartitionsResponse { topics: page.topics, next_cursor: page.next, ..Default::default() }
}

struct Page {
    room: usize,
    topics: Vec<Described>,
    next: Option<Cursor>,
}

impl Page {
    /// Adds the partitions of a topic from `from` on, as far as there is room.
    fn add(&mut self, ctx: &Ctx, image: &Image, topic: &Topic, from: i32) {
        let mut partitions = Vec::new();
        for (index, partition) in topic.partitions().filter(|(index, _)| *index >= from) {
            if self.room == 0 {
                self.next =
                    Some(Cursor { topic_name: topic.name.clone(), partition_index: index, ..Default::default() });
                break;
            }
            self.room -= 1;
            let (leader_id, error) = described::leader(ctx, image, partition);
            partitions.push(Partition {
                error_code: error.code(),
                partition_index: index,
                leader_id,
                leader_epoch: partition.leader_epoch.0,
                replica_nodes: described::node_ids(&partition.replicas),
                isr_nodes: described::node_ids(&partition.isr),
                eligible_leader_replicas: Some(described::node_ids(&partition.eligible_leader_replicas)),
                last_known_elr: Some(described::node_ids(&partition.last_known_elr)),
                offline_replicas: described::offline_replicas(ctx, image, partition),
                ..Default::default()
            });
        }
        if partitions.is_empty() && self.next.is_some() {
            return;
        }
        self.topics.push(Described {
            name: Some(topic.name.clone()),
            topic_id: topic.id,
            is_internal: topic_name::is_internal(&topic.name),
            partitions,
            topic_authorized_operations: described::topic_operations(ctx, &topic.name, true),
            ..Default::default()
        });
    }
}

fn find<'i>(ctx: &Ctx, image: &'i Image, name: &Arc<str>) -> Result<&'i Topic, Described> {
    let error = if !ctx.may(Operation::Describe, Resource::Topic(name)) {
        ErrorCode::TopicAuthorizationFailed
    } else if topic_name::check(name).is_err() {
        ErrorCode::InvalidTopicException
    } else {
        match image.topics().get(name) {
            Some(topic) => return Ok(topic),
            None => ErrorCode::UnknownTopicOrPartition,
        }
    };
    Err(Described { error_code: error.code(), name: Some(name.clone()), ..Default::default() })
}

/// The cursor is of another request: Kafka says so for each topic.
fn refuse_all(names: BTreeSet<Arc<str>>) -> DescribeTopicPartitionsResponse {
    let refused = names.into_iter().map(|name| Described {
        error_code: ErrorCode::InvalidRequest.code(),
        name: Some(name),
        ..Default::default()
    });
    DescribeTopicPartitionsResponse { topics: refused.collect(), ..Default::default() }
}
