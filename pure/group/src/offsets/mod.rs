//! How far groups have read.
//!
//! An offset is kept for each group, topic and partition: what was committed last, and when. Who may commit is up to the
//! group; a consumer that manages its partitions itself commits without being a member, and its group is one that has
//! offsets only.

pub(crate) mod commit;
pub(crate) mod delete;
pub(crate) mod expire;
pub(crate) mod fetch;
pub(crate) mod pending;
pub(crate) mod topics_deleted;

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::records::consumer_offsets::{OffsetCommitKey, OffsetCommitValue};

use crate::State;

/// What a group has committed, by topic and partition.
pub(crate) type Offsets = BTreeMap<Arc<str>, BTreeMap<i32, Offset>>;

/// What a group has committed for a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Offset {
    pub offset: i64,
    /// -1 if the client did not say.
    pub leader_epoch: i32,
    pub metadata: Arc<str>,
    pub committed_ms: i64,
    /// When a client of before 2.1 wanted it forgotten.
    pub expires_ms: Option<i64>,
    /// Zero if the record does not say.
    pub topic_id: Uuid,
}

impl From<&OffsetCommitValue> for Offset {
    fn from(value: &OffsetCommitValue) -> Offset {
        Offset {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.clone(),
            committed_ms: value.commit_timestamp,
            expires_ms: Some(value.expire_timestamp).filter(|at| *at != -1),
            topic_id: value.topic_id,
        }
    }
}

impl State {
    /// What the group has committed last for the partition.
    pub fn offset(&self, group: &str, topic: &str, partition: i32) -> Option<&Offset> {
        self.offsets.get(group)?.get(topic)?.get(&partition)
    }

    /// Gives whether the group is there for certain, so that it need not be looked up.
    fn set_offset(&mut self, key: &OffsetCommitKey, offset: Offset) -> bool {
        // Where both are known, as nearly always, no name is copied.
        let Some(topics) = self.offsets.get_mut(&key.group) else {
            self.offsets.insert(key.group.clone(), [(key.topic.clone(), [(key.partition, offset)].into())].into());
            return false;
        };
        if let Some(partitions) = topics.get_mut(&key.topic) {
            partitions.insert(key.partition, offset);
        } else {
            topics.insert(key.topic.clone(), [(key.partition, offset)].into());
        }
        !self.ended.contains(&key.group)
    }

    fn remove_offset(&mut self, key: &OffsetCommitKey) {
        let Some(topics) = self.offsets.get_mut(&key.group) else { return };
        if let Some(partitions) = topics.get_mut(&key.topic) {
            partitions.remove(&key.partition);
            if partitions.is_empty() {
                topics.remove(&key.topic);
            }
        }
        if topics.is_empty() {
            self.offsets.remove(&key.group);
            self.ended.remove(&key.group);
        }
    }

    /// The keys of all that the group has committed, pending or not.
    pub(crate) fn offset_keys(&self, group: &Arc<str>) -> Vec<OffsetCommitKey> {
        let topics = self.offsets.get(group).into_iter().flatten();
        let committed =
            topics.flat_map(|(topic, partitions)| partitions.keys().map(|partition| key(group, topic, *partition)));
        let pending = self.pending.of_group(group).into_iter();
        let only_pending = pending.filter(|(topic, partition)| self.offset(group, topic, *partition).is_none());
        committed.chain(only_pending.map(|(topic, partition)| key(group, topic, partition))).collect()
    }
}

pub(crate) fn key(group: &Arc<str>, topic: &Arc<str>, partition: i32) -> OffsetCommitKey {
    OffsetCommitKey { group: group.clone(), topic: topic.clone(), partition }
}
