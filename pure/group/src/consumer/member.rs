//! A member of a consumer group: what it says of itself, and what it owns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions as Reported;
use ottla_wire::records::consumer_offsets::ConsumerGroupMemberMetadataValue;

use super::assign::Assignment;

/// A member that has left for good, or was never told an epoch.
pub(crate) const LEFT_EPOCH: i32 = -1;
/// A static member that has left and may be back (KIP-848).
pub(crate) const LEFT_FOR_NOW_EPOCH: i32 = -2;

/// Partitions by topic, each with the assignment epoch in which the member got it (KIP-1251).
pub(crate) type Owned = BTreeMap<Uuid, BTreeMap<i32, i32>>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    /// Names are sorted, and each stands once.
    pub(crate) said: ConsumerGroupMemberMetadataValue,
    pub(crate) epoch: i32,
    /// The one before: its answer may not have arrived.
    pub(crate) previous_epoch: i32,
    pub(crate) progress: Progress,
    pub(crate) assigned: Owned,
    /// What it owns and has been told to give up.
    pub(crate) revoking: Owned,
}

/// How far a member has come towards its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It owns its target.
    Stable,
    /// It has to give up partitions first.
    UnrevokedPartitions,
    /// It waits for partitions that others have not given up.
    UnreleasedPartitions,
    /// A later version wrote something else.
    Unknown,
}

impl Progress {
    pub(crate) fn from_id(id: i8) -> Progress {
        match id {
            0 => Progress::Stable,
            1 => Progress::UnrevokedPartitions,
            2 => Progress::UnreleasedPartitions,
            _ => Progress::Unknown,
        }
    }

    /// Kafka's number for it, in records.
    pub(crate) fn id(self) -> i8 {
        match self {
            Progress::Stable => 0,
            Progress::UnrevokedPartitions => 1,
            Progress::UnreleasedPartitions => 2,
            Progress::Unknown => 127,
        }
    }
}

impl Default for Member {
    fn default() -> Member {
        let said = ConsumerGroupMemberMetadataValue {
            instance_id: None,
            rack_id: None,
            server_assignor: None,
            classic_member_metadata: None,
            ..Default::default()
        };
        Member {
            said,
            epoch: 0,
            previous_epoch: -1,
            progress: Progress::Stable,
            assigned: Owned::new(),
            revoking: Owned::new(),
        }
    }
}

impl Member {
    pub(crate) fn instance(&self) -> Option<&Arc<str>> {
        self.said.instance_id.as_ref()
    }

    /// The pattern that it subscribes to, if any.
    pub(crate) fn pattern(&self) -> Option<&Arc<str>> {
        self.said.subscribed_topic_regex.as_ref().filter(|pattern| !pattern.is_empty())
    }

    pub(crate) fn subscribes_by_name(&self, topic: &str) -> bool {
        self.said.subscribed_topic_names.binary_search_by(|name| (**name).cmp(topic)).is_ok()
    }

    /// Whether it speaks the classic protocol.
    pub(crate) fn is_classic(&self) -> bool {
        self.said.classic_member_metadata.is_some()
    }

    /// Whether it owns its target of that epoch and nothing else.
    pub(crate) fn is_reconciled_to(&self, assignment_epoch: i32) -> bool {
        self.progress == Progress::Stable && self.epoch == assignment_epoch
    }

    /// Whether it owns this and nothing else.
    pub(crate) fn owns_just(&self, target: &Assignment) -> bool {
        let is_in =
            |(topic, partition): (Uuid, i32)| target.get(&topic).is_some_and(|wanted| wanted.contains(&partition));
        self.partitions().all(is_in) && self.partitions().count() == target.values().map(BTreeSet::len).sum::<usize>()
    }

    /// Whether others wait for what it must give up. One that has left for now has given it up; one that speaks the
    /// classic protocol has to join for it, and its time for that.
    pub(crate) fn is_awaited(&self) -> bool {
        self.progress == Progress::UnrevokedPartitions && self.epoch != LEFT_FOR_NOW_EPOCH && !self.is_classic()
    }

    /// All that it owns: nobody else may.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (Uuid, i32)> {
        let both = self.assigned.iter().chain(&self.revoking);
        both.flat_map(|(topic, partitions)| partitions.keys().map(|partition| (*topic, *partition)))
    }

    /// Whether all that it reports is assigned to it.
    pub(crate) fn is_assigned(&self, reported: &[Reported]) -> bool {
        reported.iter().all(|topic| {
            let assigned = self.assigned.get(&topic.topic_id);
            assigned.is_some_and(|assigned| topic.partitions.iter().all(|partition| assigned.contains_key(partition)))
        })
    }

    /// In which epoch it got the partition, if it owns it.
    pub(crate) fn assignment_epoch(&self, topic: &Uuid, partition: i32) -> Option<i32> {
        let of = |owned: &Owned| owned.get(topic)?.get(&partition).copied();
        of(&self.assigned).or_else(|| of(&self.revoking))
    }
}
