//! From one generation to the next.
//!
//! A rebalance waits for all members to join again, but not for ever: those that have not when the longest of their
//! rebalance timeouts is over are dropped. Static members are not, they may be restarting; only the end of their session
//! ends them. Then the same is done once more with the answer of the leader: who has joined and does not sync is dropped.
//!
//! A group that was empty waits for the initial delay instead, as long as new members keep coming, and never longer than
//! a rebalance timeout: those who start together shall not have a rebalance each.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_wire::ErrorCode;

use super::subscription::Subscription;
use super::{Group, Phase, Preparing, put, take};
use crate::groups::{Reply, Step, Timer};
use crate::history::{Late, What};

/// Something has changed: begins a rebalance, or completes the one that is on if this was what it waited for.
pub(super) fn rebalance_or_complete(step: &mut Step<'_>, group: &mut Group) {
    match group.phase {
        Phase::Preparing(_) => complete_if_all_joined(step, group),
        Phase::Empty | Phase::Completing | Phase::Stable => prepare(step, group),
    }
}

/// Begins a rebalance. What members were assigned stays known: cooperative ones still have it.
pub(super) fn prepare(step: &mut Step<'_>, group: &mut Group) {
    if group.phase == Phase::Completing {
        group.answer_syncs(step, ErrorCode::RebalanceInProgress);
    }
    step.soft.timers.cancel(&Timer::Sync(group.id.clone()));
    if group.is_empty() {
        let delay_ms: i64 = step.soft.config.initial_rebalance_delay_ms.max(0).into();
        let remaining_ms = (group.members.rebalance_timeout_ms() - delay_ms).max(0);
        group.enter(step, Phase::Preparing(Preparing::Initial { is_growing: false, delay_ms, remaining_ms }));
        step.soft.timers.set(Timer::Join(group.id.clone()), step.now, delay_ms);
    } else {
        group.enter(step, Phase::Preparing(Preparing::Again));
        if group.has_all_joined() {
            complete(step, group);
        } else {
            wait_for_joins(step, group);
        }
    }
}

/// Ends the rebalance if it waits for nobody any more. A new group waits for its timer alone.
pub(super) fn complete_if_all_joined(step: &mut Step<'_>, group: &mut Group) {
    if group.phase == Phase::Preparing(Preparing::Again) && group.has_all_joined() {
        complete(step, group);
    }
}

/// A member is gone: the others must share anew.
pub(super) fn member_removed(step: &mut Step<'_>, group: &mut Group) {
    match group.phase {
        Phase::Empty => {}
        Phase::Preparing(_) | Phase::Completing | Phase::Stable => rebalance_or_complete(step, group),
    }
}

/// A group of which nobody is back is looked at again no sooner, whatever its members say.
const NOBODY_BACK_MS_MIN: i64 = 1_000;

/// The time for joining is over.
pub(crate) fn join_due(step: &mut Step<'_>, id: &Arc<str>, due_ms: i64) {
    let Some(mut group) = take(step, id) else { return };
    match &mut group.phase {
        Phase::Preparing(Preparing::Initial { is_growing, delay_ms, remaining_ms })
            if *is_growing && *remaining_ms > 0 =>
        {
            let last_delay_ms = *delay_ms;
            *is_growing = false;
            *delay_ms = i64::from(step.soft.config.initial_rebalance_delay_ms).min(*remaining_ms);
            *remaining_ms = (*remaining_ms - last_delay_ms).max(0);
            step.soft.timers.set(Timer::Join(id.clone()), step.now, *delay_ms);
        }
        Phase::Preparing(_) => {
            drop_missing(step, &mut group, due_ms);
            complete(step, &mut group);
        }
        Phase::Empty | Phase::Completing | Phase::Stable => {}
    }
    put(step, group);
}

/// The time for syncing is over.
pub(crate) fn sync_due(step: &mut Step<'_>, id: &Arc<str>, due_ms: i64) {
    let Some(mut group) = take(step, id) else { return };
    if matches!(group.phase, Phase::Completing | Phase::Stable) && !group.unsynced.is_empty() {
        let unsynced = std::mem::take(&mut group.unsynced);
        let late = Late::new(group.members.rebalance_timeout_ms(), due_ms, step.now);
        unsynced.iter().for_each(|member| group.because_of(step, member, What::TooSlow(late.clone())));
        unsynced.iter().for_each(|member| group.remove(step, member));
        prepare(step, &mut group);
    }
    put(step, group);
}

fn wait_for_joins(step: &mut Step<'_>, group: &Group) {
    step.soft.timers.set(Timer::Join(group.id.clone()), step.now, group.members.rebalance_timeout_ms());
}

/// Nobody waits any longer for those that have not joined.
fn drop_missing(step: &mut Step<'_>, group: &mut Group, due_ms: i64) {
    let missing = group.members.iter().filter(|member| !member.is_joining() && !member.is_static());
    let late = Late::new(group.members.rebalance_timeout_ms(), due_ms, step.now);
    for id in missing.map(|member| member.id.clone()).collect::<Vec<_>>() {
        group.because_of(step, &id, What::TooSlow(late.clone()));
        group.remove(step, &id);
    }
}

/// Begins the next generation with those that have joined.
fn complete(step: &mut Step<'_>, group: &mut Group) {
    step.soft.timers.cancel(&Timer::Join(group.id.clone()));
    if group.members.is_empty() {
        return begin_empty(step, group);
    }
    if !elect_leader(group) {
        // Static members only, and none is back yet. Their sessions will end, or they come.
        let wait_ms = group.members.rebalance_timeout_ms().max(NOBODY_BACK_MS_MIN);
        return step.soft.timers.set(Timer::Join(group.id.clone()), step.now, wait_ms);
    }
    group.generation += 1;
    step.soft.history.next_generation(&group.id, group.generation);
    group.protocol = group.vote();
    group.subscription = Subscription::of(group);
    group.enter(step, Phase::Completing);
    group.unsynced = group.members.ids().into_iter().collect();
    for id in group.members.ids() {
        let members = if group.is_leader(&id) { group.for_leader() } else { Vec::new() };
        if let Some(waiter) = group.members.joined(&id) {
            step.reply(waiter, Reply::JoinGroup(group.generation(id.clone(), members)));
        }
        group.members.get_mut(&id).expect("the id of a member").is_new = false;
        group.heard_of(step, &id);
    }
    step.soft.timers.set(Timer::Sync(group.id.clone()), step.now, group.members.rebalance_timeout_ms());
}

fn begin_empty(step: &mut Step<'_>, group: &mut Group) {
    group.generation += 1;
    group.protocol = None;
    group.subscription = Subscription::of(group);
    group.unsynced.clear();
    group.enter(step, Phase::Empty);
    step.soft.history.next_generation(&group.id, group.generation);
    step.soft.history.settled(step.now, &group.id);
    step.log.write(group.record(&BTreeMap::new()));
}

/// The leader stays if it has joined; else the first that has leads. `false` if nobody has.
fn elect_leader(group: &mut Group) -> bool {
    let has_joined = |id: &Arc<str>| group.members.get(id).is_some_and(|member| member.is_joining());
    if group.leader.as_ref().is_some_and(has_joined) {
        return true;
    }
    let first = group.members.iter().find(|member| member.is_joining()).map(|member| member.id.clone());
    let is_found = first.is_some();
    group.leader = first.or_else(|| group.leader.take());
    is_found
}

impl Group {
    fn has_all_joined(&self) -> bool {
        self.members.joining() == self.members.len() && self.pending.is_empty()
    }

    /// The protocol of the next generation: of those that all know, the one that most prefer.
    pub(super) fn vote(&self) -> Option<Arc<str>> {
        let mut votes: Vec<(Arc<str>, usize)> = Vec::new();
        for member in self.members.iter() {
            let choice = member.protocols().iter().find(|protocol| self.members.all_support(&protocol.name))?;
            match votes.iter_mut().find(|(name, _)| *name == choice.name) {
                Some((_, count)) => *count += 1,
                None => votes.push((choice.name.clone(), 1)),
            }
        }
        let most = votes.iter().map(|(_, count)| *count).max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name)
    }

    /// Takes out a member, whatever it waits for, or one that was expected.
    pub(super) fn remove(&mut self, step: &mut Step<'_>, id: &str) {
        self.pending.remove(id);
        self.unsynced.remove(id);
        if let Some(waiter) = self.members.joined(id) {
            super::join::refuse(step, waiter, ErrorCode::UnknownMemberId, Arc::default());
        }
        let Some(member) = self.members.remove(id) else { return };
        if let Some(waiter) = member.syncing {
            super::sync::refuse(step, waiter, ErrorCode::UnknownMemberId);
        }
        if self.is_leader(id) {
            self.leader = self.members.iter().next().map(|member| member.id.clone());
        }
        step.soft.timers.cancel(&Timer::Session(self.id.clone(), member.id));
    }
}
