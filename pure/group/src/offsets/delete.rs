//! OffsetDelete: an administrator lets a group forget some of its offsets (KIP-496).
//!
//! An offset that a living group may want is not taken away: consumers keep those of the topics they subscribe to, and
//! groups of other protocols, whose subscriptions are their own secret, keep all.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

use super::key;
use crate::Record;
use crate::classic;
use crate::groups::Step;
use crate::room::Room;

pub(crate) fn decide(step: &mut Step<'_>, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let refuse = |code: ErrorCode| OffsetDeleteResponse { error_code: code.code(), ..Default::default() };
    let id = request.group_id;
    if id.is_empty() {
        return refuse(ErrorCode::InvalidGroupId);
    }
    let in_use = match in_use(step, &id, &request.topics) {
        Ok(in_use) => in_use,
        Err(code) => return refuse(code),
    };
    if !has_room(step, &id, &request.topics, &in_use) {
        // As Kafka answers for records that the log does not take.
        return refuse(ErrorCode::UnknownServerError);
    }
    let topics = request.topics.into_iter().map(|topic| {
        let code = if in_use.contains(&topic.name) { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
        let partitions = topic.partitions.into_iter().map(|partition| {
            let partition_index = partition.partition_index;
            let is_known = step.log.offset(&id, &topic.name, partition_index).is_some()
                || step.log.pending.contains(&id, &topic.name, partition_index);
            if code == ErrorCode::None && is_known {
                step.log.write(Record::OffsetCommit(key(&id, &topic.name, partition_index), None));
                step.soft.offset_counts.deleted += 1;
            }
            OffsetDeleteResponsePartition { partition_index, error_code: code.code() }
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic { name: topic.name, partitions }
    });
    OffsetDeleteResponse { topics: topics.collect(), ..Default::default() }
}

/// Whether the ends of all these offsets fit into a batch.
fn has_room(step: &Step<'_>, id: &Arc<str>, topics: &[OffsetDeleteRequestTopic], in_use: &BTreeSet<Arc<str>>) -> bool {
    let mut room = Room::of_batch(&step.soft.config, &[]);
    topics.iter().filter(|topic| !in_use.contains(&topic.name)).all(|topic| {
        topic.partitions.iter().all(|partition| {
            let key = key(id, &topic.name, partition.partition_index);
            room.take(&[Record::OffsetCommit(key, None)]).is_ok()
        })
    })
}

/// Those of the topics that the group reads.
fn in_use(
    step: &mut Step<'_>,
    id: &Arc<str>,
    topics: &[OffsetDeleteRequestTopic],
) -> Result<BTreeSet<Arc<str>>, ErrorCode> {
    let those = |is_read: &dyn Fn(&str) -> bool| {
        topics.iter().map(|topic| &topic.name).filter(|name| is_read(name)).cloned().collect()
    };
    if let Some(group) = step.log.consumer.get(id) {
        return Ok(those(&|name| group.subscribes_to(name)));
    }
    let group = classic::take(step, id).ok_or(ErrorCode::GroupIdNotFound)?;
    let in_use = if !group.is_empty() && !group.is_of_consumers() {
        Err(ErrorCode::NonEmptyGroup)
    } else {
        Ok(those(&|name| group.subscribes_to(name)))
    };
    classic::put(step, group);
    in_use
}
