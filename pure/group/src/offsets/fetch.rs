//! OffsetFetch: how far a group has read.
//!
//! What is not committed is answered with offset -1, in a group that there is not as well. Who asks for stable offsets is told to
//! ask again for those that a transaction under way may change (KIP-447).

use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    OffsetFetchRequestGroup, OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};

use super::Offset;
use crate::groups::Step;
use crate::{State, consumer};

/// One group of an OffsetFetch.
#[derive(Clone, Debug)]
pub struct OffsetFetch {
    /// Topics that are named by their ids come with their names too.
    pub group: OffsetFetchRequestGroup,
    pub require_stable: bool,
}

pub(crate) fn decide(step: &Step<'_>, fetch: OffsetFetch) -> OffsetFetchResponseGroup {
    let OffsetFetch { group: request, require_stable } = fetch;
    let state: &State = &step.log;
    if let Some(group) = state.consumer.get(&request.group_id)
        && let Err(code) = consumer::commit::check_fetch(group, &request)
    {
        return OffsetFetchResponseGroup { group_id: request.group_id, error_code: code.code(), ..Default::default() };
    }
    let group = request.group_id;
    let is_unstable = |topic: &str, index| require_stable && state.pending.contains(&group, topic, index);
    let topics = match request.topics {
        Some(topics) => topics
            .into_iter()
            .map(|topic| {
                let partitions = topic.partition_indexes.into_iter().map(|index| {
                    if is_unstable(&topic.name, index) {
                        return unstable(index);
                    }
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
                let partitions = partitions.iter().map(|(index, offset)| match is_unstable(topic, *index) {
                    true => unstable(*index),
                    false => partition(*index, Some(offset)),
                });
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

fn unstable(partition_index: i32) -> OffsetFetchResponsePartitions {
    let error_code = ErrorCode::UnstableOffsetCommit.code();
    OffsetFetchResponsePartitions { error_code, metadata: Some(Arc::default()), ..partition(partition_index, None) }
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
