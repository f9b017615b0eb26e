//! Whether a member of a consumer group may commit or fetch offsets.
//!
//! A member that has not heard of its new epoch yet still commits with the one before. That is fine for what it has owned
//! since: nobody else can have committed there (KIP-1251). Refused is who commits for what it got later, or owns no more.

use ottla_wire::ErrorCode;
use ottla_wire::messages::{OffsetCommitRequest, OffsetFetchRequestGroup};

use super::group::Group;
use super::member::Member;
use crate::Topics;

/// First version whose answer can say that a member's epoch is stale.
const MEMBER_EPOCH_FROM: i16 = 9;

pub(crate) struct Commit<'a> {
    pub(crate) request: &'a OffsetCommitRequest,
    pub(crate) version: i16,
}

pub(crate) fn check(group: &Group, topics: &Topics, commit: Commit<'_>) -> Result<(), ErrorCode> {
    let Commit { request, version } = commit;
    let epoch = request.generation_id_or_member_epoch;
    if epoch < 0 && group.members.is_empty() {
        return Ok(());
    }
    let member = group.members.get(&request.member_id).ok_or(ErrorCode::UnknownMemberId)?;
    if !member.is_classic() && version < MEMBER_EPOCH_FROM {
        return Err(ErrorCode::UnsupportedVersion);
    }
    if epoch == member.epoch { Ok(()) } else { has_owned_all(member, topics, request).ok_or(stale(member)) }
}

/// Whether the member has owned all that it commits for since the epoch that it says.
fn has_owned_all(member: &Member, topics: &Topics, request: &OffsetCommitRequest) -> Option<()> {
    let epoch = request.generation_id_or_member_epoch;
    if epoch > member.epoch {
        return None;
    }
    for topic in &request.topics {
        let id = if topic.topic_id.is_zero() { topics.get(&topic.name)?.id } else { topic.topic_id };
        for partition in &topic.partitions {
            member.assignment_epoch(&id, partition.partition_index).filter(|since| *since <= epoch)?;
        }
    }
    Some(())
}

fn stale(member: &Member) -> ErrorCode {
    if member.is_classic() { ErrorCode::IllegalGeneration } else { ErrorCode::StaleMemberEpoch }
}

/// A client that says who it is must be who it says.
pub(crate) fn check_fetch(group: &Group, request: &OffsetFetchRequestGroup) -> Result<(), ErrorCode> {
    if request.member_id.is_none() && request.member_epoch < 0 {
        return Ok(());
    }
    let id = request.member_id.clone().unwrap_or_default();
    let member = group.members.get(&id).ok_or(ErrorCode::UnknownMemberId)?;
    if request.member_epoch == member.epoch { Ok(()) } else { Err(stale(member)) }
}
