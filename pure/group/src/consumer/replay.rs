//! What the records of consumer groups make true.
//!
//! Compaction keeps the last record of each key, so a member's records may come in any order and before the group's. Each
//! record that has a value makes what it speaks of if it is not there; a tombstone of something that is not there is
//! nothing. A group ends with the tombstone of its epoch, and whatever is left of it ends with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::records::consumer_offsets::consumer_group_current_member_assignment_value::TopicPartitions;
use ottla_wire::records::consumer_offsets::{
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataValue, ConsumerGroupRegularExpressionValue, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataValue,
};

use super::group::Group;
use super::member::{LEFT_EPOCH, Owned, Progress};
use crate::State;

impl State {
    /// The group of which a record with a value speaks. It may be known so far by offsets alone, or as a classic group
    /// whose end was compacted away.
    fn consumer_group(&mut self, id: &Arc<str>) -> &mut Group {
        if !self.consumer.contains_key(id) {
            self.groups.remove(id);
            self.ended.remove(id);
        }
        self.consumer.entry(id.clone()).or_default()
    }
}

pub(crate) fn metadata(state: &mut State, id: &Arc<str>, value: Option<&ConsumerGroupMetadataValue>) {
    match value {
        Some(value) => {
            let group = state.consumer_group(id);
            group.epoch = value.epoch;
            group.metadata_hash = value.metadata_hash;
        }
        None => {
            state.consumer.remove(id);
            state.note_if_ended(id);
        }
    }
}

pub(crate) fn partition_metadata(
    state: &mut State,
    id: &Arc<str>,
    value: Option<&ConsumerGroupPartitionMetadataValue>,
) {
    if value.is_some() {
        state.consumer_group(id).has_partition_metadata = true;
    } else if let Some(group) = state.consumer.get_mut(id) {
        group.has_partition_metadata = false;
    }
}

pub(crate) fn member(
    state: &mut State,
    id: &Arc<str>,
    member: &Arc<str>,
    value: Option<&ConsumerGroupMemberMetadataValue>,
) {
    match value {
        Some(value) => {
            let mut said = value.clone();
            said.subscribed_topic_names.sort_unstable();
            said.subscribed_topic_names.dedup();
            state.consumer_group(id).set_said(member, said);
        }
        None => {
            if let Some(group) = state.consumer.get_mut(id) {
                group.remove_member(member);
                group.targets.remove(member);
            }
        }
    }
}

pub(crate) fn target_metadata(
    state: &mut State,
    id: &Arc<str>,
    value: Option<&ConsumerGroupTargetAssignmentMetadataValue>,
) {
    match value {
        Some(value) => {
            let group = state.consumer_group(id);
            group.assignment_epoch = value.assignment_epoch;
            group.assigned_ms = value.assignment_timestamp;
        }
        None => {
            if let Some(group) = state.consumer.get_mut(id) {
                group.assignment_epoch = LEFT_EPOCH;
                group.assigned_ms = 0;
                group.targets.clear();
            }
        }
    }
}

pub(crate) fn target(
    state: &mut State,
    id: &Arc<str>,
    member: &Arc<str>,
    value: Option<&ConsumerGroupTargetAssignmentMemberValue>,
) {
    match value {
        Some(value) => {
            let topics = value.topic_partitions.iter();
            let topics = topics.map(|topic| (topic.topic_id, topic.partitions.iter().copied().collect()));
            let target = topics.collect::<BTreeMap<Uuid, BTreeSet<i32>>>();
            state.consumer_group(id).targets.insert(member.clone(), target.into());
        }
        None => {
            if let Some(group) = state.consumer.get_mut(id) {
                group.targets.remove(member);
            }
        }
    }
}

pub(crate) fn current(
    state: &mut State,
    id: &Arc<str>,
    member: &Arc<str>,
    value: Option<&ConsumerGroupCurrentMemberAssignmentValue>,
) {
    match value {
        Some(value) => state.consumer_group(id).set_owned(member, |member| {
            member.epoch = value.member_epoch;
            member.previous_epoch = value.previous_member_epoch;
            member.progress = Progress::from_id(value.state);
            member.assigned = owned(&value.assigned_partitions, value.member_epoch);
            member.revoking = owned(&value.partitions_pending_revocation, value.member_epoch);
        }),
        None => {
            let group = state.consumer.get_mut(id).filter(|group| group.members.contains_key(member));
            if let Some(group) = group {
                group.set_owned(member, |member| {
                    member.epoch = LEFT_EPOCH;
                    member.previous_epoch = LEFT_EPOCH;
                    member.progress = Progress::Stable;
                    member.assigned = Owned::new();
                    member.revoking = Owned::new();
                });
            }
        }
    }
}

/// Before 4.3 records did not say when a member got a partition; then it is the member's epoch.
fn owned(topics: &[TopicPartitions], member_epoch: i32) -> Owned {
    let topics = topics.iter().map(|topic| {
        let epochs = topic.assignment_epochs.as_deref().filter(|epochs| epochs.len() == topic.partitions.len());
        let epoch = |at: usize| epochs.map_or(member_epoch.max(0), |epochs| epochs[at]);
        let partitions = topic.partitions.iter().enumerate().map(|(at, partition)| (*partition, epoch(at)));
        (topic.topic_id, partitions.collect())
    });
    topics.collect()
}

pub(crate) fn pattern(
    state: &mut State,
    id: &Arc<str>,
    pattern: &Arc<str>,
    value: Option<&ConsumerGroupRegularExpressionValue>,
) {
    match value {
        Some(value) => {
            let topics: BTreeSet<Arc<str>> = value.topics.iter().cloned().collect();
            state.consumer_group(id).resolved.insert(pattern.clone(), topics.into());
        }
        None => {
            if let Some(group) = state.consumer.get_mut(id) {
                group.resolved.remove(pattern);
            }
        }
    }
}
