//! OffsetCommit: a member, or somebody without a group, says how far it has read.
//!
//! A member that was taken for dead may still commit and so undo what the new owner of its partitions has committed. So a
//! member says its generation and is refused if that is over. Somebody who is no member may commit while the group has
//! none: that is how tools reset offsets, and how consumers work that need no group.

use std::sync::Arc;

use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_wire::records::consumer_offsets::OffsetCommitValue;

use super::key;
use crate::classic::{self, Phase, validate_member};
use crate::consumer::{self, commit::Commit};
use crate::groups::Step;
use crate::{BATCH_HEADER_BYTES, Record};

/// First version in which a group that is not there has an error of its own.
const GROUP_ID_NOT_FOUND_FROM: i16 = 9;

/// The request without partitions that there are not. Each topic has its name and, if known, its id.
#[derive(Clone, Debug)]
pub struct OffsetCommit {
    /// Shared with whoever asks: the answer to a coordinator's failure repeats it.
    pub request: Arc<OffsetCommitRequest>,
    pub version: i16,
}

pub(crate) fn decide(step: &mut Step<'_>, commit: OffsetCommit) -> OffsetCommitResponse {
    let OffsetCommit { request, version } = commit;
    if let Err(code) = may_commit(step, &request, version) {
        return answer(&request, |_| code);
    }
    let metadata_max = step.soft.config.offset_metadata_max;
    let outcome = |metadata: Option<&str>| match metadata {
        Some(text) if text.len() > metadata_max && text.encode_utf16().count() > metadata_max => {
            ErrorCode::OffsetMetadataTooLarge
        }
        _ => ErrorCode::None,
    };
    let records = records(&request, step.now.wall_ms, |metadata| outcome(metadata) == ErrorCode::None);
    let bytes = BATCH_HEADER_BYTES + records.iter().map(Record::bytes_max).sum::<usize>();
    if bytes > step.soft.config.batch_bytes_max {
        return answer(&request, |_| ErrorCode::InvalidCommitOffsetSize);
    }
    step.soft.offset_counts.committed += records.len() as u64;
    records.into_iter().for_each(|record| step.log.write(record));
    answer(&request, outcome)
}

/// Whether the group takes offsets from whoever asks. A member that commits is alive.
fn may_commit(step: &mut Step<'_>, request: &OffsetCommitRequest, version: i16) -> Result<(), ErrorCode> {
    let generation = request.generation_id_or_member_epoch;
    if let Some(group) = step.log.consumer.get(&request.group_id) {
        return consumer::commit::check(group, &step.soft.topics, Commit { request, version });
    }
    if generation < 0 && is_of_nobody(step, &request.group_id) {
        return Ok(());
    }
    let Some(group) = classic::take(step, &request.group_id) else {
        return match generation {
            ..0 => Ok(()),
            _ if version >= GROUP_ID_NOT_FOUND_FROM => Err(ErrorCode::GroupIdNotFound),
            _ => Err(ErrorCode::IllegalGeneration),
        };
    };
    let outcome = check(&group, request);
    if outcome.is_ok() && matches!(group.phase, Phase::Stable | Phase::Preparing(_)) {
        group.heard_of(step, &request.member_id);
    }
    classic::put(step, group);
    outcome
}

/// Whether the group has no members and expects none. That needs no look at the group itself, and most who commit as nobody
/// do so again and again.
fn is_of_nobody(step: &Step<'_>, group_id: &Arc<str>) -> bool {
    let recorded = step.log.groups.get(group_id);
    recorded.is_some_and(|recorded| recorded.members.is_empty()) && step.soft.classic.get(group_id).is_none()
}

fn check(group: &classic::Group, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
    let OffsetCommitRequest { member_id, group_instance_id, .. } = request;
    let generation = request.generation_id_or_member_epoch;
    let is_empty = matches!(group.phase, Phase::Empty);
    if generation < 0 && is_empty {
        return Ok(());
    }
    if generation < 0 && member_id.is_empty() && group_instance_id.is_none() {
        return Err(ErrorCode::UnknownMemberId);
    }
    validate_member(group, member_id, group_instance_id.as_ref())?;
    if generation != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    // The member knows the generation, but not yet what it owns.
    if matches!(group.phase, Phase::Completing) { Err(ErrorCode::RebalanceInProgress) } else { Ok(()) }
}

fn records(request: &OffsetCommitRequest, now_ms: i64, is_fine: impl Fn(Option<&str>) -> bool) -> Vec<Record> {
    let mut records = Vec::with_capacity(request.topics.iter().map(|topic| topic.partitions.len()).sum());
    for topic in &request.topics {
        for partition in topic.partitions.iter().filter(|partition| is_fine(partition.committed_metadata.as_deref())) {
            let mut value = OffsetCommitValue {
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.clone().unwrap_or_default(),
                commit_timestamp: now_ms,
                topic_id: topic.topic_id,
                ..Default::default()
            };
            if request.retention_time_ms != -1 {
                // The version of the record that has this does not have the others.
                value.expire_timestamp = now_ms.saturating_add(request.retention_time_ms);
                value.leader_epoch = -1;
                value.topic_id = Default::default();
            }
            let key = key(&request.group_id, &topic.name, partition.partition_index);
            records.push(Record::OffsetCommit(key, Some(value)));
        }
    }
    records
}

fn answer(request: &OffsetCommitRequest, outcome: impl Fn(Option<&str>) -> ErrorCode) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| OffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: outcome(partition.committed_metadata.as_deref()).code(),
            ..Default::default()
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic {
            topic_id: topic.topic_id,
            name: topic.name.clone(),
            partitions,
            ..Default::default()
        }
    });
    OffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}
