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
//! All of it is bounded: entries of a group, reasons of an entry, bytes of a name, and the bytes of it all
//! ([`Config::history_bytes_max`](crate::Config)). These have room for the last hundred entries of a thousand groups and more;
//! beyond, the group that has most entries gives up its oldest, so a group that shares anew all the time takes nothing from
//! those that seldom do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::{Now, Uuid};

/// Entries that are kept of one group.
pub const ENTRIES_MAX: usize = 100;
/// Reasons of one entry; others are counted.
pub const REASONS_MAX: usize = 5;
/// Partitions of one group that are looked after from one owner to the next.
const FREE_MAX: usize = 10_000;
/// Bytes of a name that are kept.
const NAME_BYTES_MAX: usize = 100;

/// What a map takes for one of its places, and memory for a piece of it, about.
const PLACE_BYTES: usize = 64;
const GROUP_BYTES: usize = size_of::<OfGroup>() + size_of::<Rank>() + 2 * PLACE_BYTES + TALLY_BYTES;
/// What the counts of a group's reasons take.
const TALLY_BYTES: usize = 512;
const ENTRY_BYTES: usize = size_of::<Rebalance>() + PLACE_BYTES;
const FREE_BYTES: usize = 64;

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
    TimedOut(Box<Late>),
    /// It did not join again, sync or give up partitions within its rebalance timeout.
    TooSlow(Box<Late>),
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

/// By how much a member was late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    pub timeout_ms: i64,
    /// How much longer it took until the member was heard of again; until then, how much longer it had when it was removed.
    pub late_ms: i64,
    /// It was heard of again.
    pub is_back: bool,
    /// Mono time.
    due_ms: i64,
}

/// Of the groups of one coordinator.
#[derive(Debug)]
pub(crate) struct History {
    /// None of them is without entries.
    groups: BTreeMap<Arc<str>, OfGroup>,
    /// All groups: the last is the one with most entries, and of those with as many the one whose last is the oldest.
    ranks: BTreeSet<Rank>,
    /// Numbers of entries: a later one is greater.
    next: u64,
    bytes: usize,
    bytes_max: usize,
    /// Rebalances that have ended, and rises of consumer groups' epochs.
    completed: u64,
    raised: u64,
}

/// How many entries a group has, and the number of its last.
type Rank = (usize, Reverse<u64>, Arc<str>);

/// What has been counted of a group since it is known here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub rebalances: u64,
    /// How often there was each of them, by [`What::name`].
    pub reasons: BTreeMap<&'static str, u64>,
    /// [`Rebalance::moved`] and [`Rebalance::idle_ms`], added up.
    pub moved: u64,
    pub idle_ms: i64,
}

#[derive(Debug, Default)]
struct OfGroup {
    tally: Tally,
    entries: BTreeMap<u64, Box<Rebalance>>,
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

impl OfGroup {
    fn rank(&self, name: &Arc<str>) -> Option<Rank> {
        let (number, _) = self.entries.last_key_value()?;
        Some((self.entries.len(), Reverse(*number), name.clone()))
    }

    fn bytes(&self, name: &str) -> usize {
        let entries: usize = self.entries.values().map(|entry| entry.bytes()).sum();
        GROUP_BYTES + name.len() + self.free.len() * FREE_BYTES + entries
    }
}

impl Rebalance {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.reasons.iter().map(Reason::bytes).sum::<usize>()
    }
}

impl Late {
    /// It is removed now, and was to be at `due_ms` (mono time).
    pub(crate) fn new(timeout_ms: i64, due_ms: i64, now: Now) -> Box<Late> {
        Box::new(Late { timeout_ms, late_ms: now.mono_ms - due_ms, is_back: false, due_ms })
    }
}

impl What {
    pub(crate) fn replaced(by: &Arc<str>) -> What {
        What::Replaced { by: short(by) }
    }

    /// In words.
    pub fn name(&self) -> &'static str {
        match self {
            What::Joined => "joined",
            What::Left => "left",
            What::TimedOut(_) => "timed out",
            What::TooSlow(_) => "too slow",
            What::Changed => "changed its subscription",
            What::Asked => "asked for it",
            What::Replaced { .. } => "replaced",
            What::TopicsChanged => "topics changed",
            What::Upgraded => "upgraded to the consumer protocol",
            What::Downgraded => "downgraded to the classic protocol",
            What::TooLarge => "assignment too large",
            What::Loaded => "coordinator loaded",
        }
    }

    fn late_mut(&mut self) -> Option<&mut Late> {
        match self {
            What::TimedOut(late) | What::TooSlow(late) => Some(late),
            _ => None,
        }
    }
}

fn short(name: &Arc<str>) -> Arc<str> {
    if name.len() <= NAME_BYTES_MAX { name.clone() } else { name[..name.floor_char_boundary(NAME_BYTES_MAX)].into() }
}

impl History {
    /// One that takes so many bytes at most, about.
    pub fn within(bytes_max: usize) -> History {
        History {
            groups: BTreeMap::new(),
            ranks: BTreeSet::new(),
            next: 0,
            bytes: 0,
            bytes_max,
            completed: 0,
            raised: 0,
        }
    }

    /// The rebalances of a group, the oldest first.
    pub(crate) fn of(&self, group: &str) -> Vec<Rebalance> {
        self.groups
            .get(group)
            .map(|group| group.entries.values().map(|entry| Rebalance::clone(entry)).collect())
            .unwrap_or_default()
    }

    /// Of the groups of which there are entries, by name.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = (&Arc<str>, &Tally)> {
        self.groups.iter().map(|(name, group)| (name, &group.tally))
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
        if let Some(group) = self.groups.get_mut(group) {
            group.tally.moved += count.unwrap_or(0) as u64;
        }
    }

    /// All members of the classic group have their assignments, or nobody is left.
    pub(crate) fn settled(&mut self, now: Now, group: &str) {
        let Some(group) = self.groups.get_mut(group) else { return };
        let Some(open) = group.open.take() else { return };
        self.completed += 1;
        let idle_ms = now.mono_ms - open.began_ms;
        group.tally.idle_ms += idle_ms;
        if let Some(entry) = group.entries.get_mut(&open.number) {
            entry.ended_ms = Some(now.wall_ms);
            entry.idle_ms = Some(idle_ms);
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
        group.entries.get_mut(&group.open.as_ref()?.number).map(|entry| &mut **entry)
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
        let Some(group) = self.groups.get_mut(group) else { return };
        if let Some(mut last) = group.entries.last_entry().filter(|last| last.get().protocol == Protocol::Consumer) {
            let entry = last.get_mut();
            entry.moved = Some(entry.moved.unwrap_or(0) + moved);
            group.tally.moved += moved as u64;
        }
    }

    /// Partitions of a consumer group are nobody's from now on.
    pub(crate) fn freed(&mut self, now: Now, group: &Arc<str>, partitions: impl Iterator<Item = (Uuid, i32)>) {
        // Of a group of which nothing is told there is nothing to add to.
        let Some(group) = self.groups.get_mut(group) else { return };
        for partition in partitions {
            if group.free.len() < FREE_MAX && group.free.insert(partition, now.mono_ms).is_none() {
                self.bytes += FREE_BYTES;
            }
        }
    }

    /// Partitions of a consumer group have an owner again.
    pub(crate) fn taken(&mut self, now: Now, group: &str, partitions: impl Iterator<Item = (Uuid, i32)>) {
        let Some(group) = self.groups.get_mut(group) else { return };
        let OfGroup { free, entries, tally, .. } = group;
        let free_before = free.len();
        let idle_ms = partitions.filter_map(|partition| free.remove(&partition)).map(|since| now.mono_ms - since).max();
        self.bytes -= (free_before - free.len()) * FREE_BYTES;
        if let Some((idle_ms, mut last)) = idle_ms.zip(entries.last_entry()) {
            let entry = last.get_mut();
            let idle_before = entry.idle_ms.unwrap_or(0);
            tally.idle_ms += (idle_ms - idle_before).max(0);
            entry.idle_ms = Some(idle_ms.max(idle_before));
            entry.ended_ms = Some(now.wall_ms);
        }
    }

    /// A member that is none speaks up: if it was removed for its silence, it is known now how long that was.
    pub(crate) fn heard_again(&mut self, now: Now, group: &str, member_id: &Arc<str>) {
        let Some(group) = self.groups.get_mut(group).filter(|_| !member_id.is_empty()) else { return };
        let member_id = short(member_id);
        let reasons = group.entries.values_mut().rev().flat_map(|entry| entry.reasons.iter_mut().rev());
        let of_member = |reason: &&mut Reason| reason.who.as_ref().is_some_and(|who| who.member_id == member_id);
        if let Some(late) = reasons.filter(of_member).find_map(|reason| reason.what.late_mut())
            && !late.is_back
        {
            late.late_ms = now.mono_ms - late.due_ms;
            late.is_back = true;
        }
    }

    /// The group is no more.
    pub(crate) fn forget(&mut self, group: &str) {
        if let Some((name, gone)) = self.groups.remove_entry(group) {
            self.bytes -= gone.bytes(&name);
            gone.rank(&name).map(|rank| self.ranks.remove(&rank));
        }
    }

    fn last(&mut self, group: &str) -> Option<&mut Rebalance> {
        self.groups.get_mut(group)?.entries.last_entry().map(|entry| &mut **entry.into_mut())
    }

    fn begin(&mut self, now: Now, name: &Arc<str>, (protocol, number_before): (Protocol, i32)) -> u64 {
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
        self.bytes += entry.bytes();
        let bytes = &mut self.bytes;
        let group = self.groups.entry(name.clone()).or_insert_with(|| {
            let group = OfGroup::default();
            *bytes += group.bytes(name);
            group
        });
        group.rank(name).map(|rank| self.ranks.remove(&rank));
        group.entries.insert(number, Box::new(entry));
        group.tally.rebalances += 1;
        self.ranks.extend(group.rank(name));
        if group.entries.len() > ENTRIES_MAX {
            self.give_up_oldest(name);
        }
        number
    }

    fn give_up_oldest(&mut self, name: &Arc<str>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.entries.len() == 1 {
            return self.forget(name);
        }
        group.rank(name).map(|rank| self.ranks.remove(&rank));
        if let Some((_, oldest)) = group.entries.pop_first() {
            self.bytes -= oldest.bytes();
        }
        self.ranks.extend(group.rank(name));
    }

    fn add(&mut self, group: &str, number: Option<u64>, reason: Reason) {
        let Some((group, number)) = self.groups.get_mut(group).zip(number) else { return };
        let Some(entry) = group.entries.get_mut(&number) else { return };
        *group.tally.reasons.entry(reason.what.name()).or_default() += 1;
        if entry.reasons.len() < REASONS_MAX {
            self.bytes += reason.bytes();
            // Most have one.
            entry.reasons.reserve_exact(1);
            entry.reasons.push(reason);
        } else {
            entry.more_reasons += 1;
        }
        while self.bytes > self.bytes_max
            && let Some((_, _, name)) = self.ranks.last().cloned()
        {
            self.give_up_oldest(&name);
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

    /// Names count in full, though some are shared with the member while it lives.
    fn bytes(&self) -> usize {
        let (by, late_bytes) = match &self.what {
            What::Replaced { by } => (Some(by), 0),
            What::TimedOut(late) | What::TooSlow(late) => (None, size_of_val(&**late)),
            _ => (None, 0),
        };
        let who = self.who.iter().flat_map(|who| [&who.member_id, &who.client_id, &who.client_host]);
        let names = by.into_iter().chain(who).chain(self.who.iter().filter_map(|who| who.instance_id.as_ref()));
        // An Arc has two counts before the name.
        size_of::<Reason>() + late_bytes + names.map(|name| name.len() + 16).sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
