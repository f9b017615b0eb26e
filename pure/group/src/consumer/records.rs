//! The records of consumer groups, made of what a group is to become.

use std::sync::Arc;

use ottla_wire::records::consumer_offsets::consumer_group_current_member_assignment_value::TopicPartitions;
use ottla_wire::records::consumer_offsets::consumer_group_target_assignment_member_value::TopicPartition;
use ottla_wire::records::consumer_offsets::{
    ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey, ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey, ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue,
};

use super::assign::Assignment;
use super::group::Group;
use super::member::{Member, Owned};
use crate::Record;

/// How a group begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct First {
    pub(crate) epoch: i32,
    pub(crate) metadata_hash: i64,
}

pub(crate) fn epoch(group: &Arc<str>, epoch: i32, metadata_hash: i64) -> Record {
    let value = ConsumerGroupMetadataValue { epoch, metadata_hash, ..Default::default() };
    Record::ConsumerGroupMetadata(ConsumerGroupMetadataKey { group_id: group.clone() }, Some(value))
}

pub(crate) fn no_partition_metadata(group: &Arc<str>) -> Record {
    Record::ConsumerGroupPartitionMetadata(ConsumerGroupPartitionMetadataKey { group_id: group.clone() }, None)
}

pub(crate) fn member(group: &Arc<str>, id: &Arc<str>, said: ConsumerGroupMemberMetadataValue) -> Record {
    Record::ConsumerGroupMemberMetadata(member_key(group, id), Some(said))
}

fn member_key(group: &Arc<str>, id: &Arc<str>) -> ConsumerGroupMemberMetadataKey {
    ConsumerGroupMemberMetadataKey { group_id: group.clone(), member_id: id.clone() }
}

pub(crate) fn target(group: &Arc<str>, id: &Arc<str>, target: &Assignment) -> Record {
    let topics = target.iter().map(|(topic, partitions)| TopicPartition {
        topic_id: *topic,
        partitions: partitions.iter().copied().collect(),
        ..Default::default()
    });
    let value = ConsumerGroupTargetAssignmentMemberValue { topic_partitions: topics.collect(), ..Default::default() };
    Record::ConsumerGroupTargetAssignmentMember(target_key(group, id), Some(value))
}

fn target_key(group: &Arc<str>, id: &Arc<str>) -> ConsumerGroupTargetAssignmentMemberKey {
    ConsumerGroupTargetAssignmentMemberKey { group_id: group.clone(), member_id: id.clone() }
}

pub(crate) fn target_metadata(group: &Arc<str>, assignment_epoch: i32, now_ms: i64) -> Record {
    let value = ConsumerGroupTargetAssignmentMetadataValue {
        assignment_epoch,
        assignment_timestamp: now_ms,
        ..Default::default()
    };
    Record::ConsumerGroupTargetAssignmentMetadata(target_metadata_key(group), Some(value))
}

fn target_metadata_key(group: &Arc<str>) -> ConsumerGroupTargetAssignmentMetadataKey {
    ConsumerGroupTargetAssignmentMetadataKey { group_id: group.clone() }
}

pub(crate) fn current(group: &Arc<str>, id: &Arc<str>, member: &Member) -> Record {
    let value = ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: member.epoch,
        previous_member_epoch: member.previous_epoch,
        state: member.progress.id(),
        assigned_partitions: topic_partitions(&member.assigned),
        partitions_pending_revocation: topic_partitions(&member.revoking),
        ..Default::default()
    };
    Record::ConsumerGroupCurrentMemberAssignment(current_key(group, id), Some(value))
}

/// As [`current`], of a member that gets all of its target at once.
pub(crate) fn first(group: &Arc<str>, id: &Arc<str>, target: &Assignment) -> Record {
    let assigned =
        target.iter().map(|(topic, partitions)| (*topic, partitions.iter().map(|index| (*index, 0)).collect()));
    current(group, id, &Member { assigned: assigned.collect(), ..Default::default() })
}

fn current_key(group: &Arc<str>, id: &Arc<str>) -> ConsumerGroupCurrentMemberAssignmentKey {
    ConsumerGroupCurrentMemberAssignmentKey { group_id: group.clone(), member_id: id.clone() }
}

fn topic_partitions(owned: &Owned) -> Vec<TopicPartitions> {
    let topics = owned.iter().map(|(topic, partitions)| TopicPartitions {
        topic_id: *topic,
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
        ..Default::default()
    });
    topics.collect()
}

pub(crate) fn pattern(group: &Arc<str>, pattern: &Arc<str>, topics: Vec<Arc<str>>, now_ms: i64) -> Record {
    let value = ConsumerGroupRegularExpressionValue { topics, timestamp: now_ms, ..Default::default() };
    Record::ConsumerGroupRegularExpression(pattern_key(group, pattern), Some(value))
}

pub(crate) fn no_pattern(group: &Arc<str>, pattern: &Arc<str>) -> Record {
    Record::ConsumerGroupRegularExpression(pattern_key(group, pattern), None)
}

fn pattern_key(group: &Arc<str>, pattern: &Arc<str>) -> ConsumerGroupRegularExpressionKey {
    ConsumerGroupRegularExpressionKey { group_id: group.clone(), regular_expression: pattern.clone() }
}

/// A member is no more.
pub(crate) fn no_member(group: &Arc<str>, id: &Arc<str>) -> [Record; 3] {
    [
        Record::ConsumerGroupCurrentMemberAssignment(current_key(group, id), None),
        Record::ConsumerGroupTargetAssignmentMember(target_key(group, id), None),
        Record::ConsumerGroupMemberMetadata(member_key(group, id), None),
    ]
}

/// A group begins as `first` says with these members, whose epochs are its own, and which own their targets.
pub(crate) fn begin(id: &Arc<str>, first: First, members: &[(Arc<str>, Member)]) -> Vec<Record> {
    let said = members.iter().map(|(member_id, is)| member(id, member_id, is.said.clone()));
    let targets = members.iter().map(|(member_id, is)| {
        let owned = is.assigned.iter();
        target(id, member_id, &owned.map(|(topic, owned)| (*topic, owned.keys().copied().collect())).collect())
    });
    let currents = members.iter().map(|(member_id, is)| current(id, member_id, is));
    let mut records: Vec<Record> = said.collect();
    records.push(epoch(id, first.epoch, first.metadata_hash));
    records.extend(targets);
    records.push(target_metadata(id, first.epoch, 0));
    records.extend(currents);
    records
}

/// The group is no more, nor is anybody in it.
pub(crate) fn no_group(id: &Arc<str>, group: &Group) -> Vec<Record> {
    let mut records = Vec::new();
    let members = || group.members.keys();
    records.extend(members().map(|member| Record::ConsumerGroupCurrentMemberAssignment(current_key(id, member), None)));
    records.extend(members().map(|member| Record::ConsumerGroupTargetAssignmentMember(target_key(id, member), None)));
    records.push(Record::ConsumerGroupTargetAssignmentMetadata(target_metadata_key(id), None));
    records.extend(members().map(|member| Record::ConsumerGroupMemberMetadata(member_key(id, member), None)));
    records.extend(group.resolved.keys().map(|pattern| no_pattern(id, pattern)));
    records.push(no_partition_metadata(id));
    records.push(Record::ConsumerGroupMetadata(ConsumerGroupMetadataKey { group_id: id.clone() }, None));
    records
}
