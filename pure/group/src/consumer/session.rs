//! Members over time: each shows that it lives, moves towards its target, and gives up in time what it must.

use std::sync::Arc;

use super::member::Member;
use super::reconcile::{Reconciliation, Report};
use super::{leave, reasons, records, settings};
use crate::groups::{Step, Timer};
use crate::history::{Late, What};
use crate::room::{Lack, Room};

/// The member lives: its session begins anew.
pub(crate) fn heard_of(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>) {
    let timeout_ms = session_timeout_ms(step, group_id, member_id);
    let timer = Timer::ConsumerSession(group_id.clone(), member_id.clone());
    step.soft.timers.set(timer, step.now, timeout_ms);
}

fn session_timeout_ms(step: &Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>) -> i64 {
    let member = step.log.consumer.get(group_id).and_then(|group| group.members.get(member_id));
    match member.and_then(|member| member.said.classic_member_metadata.as_ref()) {
        Some(classic) => classic.session_timeout_ms.into(),
        None => settings::session_timeout_ms(step.soft, group_id),
    }
}

/// Moves the member towards its target as far as possible, and says whether it has another assignment now.
pub(super) fn reconcile(
    step: &mut Step<'_>,
    group_id: &Arc<str>,
    member_id: &Arc<str>,
    report: Report<'_>,
    room: &mut Room,
) -> Result<bool, Lack> {
    let Some(group) = step.log.consumer.get(group_id) else { return Ok(false) };
    let reconciliation = Reconciliation { id: member_id, group, topics: &step.soft.topics, report };
    let (Some(member), Some(next)) = (group.members.get(member_id), reconciliation.next()) else {
        return Ok(false);
    };
    if next == *member {
        return Ok(false);
    }
    let is_other = next.assigned != member.assigned;
    let before = member.clone();
    let record = records::current(group_id, member_id, &next);
    match room.take(std::slice::from_ref(&record)) {
        Ok(()) => {
            step.log.write(record);
            reasons::moves(step, group_id, &before, &next);
        }
        // The batch has a target in it. There is room with the next heartbeat.
        Err(Lack::Now) => return Ok(false),
        Err(Lack::Ever) => return Err(Lack::Ever),
    }
    let timer = Timer::ConsumerRevocation(group_id.clone(), member_id.clone());
    if next.is_awaited() {
        step.soft.timers.set(timer, step.now, next.said.rebalance_timeout_ms.into());
    } else {
        step.soft.timers.cancel(&timer);
    }
    Ok(is_other)
}

/// The member was not heard of for its session timeout.
pub(crate) fn ended(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>, due_ms: i64) {
    let timeout_ms = session_timeout_ms(step, group_id, member_id);
    reasons::because_of(step, group_id, member_id, What::TimedOut(Late::new(timeout_ms, due_ms, step.now)));
    leave::remove(step, group_id, std::slice::from_ref(member_id));
}

/// The member did not join or sync, or give up partitions, in time.
pub(crate) fn too_slow(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>, due_ms: i64) {
    let member = step.log.consumer.get(group_id).and_then(|group| group.members.get(member_id));
    let timeout_ms = member.map_or(0, |member| member.said.rebalance_timeout_ms.into());
    reasons::because_of(step, group_id, member_id, What::TooSlow(Late::new(timeout_ms, due_ms, step.now)));
    leave::remove(step, group_id, std::slice::from_ref(member_id));
}

/// The member had its rebalance timeout to give up partitions. Whoever waits for them waits no longer.
pub(crate) fn revocation_due(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>, due_ms: i64) {
    let member = step.log.consumer.get(group_id).and_then(|group| group.members.get(member_id));
    if member.is_some_and(Member::is_awaited) {
        too_slow(step, group_id, member_id, due_ms);
    }
}

/// Cancels what the member would be late for.
pub(crate) fn forget(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>) {
    step.soft.timers.cancel(&Timer::ConsumerSession(group_id.clone(), member_id.clone()));
    step.soft.timers.cancel(&Timer::ConsumerRevocation(group_id.clone(), member_id.clone()));
}

/// A new coordinator does not know when it would have heard of members: each has all its time.
pub(crate) fn loaded(step: &mut Step<'_>) {
    let groups = step.log.consumer.iter();
    let members = groups.flat_map(|(id, group)| {
        group.members.iter().map(move |(member_id, member)| {
            (id.clone(), member_id.clone(), member.is_awaited().then_some(member.said.rebalance_timeout_ms))
        })
    });
    for (group_id, member_id, rebalance_timeout_ms) in members.collect::<Vec<_>>() {
        heard_of(step, &group_id, &member_id);
        if let Some(timeout_ms) = rebalance_timeout_ms {
            let timer = Timer::ConsumerRevocation(group_id, member_id);
            step.soft.timers.set(timer, step.now, timeout_ms.into());
        }
    }
}
