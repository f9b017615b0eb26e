//! One member on its way from what it owns to its target.
//!
//! A partition must not be given to a member before the one that had it has stopped reading it. So a member first gives
//! up what is not in its target, and says so by no longer reporting it; only then it moves to the epoch of the target and
//! gets what nobody else owns any more. What others still own it gets as they let go, in the same epoch.
//!
//! ```text
//!              owns what it must give up
//!   Stable ──────────────────────────────▶ UnrevokedPartitions ◀─┐
//!     ▲ │                                       │                │ a new target
//!     │ └─── others own what it shall get ──────┤ gave it up     │ takes more away
//!     │                  ▼                      ▼                │
//!     └────────── UnreleasedPartitions ◀────────┴────────────────┘
//!    others let go
//! ```
//!
//! The rules are those of KIP-848; Kafka has them in `CurrentAssignmentBuilder`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions as Reported;

use super::group::Group;
use super::member::{Member, Owned, Progress};
use crate::Topics;

/// What a member is reconciled with.
pub(crate) struct Reconciliation<'a> {
    pub(crate) id: &'a Arc<str>,
    pub(crate) group: &'a Group,
    pub(crate) topics: &'a Topics,
    pub(crate) report: Report<'a>,
}

/// What a heartbeat brings of news.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    /// What the member says it owns, if it says it.
    pub(crate) reported: Option<&'a [Reported]>,
    pub(crate) subscription: Subscription,
}

/// Whether a member subscribes to the topics that it did before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subscription {
    Unchanged,
    /// What it does not subscribe to any longer is taken away even before there is a new target.
    Changed,
}

impl Reconciliation<'_> {
    /// What the member is next: possibly what it was.
    pub(crate) fn next(&self) -> Option<Member> {
        let member = self.group.members.get(self.id)?;
        let has_changed = self.report.subscription == Subscription::Changed;
        match member.progress {
            Progress::Stable if member.epoch != self.group.assignment_epoch => Some(self.towards_target(member)),
            Progress::UnrevokedPartitions if self.still_owns(&member.revoking) => {
                if has_changed {
                    self.only_subscribed(member)
                } else {
                    None
                }
            }
            Progress::UnrevokedPartitions | Progress::UnreleasedPartitions => Some(self.towards_target(member)),
            Progress::Stable if has_changed => self.only_subscribed(member),
            Progress::Stable => None,
            // Nothing is known of what it owns: it has reported to own nothing, or it would have been fenced.
            Progress::Unknown => Some(self.towards_target(member)),
        }
    }

    /// Whether the member may still read one of the partitions. If it does not say, it may.
    fn still_owns(&self, revoking: &Owned) -> bool {
        let Some(reported) = self.report.reported else { return true };
        reported.iter().any(|topic| {
            let revoking = revoking.get(&topic.topic_id);
            revoking.is_some_and(|revoking| topic.partitions.iter().any(|partition| revoking.contains_key(partition)))
        })
    }

    fn is_subscribed(&self, member: &Member, topic: &Uuid) -> bool {
        self.topics.name_of(topic).is_some_and(|name| self.group.is_subscribed(member, name))
    }

    /// Takes away what it does not subscribe to, without looking at the target.
    fn only_subscribed(&self, member: &Member) -> Option<Member> {
        let mut assigned = member.assigned.clone();
        let mut revoking = member.revoking.clone();
        for topic in member.assigned.keys().filter(|topic| !self.is_subscribed(member, topic)) {
            let partitions = assigned.remove(topic).unwrap_or_default();
            revoking.entry(*topic).or_default().extend(partitions);
        }
        if assigned.len() == member.assigned.len() {
            return None;
        }
        let next = Member { epoch: member.epoch, previous_epoch: member.epoch, assigned, ..member.clone() };
        if self.still_owns(&revoking) {
            Some(Member { progress: Progress::UnrevokedPartitions, revoking, ..next })
        } else {
            Some(next)
        }
    }

    fn towards_target(&self, member: &Member) -> Member {
        let target = self.group.target(self.id);
        let mut assigned = Owned::new();
        let mut revoking = Owned::new();
        let mut free = BTreeMap::<Uuid, Vec<i32>>::new();
        let mut are_unreleased = false;
        let none = BTreeSet::new();
        let topics: BTreeSet<&Uuid> = target.keys().chain(member.assigned.keys()).collect();
        for topic in topics {
            let wanted = target.get(topic).filter(|_| self.is_subscribed(member, topic)).unwrap_or(&none);
            let owned = member.assigned.get(topic);
            for (partition, epoch) in owned.into_iter().flatten() {
                let into = if wanted.contains(partition) { &mut assigned } else { &mut revoking };
                into.entry(*topic).or_default().insert(*partition, *epoch);
            }
            for partition in wanted.iter().filter(|partition| owned.is_none_or(|owned| !owned.contains_key(partition)))
            {
                if self.group.owner(topic, *partition).is_none_or(|owner| owner == self.id) {
                    free.entry(*topic).or_default().push(*partition);
                } else {
                    are_unreleased = true;
                }
            }
        }
        if !revoking.is_empty() && self.still_owns(&revoking) {
            return Member {
                epoch: member.epoch,
                previous_epoch: member.epoch,
                progress: Progress::UnrevokedPartitions,
                assigned,
                revoking,
                said: member.said.clone(),
            };
        }
        let epoch = self.group.assignment_epoch;
        for (topic, partitions) in free {
            assigned.entry(topic).or_default().extend(partitions.into_iter().map(|partition| (partition, epoch)));
        }
        Member {
            epoch,
            previous_epoch: member.epoch,
            progress: if are_unreleased { Progress::UnreleasedPartitions } else { Progress::Stable },
            assigned,
            revoking: Owned::new(),
            said: member.said.clone(),
        }
    }
}
