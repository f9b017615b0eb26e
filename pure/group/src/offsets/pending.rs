//! Offsets that were committed in transactions, and whose transactions are not over (KIP-447).
//!
//! A producer that reads, works and writes commits what it has read along with what it writes. Until the marker comes nobody
//! knows whether that counts: who asks for stable offsets waits, who does not gets what was committed before.
//!
//! While a transaction is open others may commit for the same partition. The record that was written last counts, whenever its
//! transaction ends: what it has overtaken is never applied. A tombstone takes pending offsets with it.
//!
//! Transactions are not served yet: all there is comes from logs that were written elsewhere, and what is pending when such a log
//! has been read stays so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::TxnOutcome;
use ottla_wire::records::consumer_offsets::OffsetCommitKey;

use super::{Offset, key};
use crate::State;

#[derive(Clone, Debug, PartialEq)]
struct Pending {
    offset: Offset,
    /// Where its record stands in the log.
    at: i64,
    is_overtaken: bool,
}

type ByPartition = BTreeMap<Arc<str>, BTreeMap<i32, Pending>>;

/// Grows with records of transactions only: it is limited by the log that holds those.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PendingOffsets {
    /// By group and producer. The producers of a group are here until their transactions end, whatever becomes of the offsets.
    groups: BTreeMap<Arc<str>, BTreeMap<i64, ByPartition>>,
    /// The groups that a producer's transaction is about.
    producers: BTreeMap<i64, BTreeSet<Arc<str>>>,
}

impl PendingOffsets {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether a transaction is open that is about the group.
    pub(crate) fn holds(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    pub(crate) fn contains(&self, group: &str, topic: &str, partition: i32) -> bool {
        let producers = self.groups.get(group).into_iter().flat_map(|producers| producers.values());
        producers.filter_map(|topics| topics.get(topic)).any(|partitions| partitions.contains_key(&partition))
    }

    /// The topics and partitions of a group, each once.
    pub(crate) fn of_group(&self, group: &str) -> BTreeSet<(&Arc<str>, i32)> {
        let producers = self.groups.get(group).into_iter().flat_map(|producers| producers.values());
        let topics = producers.flatten();
        topics.flat_map(|(topic, partitions)| partitions.keys().map(move |partition| (topic, *partition))).collect()
    }

    /// Each pending offset.
    pub(super) fn iter(&self) -> impl Iterator<Item = (OffsetCommitKey, &Offset)> {
        self.groups.iter().flat_map(|(group, producers)| {
            producers.values().flatten().flat_map(move |(topic, partitions)| {
                partitions.iter().map(move |(partition, pending)| (key(group, topic, *partition), &pending.offset))
            })
        })
    }

    fn put(&mut self, producer_id: i64, key: &OffsetCommitKey, pending: Pending) {
        let topics = self.groups.entry(key.group.clone()).or_default().entry(producer_id).or_default();
        topics.entry(key.topic.clone()).or_default().insert(key.partition, pending);
        self.producers.entry(producer_id).or_default().insert(key.group.clone());
    }

    /// All of a producer's.
    fn take(&mut self, producer_id: i64) -> Vec<(Arc<str>, ByPartition)> {
        let mut taken = Vec::new();
        for group in self.producers.remove(&producer_id).unwrap_or_default() {
            let Some(producers) = self.groups.get_mut(&group) else { continue };
            let topics = producers.remove(&producer_id);
            if producers.is_empty() {
                self.groups.remove(&group);
            }
            taken.extend(topics.map(|topics| (group, topics)));
        }
        taken
    }

    fn remove(&mut self, key: &OffsetCommitKey) {
        for topics in self.groups.get_mut(&key.group).into_iter().flat_map(|producers| producers.values_mut()) {
            if let Some(partitions) = topics.get_mut(&key.topic) {
                partitions.remove(&key.partition);
                if partitions.is_empty() {
                    topics.remove(&key.topic);
                }
            }
        }
    }

    /// A record at `at` says what the group has committed: those before it do not count any more.
    fn overtake(&mut self, key: &OffsetCommitKey, at: i64) {
        for topics in self.groups.get_mut(&key.group).into_iter().flat_map(|producers| producers.values_mut()) {
            let pending = topics.get_mut(&key.topic).and_then(|partitions| partitions.get_mut(&key.partition));
            if let Some(pending) = pending.filter(|pending| pending.at < at) {
                pending.is_overtaken = true;
            }
        }
    }
}

impl State {
    /// A record at `at` commits an offset. A consumer that does nothing else makes a group, too.
    pub(crate) fn commit_offset(&mut self, at: i64, key: &OffsetCommitKey, offset: Offset) {
        if !self.put_offset(at, key, offset) {
            self.make_group(&key.group);
        }
    }

    /// See [`State::set_offset`].
    fn put_offset(&mut self, at: i64, key: &OffsetCommitKey, offset: Offset) -> bool {
        if !self.pending.is_empty() {
            self.pending.overtake(key, at);
        }
        self.set_offset(key, offset)
    }

    /// The same in a transaction.
    pub(crate) fn commit_offset_pending(&mut self, at: i64, producer_id: i64, key: &OffsetCommitKey, offset: Offset) {
        self.pending.put(producer_id, key, Pending { offset, at, is_overtaken: false });
    }

    /// A tombstone.
    pub(crate) fn forget_offset(&mut self, key: &OffsetCommitKey) {
        if !self.pending.is_empty() {
            self.pending.remove(key);
        }
        self.remove_offset(key);
    }

    /// The producer's transaction is over.
    pub(crate) fn end_transaction(&mut self, producer_id: i64, outcome: TxnOutcome) {
        for (group, topics) in self.pending.take(producer_id) {
            let all = topics.into_iter().flat_map(|(topic, partitions)| {
                partitions.into_iter().map(move |(partition, pending)| (topic.clone(), partition, pending))
            });
            for (topic, partition, pending) in all {
                if outcome == TxnOutcome::Committed && !pending.is_overtaken {
                    self.put_offset(pending.at, &key(&group, &topic, partition), pending.offset);
                    // It makes no group.
                    self.note_if_ended(&group);
                }
            }
        }
    }
}
