//! The records of `__consumer_offsets` that Ottla acts on.
//!
//! Key and value of each are Kafka's, in the versions that Kafka 4.3 writes. Read are all versions, and the keys of Kafka
//! before 0.10 too. Records of a kind that a newer Kafka has are skipped, as Kafka does when it is taken back a version.
//! Records of groups that this version of Ottla does not have would be lost if they were skipped: such a log is refused.

use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::records::CoordinatorRecord;
use ottla_wire::records::consumer_offsets::consumer_group_current_member_assignment_value::TopicPartitions;
use ottla_wire::records::consumer_offsets::{
    ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey, ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue, ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue, ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue, ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue, ConsumerOffsetsRecord, GroupMetadataKey, GroupMetadataValue,
    LegacyOffsetCommitKey, OffsetCommitKey, OffsetCommitValue,
};
use ottla_wire::{DecodeError, DecodeErrorKind};

/// Without a value it is a tombstone.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    OffsetCommit(OffsetCommitKey, Option<OffsetCommitValue>),
    /// A classic group as it was when it became stable or empty.
    GroupMetadata(GroupMetadataKey, Option<GroupMetadataValue>),
    /// The epoch of a consumer group. Without it there is no such group.
    ConsumerGroupMetadata(ConsumerGroupMetadataKey, Option<ConsumerGroupMetadataValue>),
    /// What Kafka before 4.1 wrote of the topics. Only its tombstones are written.
    ConsumerGroupPartitionMetadata(ConsumerGroupPartitionMetadataKey, Option<ConsumerGroupPartitionMetadataValue>),
    /// What a member of a consumer group says of itself.
    ConsumerGroupMemberMetadata(ConsumerGroupMemberMetadataKey, Option<ConsumerGroupMemberMetadataValue>),
    /// The epoch of which the targets are.
    ConsumerGroupTargetAssignmentMetadata(
        ConsumerGroupTargetAssignmentMetadataKey,
        Option<ConsumerGroupTargetAssignmentMetadataValue>,
    ),
    /// What a member shall own.
    ConsumerGroupTargetAssignmentMember(
        ConsumerGroupTargetAssignmentMemberKey,
        Option<ConsumerGroupTargetAssignmentMemberValue>,
    ),
    /// What a member owns.
    ConsumerGroupCurrentMemberAssignment(
        ConsumerGroupCurrentMemberAssignmentKey,
        Option<ConsumerGroupCurrentMemberAssignmentValue>,
    ),
    /// The topics that a pattern matches.
    ConsumerGroupRegularExpression(ConsumerGroupRegularExpressionKey, Option<ConsumerGroupRegularExpressionValue>),
}

/// Why the log of a coordinator cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecordError {
    #[error("the log of a group coordinator holds a record that cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    #[error("the log of a group coordinator holds {0}, which this version of Ottla does not support")]
    Unsupported(&'static str),
}

impl Record {
    /// Reads a record; `None` is one of a kind that is newer than Kafka 4.3.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, RecordError> {
        use ConsumerOffsetsRecord as Wire;
        let record = match Wire::decode(key, value) {
            Err(error) if matches!(error.kind, DecodeErrorKind::RecordId(_)) => return Ok(None),
            record => record?,
        };
        Ok(Some(match record {
            Wire::OffsetCommit(key, value) => Record::OffsetCommit(key, value),
            Wire::LegacyOffsetCommit(key, value) => {
                let LegacyOffsetCommitKey { group, topic, partition } = key;
                let value = value.map(|value| OffsetCommitValue {
                    offset: value.offset,
                    metadata: value.metadata,
                    commit_timestamp: value.commit_timestamp,
                    ..Default::default()
                });
                Record::OffsetCommit(OffsetCommitKey { group, topic, partition }, value)
            }
            Wire::GroupMetadata(key, value) => Record::GroupMetadata(key, value),
            Wire::ConsumerGroupMetadata(key, value) => Record::ConsumerGroupMetadata(key, value),
            Wire::ConsumerGroupPartitionMetadata(key, value) => Record::ConsumerGroupPartitionMetadata(key, value),
            Wire::ConsumerGroupMemberMetadata(key, value) => Record::ConsumerGroupMemberMetadata(key, value),
            Wire::ConsumerGroupTargetAssignmentMetadata(key, value) => {
                Record::ConsumerGroupTargetAssignmentMetadata(key, value)
            }
            Wire::ConsumerGroupTargetAssignmentMember(key, value) => {
                Record::ConsumerGroupTargetAssignmentMember(key, value)
            }
            Wire::ConsumerGroupCurrentMemberAssignment(key, value) => {
                Record::ConsumerGroupCurrentMemberAssignment(key, value)
            }
            Wire::ConsumerGroupRegularExpression(key, value) => Record::ConsumerGroupRegularExpression(key, value),
            Wire::ShareGroupMemberMetadata(..)
            | Wire::ShareGroupMetadata(..)
            | Wire::ShareGroupTargetAssignmentMetadata(..)
            | Wire::ShareGroupTargetAssignmentMember(..)
            | Wire::ShareGroupCurrentMemberAssignment(..)
            | Wire::ShareGroupStatePartitionMetadata(..) => return Err(RecordError::Unsupported("share groups")),
            Wire::StreamsGroupMetadata(..)
            | Wire::StreamsGroupMemberMetadata(..)
            | Wire::StreamsGroupTargetAssignmentMetadata(..)
            | Wire::StreamsGroupTargetAssignmentMember(..)
            | Wire::StreamsGroupCurrentMemberAssignment(..)
            | Wire::StreamsGroupTopology(..) => return Err(RecordError::Unsupported("streams groups")),
        }))
    }

    /// Key and value for the log.
    pub fn encode(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        use ConsumerOffsetsRecord as Wire;
        let (record, version) = match self.clone() {
            Record::OffsetCommit(key, value) => {
                let version = match &value {
                    // The only version that has a time of expiry.
                    Some(value) if value.expire_timestamp != -1 => 1,
                    _ => 4,
                };
                (Wire::OffsetCommit(key, value), version)
            }
            Record::GroupMetadata(key, value) => (Wire::GroupMetadata(key, value), 3),
            Record::ConsumerGroupMetadata(key, value) => (Wire::ConsumerGroupMetadata(key, value), 0),
            Record::ConsumerGroupPartitionMetadata(key, value) => (Wire::ConsumerGroupPartitionMetadata(key, value), 0),
            Record::ConsumerGroupMemberMetadata(key, value) => (Wire::ConsumerGroupMemberMetadata(key, value), 0),
            Record::ConsumerGroupTargetAssignmentMetadata(key, value) => {
                (Wire::ConsumerGroupTargetAssignmentMetadata(key, value), 0)
            }
            Record::ConsumerGroupTargetAssignmentMember(key, value) => {
                (Wire::ConsumerGroupTargetAssignmentMember(key, value), 0)
            }
            Record::ConsumerGroupCurrentMemberAssignment(key, value) => {
                (Wire::ConsumerGroupCurrentMemberAssignment(key, value), 0)
            }
            Record::ConsumerGroupRegularExpression(key, value) => (Wire::ConsumerGroupRegularExpression(key, value), 0),
        };
        (record.encode_key(), record.encode_value(version))
    }

    /// What the record takes in a batch, or a little more.
    pub fn bytes_max(&self) -> usize {
        /// Lengths, deltas and attributes around a record, and the numbers in it.
        const AROUND: usize = 96;
        if let Record::OffsetCommit(key, value) = self {
            return offset_bytes_max(key, value.as_ref());
        }
        AROUND
            + match self {
                Record::OffsetCommit(..) => 0,
                Record::GroupMetadata(key, value) => key.group.len() + value.as_ref().map_or(0, group_bytes_max),
                Record::ConsumerGroupMetadata(key, _) => key.group_id.len(),
                // Of what Kafka wrote only the end is written again.
                Record::ConsumerGroupPartitionMetadata(key, _) => key.group_id.len(),
                Record::ConsumerGroupMemberMetadata(key, value) => {
                    key.group_id.len() + key.member_id.len() + value.as_ref().map_or(0, member_bytes_max)
                }
                Record::ConsumerGroupTargetAssignmentMetadata(key, _) => key.group_id.len(),
                Record::ConsumerGroupTargetAssignmentMember(key, value) => {
                    let topics = value.iter().flat_map(|value| &value.topic_partitions);
                    let bytes = topics.map(|topic| TOPIC_BYTES + 4 * topic.partitions.len());
                    key.group_id.len() + key.member_id.len() + bytes.sum::<usize>()
                }
                Record::ConsumerGroupCurrentMemberAssignment(key, value) => {
                    let bytes = value.as_ref().map_or(0, |value| {
                        owned_bytes_max(&value.assigned_partitions)
                            + owned_bytes_max(&value.partitions_pending_revocation)
                    });
                    key.group_id.len() + key.member_id.len() + bytes
                }
                Record::ConsumerGroupRegularExpression(key, value) => {
                    let topics = value.iter().flat_map(|value| &value.topics);
                    let bytes = topics.map(|topic| STRING_BYTES + topic.len());
                    key.group_id.len() + key.regular_expression.len() + bytes.sum::<usize>()
                }
            }
    }
}

/// Of these a batch has many thousands, so that a few bytes more would refuse what a batch can hold.
fn offset_bytes_max(key: &OffsetCommitKey, value: Option<&OffsetCommitValue>) -> usize {
    /// Around key and value: lengths, deltas (of time there is none in a batch) and attributes.
    const RECORD: usize = 21;
    /// Beside the texts.
    const KEY: usize = 10;
    const VALUE: usize = 24;
    const TOPIC_ID: usize = 22;
    let value = value.map_or(0, |value| {
        let topic_id = if value.topic_id == Uuid::ZERO { 0 } else { TOPIC_ID };
        VALUE + topic_id + value.metadata.len()
    });
    RECORD + KEY + key.group.len() + key.topic.len() + value
}

/// The length of a string.
const STRING_BYTES: usize = 5;
/// Of a topic: its id, the number of its partitions, tags.
const TOPIC_BYTES: usize = 32;

fn member_bytes_max(member: &ConsumerGroupMemberMetadataValue) -> usize {
    let length = |text: &Option<Arc<str>>| STRING_BYTES + text.as_ref().map_or(0, |text| text.len());
    let names = member.subscribed_topic_names.iter().map(|name| STRING_BYTES + name.len());
    let protocols = member.classic_member_metadata.iter().flat_map(|classic| &classic.supported_protocols);
    let protocols = protocols.map(|protocol| 2 * STRING_BYTES + 1 + protocol.name.len() + protocol.metadata.len());
    let texts = [&member.instance_id, &member.rack_id, &member.subscribed_topic_regex, &member.server_assignor];
    member.client_id.len()
        + member.client_host.len()
        + texts.into_iter().map(length).sum::<usize>()
        + names.sum::<usize>()
        + protocols.sum::<usize>()
}

fn owned_bytes_max(topics: &[TopicPartitions]) -> usize {
    topics.iter().map(|topic| TOPIC_BYTES + 8 * topic.partitions.len()).sum()
}

fn group_bytes_max(group: &GroupMetadataValue) -> usize {
    let length = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
    let members = group.members.iter().map(|member| {
        /// Lengths and numbers.
        const AROUND: usize = 24;
        AROUND
            + member.member_id.len()
            + length(&member.group_instance_id)
            + member.client_id.len()
            + member.client_host.len()
            + member.subscription.len()
            + member.assignment.len()
    });
    group.protocol_type.len() + length(&group.protocol) + length(&group.leader) + members.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_base::Uuid;
    use ottla_wire::records::consumer_offsets::consumer_group_target_assignment_member_value::TopicPartition;
    use ottla_wire::records::consumer_offsets::{
        ClassicMemberMetadata, ClassicProtocol, LegacyOffsetCommitValue, MemberMetadata, ShareGroupMetadataKey,
    };

    fn key() -> OffsetCommitKey {
        OffsetCommitKey { group: "g".into(), topic: "topic".into(), partition: 7 }
    }

    fn value() -> OffsetCommitValue {
        OffsetCommitValue { offset: 5, metadata: "m".into(), commit_timestamp: 9, ..Default::default() }
    }

    fn again(record: &Record) -> Record {
        let (key, value) = record.encode();
        Record::decode(&key, value.as_deref()).unwrap().unwrap()
    }

    #[test]
    fn the_version_is_the_one_that_can_say_it() {
        for (value, version) in [
            (OffsetCommitValue { topic_id: Uuid([7; 16]), leader_epoch: 3, ..value() }, 4),
            (OffsetCommitValue { expire_timestamp: 99, ..value() }, 1),
        ] {
            let record = Record::OffsetCommit(key(), Some(value));
            assert_eq!(record.encode().1.unwrap()[..2], [0, version]);
            assert_eq!(again(&record), record);
        }
        let tombstone = Record::OffsetCommit(key(), None);
        assert_eq!(tombstone.encode().1, None);
        assert_eq!(again(&tombstone), tombstone);
    }

    #[test]
    fn old_keys_are_read_as_new_ones() {
        let legacy = ConsumerOffsetsRecord::LegacyOffsetCommit(
            LegacyOffsetCommitKey { group: "g".into(), topic: "topic".into(), partition: 7 },
            Some(LegacyOffsetCommitValue { offset: 5, metadata: "m".into(), commit_timestamp: 9 }),
        );
        let decoded = Record::decode(&legacy.encode_key(), legacy.encode_value(0).as_deref());
        assert_eq!(decoded, Ok(Some(Record::OffsetCommit(key(), Some(value())))));
    }

    #[test]
    fn what_is_newer_is_skipped_and_what_is_missing_is_refused() {
        assert_eq!(Record::decode(&[0, 99, 1, 2, 3], None), Ok(None));
        let share = ConsumerOffsetsRecord::ShareGroupMetadata(ShareGroupMetadataKey::default(), None);
        let error = Record::decode(&share.encode_key(), None).unwrap_err();
        assert_eq!(error, RecordError::Unsupported("share groups"));
        assert!(matches!(Record::decode(&[0, 1, 0], None), Err(RecordError::Malformed(_))));
    }

    #[test]
    fn no_record_is_larger_than_it_is_said_to_be() {
        let member = MemberMetadata {
            member_id: "m".repeat(70).into(),
            group_instance_id: Some("i".repeat(30).into()),
            client_id: "c".repeat(20).into(),
            client_host: "/h".into(),
            subscription: vec![1; 1000].into(),
            assignment: vec![2; 1000].into(),
            ..Default::default()
        };
        let group = GroupMetadataValue { members: vec![member; 50], ..Default::default() };
        let protocol = ClassicProtocol { name: "range".into(), metadata: vec![1; 300].into(), ..Default::default() };
        let said = ConsumerGroupMemberMetadataValue {
            instance_id: Some("i".repeat(200).into()),
            rack_id: Some("r".repeat(200).into()),
            client_id: "c".repeat(200).into(),
            subscribed_topic_names: vec!["t".repeat(249).into(); 50],
            subscribed_topic_regex: Some("x".repeat(200).into()),
            classic_member_metadata: Some(ClassicMemberMetadata {
                supported_protocols: vec![protocol; 9],
                ..Default::default()
            }),
            ..Default::default()
        };
        let partitions: Vec<i32> = (0..500).collect();
        let topic = TopicPartition { partitions: partitions.clone(), ..Default::default() };
        let target =
            ConsumerGroupTargetAssignmentMemberValue { topic_partitions: vec![topic; 20], ..Default::default() };
        let assignment_epochs = Some(partitions.clone());
        let owned = TopicPartitions { partitions, assignment_epochs, ..Default::default() };
        let current = ConsumerGroupCurrentMemberAssignmentValue {
            assigned_partitions: vec![owned.clone(); 20],
            partitions_pending_revocation: vec![owned; 20],
            ..Default::default()
        };
        let topics = vec!["t".repeat(249).into(); 50];
        let pattern = ConsumerGroupRegularExpressionValue { topics, ..Default::default() };
        let epoch = ConsumerGroupMetadataValue { epoch: i32::MAX, metadata_hash: i64::MAX, ..Default::default() };
        let (group_id, member_id): (Arc<str>, Arc<str>) = ("g".repeat(200).into(), "m".repeat(200).into());
        let member_key = || ConsumerGroupMemberMetadataKey { group_id: group_id.clone(), member_id: member_id.clone() };
        let target_key =
            ConsumerGroupTargetAssignmentMemberKey { group_id: group_id.clone(), member_id: member_id.clone() };
        let current_key =
            ConsumerGroupCurrentMemberAssignmentKey { group_id: group_id.clone(), member_id: member_id.clone() };
        let pattern_key =
            ConsumerGroupRegularExpressionKey { group_id: group_id.clone(), regular_expression: "x".into() };
        let epoch_key = ConsumerGroupMetadataKey { group_id: group_id.clone() };
        for record in [
            Record::OffsetCommit(key(), Some(OffsetCommitValue { topic_id: Uuid([7; 16]), ..value() })),
            Record::OffsetCommit(key(), None),
            Record::GroupMetadata(GroupMetadataKey::default(), Some(group)),
            Record::ConsumerGroupMemberMetadata(member_key(), Some(said)),
            Record::ConsumerGroupMemberMetadata(member_key(), None),
            Record::ConsumerGroupTargetAssignmentMember(target_key, Some(target)),
            Record::ConsumerGroupCurrentMemberAssignment(current_key, Some(current)),
            Record::ConsumerGroupRegularExpression(pattern_key, Some(pattern)),
            Record::ConsumerGroupMetadata(epoch_key, Some(epoch)),
        ] {
            /// Of a record in a batch: length, attributes, time (that of the batch), offset, two lengths, headers.
            const FRAME: usize = 5 + 1 + 1 + 5 + 3 + 5 + 1;
            let (key, value) = record.encode();
            assert!(FRAME + key.len() + value.map_or(0, |value| value.len()) <= record.bytes_max());
        }
    }
}
