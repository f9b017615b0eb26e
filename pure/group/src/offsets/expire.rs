//! Offsets that nobody has used for long are forgotten, and groups with nothing left (KIP-211).
//!
//! When is an offset unused? While a group has members, its offsets may all be wanted, even those of a partition without
//! new records: so time runs only from the moment at which the group became empty, or, where we know what its members
//! subscribe to, for the topics that they do not. A consumer without a group has only its commits to show that it lives. An open
//! transaction that commits anew keeps an offset, and its group.
//!
//! All groups are looked at from time to time. Done at once, that would hold up whoever asks meanwhile: it is done in
//! slices of so many offsets, each a step and a batch of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Offset, key};
use crate::classic::{self, Group, Phase};
use crate::groups::{Step, Timer};
use crate::room::Room;
use crate::{Record, delete};

/// Offsets and groups that are looked at in one step.
const SLICE_MAX: usize = 1_000;
/// Between two slices.
const PAUSE_MS: i64 = 1;

/// The group that is to be looked at next, and how many of its offsets were looked at and stayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    group: Arc<str>,
    stayed: usize,
}

/// What may still be done in a step.
struct Left {
    groups_and_offsets: usize,
    room: Room,
}

/// Looks at some groups, and sets the timer for the rest of them or for the next time.
pub(crate) fn due(step: &mut Step<'_>) {
    let mut place = step.soft.expiry_from.take().or_else(|| first(step));
    let room = Room::of_batch(&step.soft.config, &[]);
    let mut left = Left { groups_and_offsets: SLICE_MAX, room };
    while let Some(at) = place.take() {
        if left.groups_and_offsets == 0 {
            step.soft.expiry_from = Some(at);
            step.soft.timers.set(Timer::Expiry, step.now, PAUSE_MS);
            return;
        }
        place = look_at(step, at, &mut left);
    }
    step.soft.timers.set(Timer::Expiry, step.now, step.soft.config.offsets_retention_check_interval_ms);
}

/// Forgets what is old in one group, and says where to go on.
fn look_at(step: &mut Step<'_>, at: Place, left: &mut Left) -> Option<Place> {
    let Some(group) = Usage::of(step, &at.group) else { return after(step, &at.group) };
    let (now_ms, retention_ms) = (step.now.wall_ms, step.soft.config.offsets_retention_ms);
    let offsets = step.log.offsets.get(&at.group).into_iter().flatten();
    let offsets = offsets.flat_map(|(topic, partitions)| partitions.iter().map(move |offset| (topic, offset)));
    let mut stayed = at.stayed;
    let mut is_done = true;
    let mut old: Vec<Record> = Vec::new();
    for (topic, (partition, offset)) in offsets.skip(at.stayed) {
        if left.groups_and_offsets == 0 {
            is_done = false;
            break;
        }
        left.groups_and_offsets -= 1;
        let is_old = group.since.is_over(offset, now_ms, retention_ms) && !group.topics.contains(topic);
        if is_old && !step.log.pending.contains(&at.group, topic, *partition) {
            let tombstone = Record::OffsetCommit(key(&at.group, topic, *partition), None);
            if left.room.take(std::slice::from_ref(&tombstone)).is_err() {
                left.groups_and_offsets = 0;
                is_done = false;
                break;
            }
            old.push(tombstone);
        } else {
            stayed += 1;
        }
    }
    step.soft.offset_counts.expired += old.len() as u64;
    old.into_iter().for_each(|record| step.log.write(record));
    if !is_done {
        return Some(Place { group: at.group, stayed });
    }
    left.groups_and_offsets = left.groups_and_offsets.saturating_sub(1);
    let next = after(step, &at.group);
    if group.is_empty && stayed == 0 && !step.log.pending.holds(&at.group) {
        delete::end(step, &at.group);
    }
    next
}

/// How a group uses its offsets.
struct Usage {
    since: Since,
    is_empty: bool,
    /// Those topics it has offsets of and members want.
    topics: BTreeSet<Arc<str>>,
}

impl Usage {
    fn of(step: &mut Step<'_>, id: &Arc<str>) -> Option<Usage> {
        if let Some(group) = step.log.consumer.get(id) {
            let topics = committed(step, id).filter(|topic| group.subscribes_to(topic)).cloned().collect();
            return Some(Usage { since: Since::Commit, is_empty: group.members.is_empty(), topics });
        }
        let group = classic::take(step, id)?;
        let topics = committed(step, id).filter(|topic| group.subscribes_to(topic)).cloned().collect();
        let usage = Usage { since: Since::of(&group), is_empty: group.is_empty(), topics };
        classic::put(step, group);
        Some(usage)
    }
}

/// The topics of which a group has offsets.
fn committed<'a>(step: &'a Step<'_>, group: &Arc<str>) -> impl Iterator<Item = &'a Arc<str>> {
    step.log.offsets.get(group).into_iter().flat_map(|topics| topics.keys())
}

fn first(step: &Step<'_>) -> Option<Place> {
    let groups = [step.log.groups.keys().next(), step.log.consumer.keys().next()];
    place(groups)
}

fn after(step: &Step<'_>, group: &Arc<str>) -> Option<Place> {
    use std::ops::Bound::{Excluded, Unbounded};
    let behind = (Excluded(group), Unbounded);
    let classic = step.log.groups.range::<Arc<str>, _>(behind).next().map(|(group, _)| group);
    let consumer = step.log.consumer.range::<Arc<str>, _>(behind).next().map(|(group, _)| group);
    place([classic, consumer])
}

fn place(groups: [Option<&Arc<str>>; 2]) -> Option<Place> {
    let group = groups.into_iter().flatten().min()?;
    Some(Place { group: group.clone(), stayed: 0 })
}

/// From when on the time of an offset runs.
enum Since {
    Commit,
    Moment(i64),
    Never,
}

impl Since {
    fn of(group: &Group) -> Since {
        match group.phase {
            _ if group.protocol_type.is_none() => Since::Commit,
            Phase::Empty if group.since_ms == -1 => Since::Commit,
            Phase::Empty => Since::Moment(group.since_ms),
            Phase::Stable if group.is_of_consumers() && group.knows_subscriptions() => Since::Commit,
            _ => Since::Never,
        }
    }

    fn is_over(&self, offset: &Offset, now_ms: i64, retention_ms: i64) -> bool {
        let from_ms = match self {
            Since::Never => return false,
            _ if let Some(expires_ms) = offset.expires_ms => return now_ms >= expires_ms,
            Since::Commit => offset.committed_ms,
            Since::Moment(moment_ms) => *moment_ms,
        };
        now_ms.saturating_sub(from_ms) >= retention_ms
    }
}
