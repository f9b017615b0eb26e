//! Why groups had to share anew, and what that has cost.
//!
//! "My consumers rebalance all the time" is asked of every operator, and a coordinator that only logs leaves the answer in
//! lines of several nodes. It is the coordinator that decides on a rebalance, so it keeps the last ones of each group with
//! their reasons: who came, went, was silent, subscribes to something else; how many partitions changed hands; how long they
//! were nobody's. It is no part of the state that the log makes: after a load it begins anew.
//!
//! One entry is one rebalance. In the classic protocol it is there from the first reason until the last member has synced,
//! and what happens meanwhile are more reasons. In the consumer protocol it is one rise of the group's epoch.
//!
//! All of it is bounded: entries of a group, entries of all groups (the oldest go first), reasons of an entry, bytes of a name.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::{Now, Uuid};

/// Entries that are kept of one group.
pub const ENTRIES_MAX: usize = 100;
/// Entries of all groups of a coordinator.
pub const ALL_ENTRIES_MAX: usize = 1_000;
/// Reasons of one entry; others are counted.
pub const REASONS_MAX: usize = 5;
/// Partitions of one group that are looked after from one owner to the next.
const FREE_MAX: usize = 10_000;
/// Bytes of a name that are kept.
const NAME_BYTES_MAX: usize = 100;

/// One rebalance of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebalance {
    pub protocol: Protocol,
    /// Wall time.
    pub began_ms: i64,
    /// Wall time at which the last member had its assignment, where that is known.
    pub ended_ms: Option<i64>,
    /// Generation, or group epoch, before and after. They are the same where nobody else had to notice.
    pub before: i32,
    pub after: i32,
    pub reasons: Vec<Reason>,
    /// Reasons that are not kept.
    pub more_reasons: usize,
    /// Partitions that a member was given that it did not have, where that is known.
    pub moved: Option<usize>,
    /// In a classic group from the beginning to the last answer to a SyncGroup; in a consumer group the longest time that a
    /// partition was nobody's on its way from one member to another.
    pub idle_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Classic,
    Consumer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub what: What,
    /// Whom it is about, if it is about a member.
    pub who: Option<Who>,
}

/// A member as it named itself, long names cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Joined,
    /// It said so, or an administrator did for it.
    Left,
    /// Nothing was heard of it for its session timeout.
    TimedOut {
        timeout_ms: i64,
    },
    /// It did not join again, sync or give up partitions within its rebalance timeout.
    TooSlow {
        timeout_ms: i64,
    },
    /// It subscribes to something else, or knows other protocols.
    Changed,
    /// A member asked for it though it has nothing new to say: the leader, whose topics may have changed.
    Asked,
    /// A static member is back under another id.
    Replaced {
        by: Arc<str>,
    },
    TopicsChanged,
    /// The group goes by the consumer protocol from now on, or again by the classic one.
    Upgraded,
    Downgraded,
    /// The leader's assignment is larger than a batch of the log may be.
    TooLarge,
    /// The coordinator was loaded with a group that was about to share anew, or has too many members.
    Loaded,
}

/// Of the groups of one coordinator.
#[derive(Debug, Default)]
pub(crate) struct History {
    groups: BTreeMap<Arc<str>, OfGroup>,
    /// The group of each entry, by its number: the oldest first.
    order: BTreeMap<u64, Arc<str>>,
    next: u64,
    /// Rebalances that have ended, and rises of consumer groups' epochs.
    completed: u64,
    raised: u64,
}

#[derive(Debug, Default)]
struct OfGroup {
    entries: BTreeMap<u64, Rebalance>,
    /// The classic rebalance that is on.
    open: Option<Open>,
    /// Partitions that a member of the consumer protocol has given up, and since when they are nobody's (mono time).
    free: BTreeMap<(Uuid, i32), i64>,
}

#[derive(Debug)]
struct Open {
    number: u64,
    /// Mono time.
    began_ms: i64,
    /// What members had before, as they were given it.
    before: BTreeMap<Arc<str>, Bytes>,
}

impl Who {
    pub(crate) fn new(member_id: &Arc<str>, instance_id: Option<&Arc<str>>, client: (&Arc<str>, &Arc<str>)) -> Who {
        Who {
            member_id: short(member_id),
            instance_id: instance_id.map(short),
            client_id: short(client.0),
            client_host: short(client.1),
        }
    }
}

impl What {
    pub(crate) fn replaced(by: &Arc<str>) -> What {
        What::Replaced { by: short(by) }
    }
}

fn short(name: &Arc<str>) -> Arc<str> {
    if name.len() <= NAME_BYTES_MAX { name.clone() } else { name[..name.floor_char_boundary(NAME_BYTES_MAX)].into() }
}

impl History {
    /// The rebalances of a group, the oldest first.
    pub(crate) fn of(&self, group: &str) -> Vec<Rebalance> {
        self.groups.get(group).map(|group| group.entries.values().cloned().collect()).unwrap_or_default()
    }

    /// Rebalances of classic groups that have ended, and rises of consumer groups' epochs, since the load.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.completed, self.raised)
    }

    /// A classic group must share anew, or is doing so, for this reason. `before` is what members have been given.
    pub(crate) fn classic(
        &mut self,
        now: Now,
        group: &Arc<str>,
        (generation, before): (i32, impl FnOnce() -> BTreeMap<Arc<str>, Bytes>),
        reason: Reason,
    ) {
        if self.open(group).is_none() {
            let number = self.begin(now, group, (Protocol::Classic, generation));
            let open = Open { number, began_ms: now.mono_ms, before: before() };
            self.groups.entry(group.clone()).or_default().open = Some(open);
        }
        let number = self.open(group).map(|open| open.number);
        self.add(group, number, reason);
    }

    fn open(&self, group: &str) -> Option<&Open> {
        self.groups.get(group)?.open.as_ref()
    }

    /// The classic group has another generation.
    pub(crate) fn next_generation(&mut self, group: &str, generation: i32) {
        if let Some(entry) = self.open_entry(group) {
            entry.after = generation;
        }
    }

    /// The leader has brought the assignment. `moved` counts what members have now and had not.
    pub(crate) fn assigned(&mut self, group: &str, moved: impl FnOnce(&BTreeMap<Arc<str>, Bytes>) -> Option<usize>) {
        let Some(open) = self.groups.get_mut(group).and_then(|group| group.open.as_mut()) else { return };
        let count = moved(&std::mem::take(&mut open.before));
        if let Some(entry) = self.open_entry(group) {
            entry.moved = count;
        }
    }

    /// All members of the classic group have their assignments, or nobody is left.
    pub(crate) fn settled(&mut self, now: Now, group: &str) {
        let Some(open) = self.groups.get_mut(group).and_then(|group| group.open.take()) else { return };
        self.completed += 1;
        if let Some(entry) = self.groups.get_mut(group).and_then(|group| group.entries.get_mut(&open.number)) {
            entry.ended_ms = Some(now.wall_ms);
            entry.idle_ms = Some(now.mono_ms - open.began_ms);
        }
    }

    /// The rebalance that is on ends without an end: the next begins.
    pub(crate) fn overtaken(&mut self, group: &str) {
        if let Some(group) = self.groups.get_mut(group) {
            group.open = None;
        }
    }

    fn open_entry(&mut self, group: &str) -> Option<&mut Rebalance> {
        let group = self.groups.get_mut(group)?;
        group.entries.get_mut(&group.open.as_ref()?.number)
    }

    /// Something has happened to a group that goes by the consumer protocol, at this epoch of it, or to one that nobody else
    /// had to notice.
    pub(crate) fn noted(&mut self, now: Now, group: &Arc<str>, (protocol, epoch): (Protocol, i32), reason: Reason) {
        let last = self.groups.get(group).and_then(|group| group.entries.last_key_value());
        let same =
            last.filter(|(_, entry)| entry.before == epoch && entry.after == epoch && entry.protocol == protocol);
        let number = match same {
            Some((number, entry)) if entry.ended_ms.is_none() && protocol == Protocol::Consumer => *number,
            _ => self.begin(now, group, (protocol, epoch)),
        };
        self.add(group, Some(number), reason);
    }

    /// The epoch of a consumer group has risen.
    pub(crate) fn raised(&mut self, group: &str, epoch: i32) {
        self.raised += 1;
        if let Some(entry) =
            self.last(group).filter(|entry| entry.protocol == Protocol::Consumer && entry.after < epoch)
        {
            entry.after = epoch;
        }
    }

    /// A consumer group has a new target, in which members have so many partitions that they had not.
    pub(crate) fn target(&mut self, group: &str, moved: usize) {
        if let Some(entry) = self.last(group).filter(|entry| entry.protocol == Protocol::Consumer) {
            entry.moved = Some(entry.moved.unwrap_or(0) + moved);
        }
    }

    /// Partitions of a consumer group are nobody's from now on.
    pub(crate) fn freed(&mut self, now: Now, group: &Arc<str>, partitions: impl Iterator<Item = (Uuid, i32)>) {
        // Of a group of which nothing is told there is nothing to add to.
        let Some(group) = self.groups.get_mut(group) else { return };
        for partition in partitions {
            if group.free.len() < FREE_MAX {
                group.free.insert(partition, now.mono_ms);
            }
        }
    }

    /// Partitions of a consumer group have an owner again.
    pub(crate) fn taken(&mut self, now: Now, group: &str, partitions: impl Iterator<Item = (Uuid, i32)>) {
        let Some(group) = self.groups.get_mut(group) else { return };
        let OfGroup { free, entries, .. } = group;
        let idle_ms = partitions.filter_map(|partition| free.remove(&partition)).map(|since| now.mono_ms - since).max();
        if let Some((idle_ms, mut last)) = idle_ms.zip(entries.last_entry()) {
            let entry = last.get_mut();
            entry.idle_ms = entry.idle_ms.max(Some(idle_ms));
            entry.ended_ms = Some(now.wall_ms);
        }
    }

    /// The group is no more.
    pub(crate) fn forget(&mut self, group: &str) {
        if let Some(gone) = self.groups.remove(group) {
            gone.entries.keys().for_each(|number| drop(self.order.remove(number)));
        }
    }

    fn last(&mut self, group: &str) -> Option<&mut Rebalance> {
        self.groups.get_mut(group)?.entries.last_entry().map(|entry| entry.into_mut())
    }

    fn begin(&mut self, now: Now, group: &Arc<str>, (protocol, number_before): (Protocol, i32)) -> u64 {
        let entry = Rebalance {
            protocol,
            began_ms: now.wall_ms,
            ended_ms: None,
            before: number_before,
            after: number_before,
            reasons: Vec::new(),
            more_reasons: 0,
            moved: None,
            idle_ms: None,
        };
        let number = self.next;
        self.next += 1;
        let of_group = self.groups.entry(group.clone()).or_default();
        of_group.entries.insert(number, entry);
        self.order.insert(number, group.clone());
        if of_group.entries.len() > ENTRIES_MAX
            && let Some((oldest, _)) = of_group.entries.pop_first()
        {
            self.order.remove(&oldest);
        }
        if self.order.len() > ALL_ENTRIES_MAX {
            self.drop_oldest();
        }
        number
    }

    fn drop_oldest(&mut self) {
        let Some((number, group)) = self.order.pop_first() else { return };
        let Some(of_group) = self.groups.get_mut(&group) else { return };
        of_group.entries.remove(&number);
        if of_group.entries.is_empty() {
            self.groups.remove(&group);
        }
    }

    fn add(&mut self, group: &str, number: Option<u64>, reason: Reason) {
        let entries = self.groups.get_mut(group).map(|group| &mut group.entries);
        let Some(entry) = entries.zip(number).and_then(|(entries, number)| entries.get_mut(&number)) else { return };
        if entry.reasons.len() < REASONS_MAX {
            entry.reasons.push(reason);
        } else {
            entry.more_reasons += 1;
        }
    }
}

impl Reason {
    pub(crate) fn of(what: What, who: Who) -> Reason {
        Reason { what, who: Some(who) }
    }

    pub(crate) fn of_group(what: What) -> Reason {
        Reason { what, who: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Now {
        Now { mono_ms: ms, wall_ms: 1_000_000 + ms }
    }

    fn joined(history: &mut History, ms: i64, group: &str, generation: i32) {
        let who = Who { member_id: "m".into(), ..Who::default() };
        history.classic(at(ms), &group.into(), (generation, BTreeMap::new), Reason::of(What::Joined, who));
    }

    #[test]
    fn a_classic_rebalance_lasts_until_it_is_settled() {
        let mut history = History::default();
        joined(&mut history, 10, "g", 3);
        joined(&mut history, 20, "g", 3);
        history.next_generation("g", 4);
        history.assigned("g", |_| Some(7));
        history.settled(at(50), "g");
        let of_group = history.of("g");
        let [rebalance] = &of_group[..] else { panic!("{of_group:?}") };
        assert_eq!((rebalance.before, rebalance.after, rebalance.reasons.len()), (3, 4, 2));
        assert_eq!((rebalance.moved, rebalance.idle_ms, rebalance.ended_ms), (Some(7), Some(40), Some(1_000_050)));
        joined(&mut history, 60, "g", 4);
        assert_eq!((history.of("g").len(), history.counts()), (2, (1, 0)));
    }

    #[test]
    fn what_is_kept_has_limits() {
        let mut history = History::default();
        for n in 0..200 {
            (0..10).for_each(|_| joined(&mut history, n, "g", 0));
            history.settled(at(n), "g");
        }
        let of_group = history.of("g");
        assert_eq!((of_group.len(), of_group[0].began_ms), (ENTRIES_MAX, 1_000_100));
        assert_eq!((of_group[0].reasons.len(), of_group[0].more_reasons), (REASONS_MAX, 5));
        for n in 0..2 * ALL_ENTRIES_MAX {
            joined(&mut history, 0, &format!("g{n}"), 0);
        }
        assert_eq!((history.order.len(), history.groups.len()), (ALL_ENTRIES_MAX, ALL_ENTRIES_MAX));
        assert!(history.of("g").is_empty() && history.of("g0").is_empty() && !history.of("g1999").is_empty());
        history.forget("g1999");
        assert_eq!(history.order.len(), ALL_ENTRIES_MAX - 1);
        let long: Arc<str> = "ü".repeat(1000).into();
        assert_eq!(Who::new(&long, None, (&long, &long)).client_id.len(), NAME_BYTES_MAX);
    }

    #[test]
    fn the_longest_time_without_an_owner_counts() {
        let mut history = History::default();
        let (group, topic) = ("g".into(), Uuid::ZERO);
        history.noted(at(0), &group, (Protocol::Consumer, 1), Reason::of_group(What::TopicsChanged));
        history.raised("g", 2);
        history.target("g", 2);
        history.freed(at(10), &group, [(topic, 0), (topic, 1)].into_iter());
        history.taken(at(30), "g", [(topic, 0)].into_iter());
        history.taken(at(40), "g", [(topic, 1), (topic, 2)].into_iter());
        let of_group = history.of("g");
        assert_eq!((of_group[0].before, of_group[0].after), (1, 2));
        assert_eq!((of_group[0].moved, of_group[0].idle_ms), (Some(2), Some(30)));
    }
}
