//! The group's epoch rises when who is in it, what they subscribe to, or the topics themselves have changed.
//!
//! With a new epoch a new target is due. Changes of topics are told to the coordinator, but no group is touched then: each
//! is looked at with its next heartbeat. So is each group after the coordinator was loaded, as it may have missed some.

use std::sync::Arc;

use super::group::Group;
use super::said::Change;
use super::{hash, patterns, reasons, records};
use crate::groups::{Soft, Step};
use crate::history::{Reason, What};
use crate::room::Room;

/// When a group was last compared with the topics there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The count of changes of topics that the group has seen.
    topics: u64,
    /// That which its patterns were matched with last.
    patterns: u64,
    /// When that was, in mono time.
    patterns_ms: Option<i64>,
    /// The group epoch whose target was too large for the log.
    pub(super) too_large: i32,
}

pub(super) fn raise_if_due(step: &mut Step<'_>, group_id: &Arc<str>, change: Change, room: &mut Room) {
    let mut seen = step.soft.consumer.get(group_id).copied().unwrap_or_default();
    let has_changed = change == Change::Subscription;
    let topics_changed = seen.topics != step.soft.topics_changes;
    let matched = match_patterns(step, group_id, &mut seen, room);
    if !has_changed && !topics_changed && !matched {
        return;
    }
    seen.topics = step.soft.topics_changes;
    step.soft.consumer.insert(group_id.clone(), seen);
    let Some(group) = step.log.consumer.get(group_id) else { return };
    let metadata_hash = metadata_hash(step.soft, group);
    let (epoch, has_partition_metadata) = (group.epoch, group.has_partition_metadata);
    if has_changed || matched || metadata_hash != group.metadata_hash {
        if !has_changed {
            reasons::because(step, group_id, Reason::of_group(What::TopicsChanged));
        }
        step.log.write(records::epoch(group_id, epoch.saturating_add(1), metadata_hash));
        step.soft.history.raised(group_id, epoch.saturating_add(1));
    }
    if has_partition_metadata {
        step.log.write(records::no_partition_metadata(group_id));
    }
}

pub(super) fn metadata_hash(soft: &Soft, group: &Group) -> i64 {
    hash::of_group(&group.topics(), &soft.topics)
}

/// Matches the group's patterns again if topics have come or gone, and says whether they match others.
fn match_patterns(step: &mut Step<'_>, group_id: &Arc<str>, seen: &mut Seen, room: &mut Room) -> bool {
    if !step.log.consumer.get(group_id).is_some_and(Group::has_patterns) {
        return false;
    }
    let passed_ms = seen.patterns_ms.map_or(i64::MAX, |since_ms| step.now.mono_ms.saturating_sub(since_ms));
    let refresh_ms = step.soft.config.consumer_regex_refresh_interval_ms.into();
    let are_other = seen.patterns != step.soft.topics_changes;
    if !(are_other && passed_ms >= patterns::INTERVAL_MS || passed_ms >= refresh_ms) {
        return false;
    }
    seen.patterns = step.soft.topics_changes;
    seen.patterns_ms = Some(step.now.mono_ms);
    step.soft.consumer.insert(group_id.clone(), *seen);
    patterns::resolve_all(step, group_id, room)
}
