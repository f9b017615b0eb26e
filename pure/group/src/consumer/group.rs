//! A consumer group as the log says it is.
//!
//! Besides the members there are indexes of them, so that no heartbeat looks at all members. All of it changes in replay
//! only ([`super::replay`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::records::consumer_offsets::ConsumerGroupMemberMetadataValue;

use super::assign::Assignment;
use super::member::Member;

/// The epoch of a group, and of its target, of which nothing is written yet.
const FIRST_EPOCH: i32 = 1;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    /// Rises when members or topics change, so that a new target is due.
    pub(crate) epoch: i32,
    /// Of the topics that members subscribe to, as they were when the epoch rose ([`super::hash`]).
    pub(crate) metadata_hash: i64,
    /// The group epoch of which the target is.
    pub(crate) assignment_epoch: i32,
    /// Wall time at which the target was computed, 0 if that is not known (KIP-1263).
    pub(crate) assigned_ms: i64,
    /// There is a record of what topics were like, which Kafka wrote until 4.0.
    pub(crate) has_partition_metadata: bool,
    pub(crate) members: BTreeMap<Arc<str>, Member>,
    /// By member, what it shall own.
    pub(crate) targets: BTreeMap<Arc<str>, Arc<Assignment>>,
    /// By pattern, the topics that match.
    pub(crate) resolved: BTreeMap<Arc<str>, Arc<BTreeSet<Arc<str>>>>,
    /// By the name of a static member, its id.
    instances: BTreeMap<Arc<str>, Arc<str>>,
    owners: BTreeMap<Uuid, BTreeMap<i32, Arc<str>>>,
    /// By topic, how many members name it.
    names: BTreeMap<Arc<str>, usize>,
    /// By pattern, how many members subscribe to it.
    patterns: BTreeMap<Arc<str>, usize>,
    /// By assignor, how many members prefer it.
    assignors: BTreeMap<Arc<str>, usize>,
    /// How many members speak the classic protocol.
    classic_members: usize,
    /// By name, how many of those know that protocol.
    classic_protocols: BTreeMap<Arc<str>, usize>,
}

impl Default for Group {
    fn default() -> Group {
        Group {
            epoch: FIRST_EPOCH,
            metadata_hash: 0,
            assignment_epoch: FIRST_EPOCH,
            assigned_ms: 0,
            has_partition_metadata: false,
            members: BTreeMap::new(),
            targets: BTreeMap::new(),
            resolved: BTreeMap::new(),
            instances: BTreeMap::new(),
            owners: BTreeMap::new(),
            names: BTreeMap::new(),
            patterns: BTreeMap::new(),
            assignors: BTreeMap::new(),
            classic_members: 0,
            classic_protocols: BTreeMap::new(),
        }
    }
}

impl Group {
    pub(crate) fn of_instance(&self, instance: &str) -> Option<&Arc<str>> {
        self.instances.get(instance)
    }

    pub(crate) fn target(&self, member: &str) -> Arc<Assignment> {
        self.targets.get(member).cloned().unwrap_or_default()
    }

    pub(crate) fn owner(&self, topic: &Uuid, partition: i32) -> Option<&Arc<str>> {
        self.owners.get(topic)?.get(&partition)
    }

    /// How many members subscribe to the pattern.
    pub(crate) fn subscribers(&self, pattern: &str) -> usize {
        self.patterns.get(pattern).copied().unwrap_or(0)
    }

    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Arc<str>> {
        self.patterns.keys()
    }

    pub(crate) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    pub(crate) fn classic_members(&self) -> usize {
        self.classic_members
    }

    /// Whether all members that speak the classic protocol know this one of it.
    pub(crate) fn all_classic_support(&self, protocol: &str) -> bool {
        self.classic_protocols.get(protocol).copied().unwrap_or(0) == self.classic_members
    }

    /// Whether others own something that the member shall own.
    pub(crate) fn waits_for_others(&self, member_id: &str) -> bool {
        let target = self.target(member_id);
        let mut places = target.iter().flat_map(|(topic, partitions)| partitions.iter().map(move |p| (topic, *p)));
        places.any(|(topic, p)| self.owner(topic, p).is_some_and(|owner| **owner != *member_id))
    }

    /// All topics that a member subscribes to, by name or by pattern, whether there are such or not.
    pub(crate) fn topics(&self) -> BTreeSet<&Arc<str>> {
        let matching = self.resolved.iter().filter(|(pattern, _)| self.patterns.contains_key(*pattern));
        self.names.keys().chain(matching.flat_map(|(_, topics)| topics.iter())).collect()
    }

    pub(crate) fn subscribes_to(&self, topic: &str) -> bool {
        self.names.contains_key(topic) || self.resolved.values().any(|topics| topics.contains(topic))
    }

    /// Whether the member subscribes to the topic, by name or by pattern.
    pub(crate) fn is_subscribed(&self, member: &Member, topic: &str) -> bool {
        let matching = member.pattern().and_then(|pattern| self.resolved.get(pattern));
        member.subscribes_by_name(topic) || matching.is_some_and(|topics| topics.contains(topic))
    }

    /// The assignor that most members prefer, the first by name among equals.
    pub(crate) fn preferred_assignor(&self) -> Option<&Arc<str>> {
        self.assignors.iter().rev().max_by_key(|(_, count)| **count).map(|(name, _)| name)
    }

    /// Kafka's name for the state.
    pub(crate) fn state(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.assignment_epoch {
            "Assigning"
        } else if self.members.values().all(|member| member.is_reconciled_to(self.assignment_epoch)) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// A member says something else of itself, or is new.
    pub(super) fn set_said(&mut self, id: &Arc<str>, said: ConsumerGroupMemberMetadataValue) {
        let (id, mut member) = self.take_member(id);
        self.count(&member, -1);
        if let Some(instance) = member.instance() {
            self.release_instance(instance, &id);
        }
        member.said = said;
        self.count(&member, 1);
        if let Some(instance) = member.instance() {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.members.insert(id, member);
    }

    /// A member comes to own something else. What another owned that it owns from now on is the other's no more.
    pub(super) fn set_owned(&mut self, id: &Arc<str>, change: impl FnOnce(&mut Member)) {
        let (id, mut member) = self.take_member(id);
        self.disown(&member, &id);
        change(&mut member);
        for (topic, partition) in member.partitions() {
            self.owners.entry(topic).or_default().insert(partition, id.clone());
        }
        self.members.insert(id, member);
    }

    fn take_member(&mut self, id: &Arc<str>) -> (Arc<str>, Member) {
        self.members.remove_entry(id).unwrap_or_else(|| (id.clone(), Member::default()))
    }

    pub(super) fn remove_member(&mut self, id: &str) {
        let Some((id, member)) = self.members.remove_entry(id) else { return };
        self.count(&member, -1);
        self.disown(&member, &id);
        if let Some(instance) = member.instance() {
            self.release_instance(instance, &id);
        }
    }

    /// The name may be another's by now.
    fn release_instance(&mut self, instance: &str, id: &Arc<str>) {
        if self.instances.get(instance) == Some(id) {
            self.instances.remove(instance);
        }
    }

    fn disown(&mut self, member: &Member, id: &Arc<str>) {
        for (topic, partition) in member.partitions() {
            let Some(partitions) = self.owners.get_mut(&topic) else { continue };
            if partitions.get(&partition) == Some(id) {
                partitions.remove(&partition);
            }
            if partitions.is_empty() {
                self.owners.remove(&topic);
            }
        }
    }

    fn count(&mut self, member: &Member, by: isize) {
        fn add(counts: &mut BTreeMap<Arc<str>, usize>, key: &Arc<str>, by: isize) {
            let count = counts.get(key).copied().unwrap_or(0).saturating_add_signed(by);
            if count == 0 {
                counts.remove(key);
            } else {
                counts.insert(key.clone(), count);
            }
        }
        member.said.subscribed_topic_names.iter().for_each(|name| add(&mut self.names, name, by));
        if let Some(pattern) = member.pattern() {
            add(&mut self.patterns, pattern, by);
        }
        if let Some(assignor) = &member.said.server_assignor {
            add(&mut self.assignors, assignor, by);
        }
        if let Some(classic) = &member.said.classic_member_metadata {
            self.classic_members = self.classic_members.saturating_add_signed(by);
            classic.supported_protocols.iter().for_each(|known| add(&mut self.classic_protocols, &known.name, by));
        }
    }
}
