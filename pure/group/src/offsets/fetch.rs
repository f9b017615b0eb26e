//! OffsetFetch: how far a group has read.
//!
//! What is not committed is answered with offset -1, in a group that there is not as well. Every offset is stable here:
//! offsets of a transaction that is under way do not get into this log yet.

use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::messages::{
    OffsetFetchRequestGroup, OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};

use super::Offset;
use crate::groups::Step;
use crate::{State, consumer};

pub(crate) fn decide(step: &Step<'_>, request: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    let state: &State = &step.log;
    if let Some(group) = state.consumer.get(&request.group_id)
        && let Err(code) = consumer::commit::check_fetch(group, &request)
    {
        return OffsetFetchResponseGroup { group_id: request.group_id, error_code: code.code(), ..Default::default() };
    }
    let group = request.group_id;
    let topics = match request.topics {
        Some(topics) => topics
            .into_iter()
            .map(|topic| {
                let partitions = topic.partition_indexes.into_iter().map(|index| {
                    let offset = state.offset(&group, &topic.name, index);
                    partition(index, offset.filter(|offset| is_of(offset, topic.topic_id)))
                });
                let partitions = partitions.collect();
                answer(topic.name, topic.topic_id, partitions)
            })
            .collect(),
        None => {
            let topics = state.offsets.get(&group).into_iter().flatten();
            let topics = topics.map(|(topic, partitions)| {
                let partitions = partitions.iter().map(|(index, offset)| partition(*index, Some(offset)));
                answer(topic.clone(), Uuid::ZERO, partitions.collect())
            });
            topics.collect()
        }
    };
    OffsetFetchResponseGroup { group_id: group, topics, ..Default::default() }
}

/// An offset is not that of a topic that has got the same name later.
fn is_of(offset: &Offset, topic_id: Uuid) -> bool {
    offset.topic_id.is_zero() || topic_id.is_zero() || offset.topic_id == topic_id
}

fn answer(name: Arc<str>, topic_id: Uuid, partitions: Vec<OffsetFetchResponsePartitions>) -> OffsetFetchResponseTopics {
    OffsetFetchResponseTopics { name, topic_id, partitions, ..Default::default() }
}

fn partition(partition_index: i32, offset: Option<&Offset>) -> OffsetFetchResponsePartitions {
    let none = OffsetFetchResponsePartitions { partition_index, committed_offset: -1, ..Default::default() };
    match offset {
        Some(offset) => OffsetFetchResponsePartitions {
            committed_offset: offset.offset,
            committed_leader_epoch: offset.leader_epoch,
            metadata: Some(offset.metadata.clone()),
            ..none
        },
        None => none,
    }
}
