//! The topics that the patterns of a group match.
//!
//! A pattern is matched against all topics once for all members of the group that subscribe to it, and what it matches is
//! written to the log: a new coordinator goes by that until it has reason to match again. That is when topics have come or
//! gone, which is noticed with the next heartbeat of any member, but no more often than each [`INTERVAL_MS`]; and when the
//! refresh interval is over, as with Kafka, which finds out in this way who may see which topics.
//!
//! Kafka matches on another thread, so that a member gets the topics of its pattern with a later heartbeat; here it gets
//! them at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{records, regex};
use crate::Record;
use crate::groups::Step;
use crate::room::{Lack, Room};

/// Between two times that a group's patterns are matched against all topics.
pub(super) const INTERVAL_MS: i64 = 10_000;

pub(super) fn forget_if_unused(step: &mut Step<'_>, group_id: &Arc<str>, pattern: &Arc<str>) {
    if step.log.consumer.get(group_id).is_some_and(|group| group.subscribers(pattern) == 0) {
        step.log.write(records::no_pattern(group_id, pattern));
    }
}

/// What the pattern matches, if that is not known. Whoever comes with it has seen that it can be matched.
pub(super) fn resolved_if_new(step: &Step<'_>, group_id: &Arc<str>, pattern: &Arc<str>) -> Option<Record> {
    let group = step.log.consumer.get(group_id);
    let is_known = group.is_some_and(|group| group.resolved.contains_key(pattern));
    let matching = || regex::matching(pattern, &step.soft.topics).unwrap_or_default();
    (!is_known).then(|| record(step, group_id, pattern, matching()))
}

/// Matches all patterns of the group, and says whether one of them matches other topics than before. One that can
/// be matched no more, or whose topics do not fit into the batch, goes on with those that it had.
pub(super) fn resolve_all(step: &mut Step<'_>, group_id: &Arc<str>, room: &mut Room) -> bool {
    let Some(group) = step.log.consumer.get(group_id) else { return false };
    let changed: Vec<(Arc<str>, BTreeSet<Arc<str>>)> = group
        .patterns()
        .filter_map(|pattern| Some((pattern.clone(), regex::matching(pattern, &step.soft.topics).ok()?)))
        .filter(|(pattern, topics)| group.resolved.get(pattern).is_none_or(|before| **before != *topics))
        .collect();
    let written =
        changed.into_iter().filter(|(pattern, topics)| write(step, group_id, (pattern, topics.clone()), room).is_ok());
    written.count() > 0
}

fn write(
    step: &mut Step<'_>,
    group_id: &Arc<str>,
    (pattern, topics): (&Arc<str>, BTreeSet<Arc<str>>),
    room: &mut Room,
) -> Result<(), Lack> {
    let record = record(step, group_id, pattern, topics);
    room.take([&record])?;
    step.log.write(record);
    Ok(())
}

fn record(step: &Step<'_>, group_id: &Arc<str>, pattern: &Arc<str>, topics: BTreeSet<Arc<str>>) -> Record {
    records::pattern(group_id, pattern, topics.into_iter().collect(), step.now.wall_ms)
}
