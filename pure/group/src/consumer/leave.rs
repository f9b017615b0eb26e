//! Members go: they say so, are silent for too long, or keep what they must give up.
//!
//! What a member owned is free at once. A static member that stops keeps its place for the rest of its session: it says
//! so with an epoch of its own, and nothing moves until it is back or its session ends.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::member::{LEFT_FOR_NOW_EPOCH, Member, Owned};
use super::refusal::Refusal;
use super::{epoch, join, patterns, reasons, records, session};
use crate::groups::{Step, Timer};
use crate::history::What;
use crate::migrate;

pub(super) fn decide(
    step: &mut Step<'_>,
    request: ConsumerGroupHeartbeatRequest,
) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
    let ConsumerGroupHeartbeatRequest { group_id, member_id, member_epoch, instance_id, .. } = request;
    let group = step.log.consumer.get(&group_id).ok_or_else(|| Refusal::no_group(&group_id))?;
    match &instance_id {
        None if !group.members.contains_key(&member_id) => {
            return Err(Refusal::unknown_member(&group_id, &member_id));
        }
        None => left(step, &group_id, &member_id),
        Some(instance) => {
            let bearer = group.of_instance(instance).ok_or_else(|| join::unknown_instance(instance))?;
            if *bearer != member_id {
                return Err(join::fenced_instance(instance, &member_id, bearer));
            }
            if member_epoch == LEFT_FOR_NOW_EPOCH {
                leave_for_now(step, &group_id, &member_id);
            } else {
                left(step, &group_id, &member_id);
            }
        }
    }
    Ok(ConsumerGroupHeartbeatResponse { member_id: Some(member_id), member_epoch, ..Default::default() })
}

fn left(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>) {
    reasons::because_of(step, group_id, member_id, What::Left);
    remove(step, group_id, std::slice::from_ref(member_id));
}

/// It has given up what it had to, and whoever gets its place may commit for all that is left.
fn leave_for_now(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>) {
    let Some(member) = step.log.consumer.get(group_id).and_then(|group| group.members.get(member_id)) else { return };
    let mut member = Member { epoch: LEFT_FOR_NOW_EPOCH, revoking: Owned::new(), ..member.clone() };
    member.assigned.values_mut().flat_map(|partitions| partitions.values_mut()).for_each(|epoch| *epoch = 0);
    step.log.write(records::current(group_id, member_id, &member));
    step.soft.timers.cancel(&Timer::ConsumerRevocation(group_id.clone(), member_id.clone()));
}

/// Takes members out of the group, of which all that are not there are left out.
pub(crate) fn remove(step: &mut Step<'_>, group_id: &Arc<str>, members: &[Arc<str>]) {
    let Some(group) = step.log.consumer.get(group_id) else { return };
    let members: BTreeSet<Arc<str>> = members.iter().filter(|id| group.members.contains_key(*id)).cloned().collect();
    if members.is_empty() {
        return;
    }
    if migrate::downgrade::without(step, group_id, &members) {
        return;
    }
    let Some(group) = step.log.consumer.get(group_id) else { return };
    let of_members = members.iter().filter_map(|id| group.members.get(id)?.pattern());
    let used: BTreeSet<Arc<str>> = of_members.cloned().collect();
    let freed: Vec<_> = members.iter().filter_map(|id| group.members.get(id)).flat_map(Member::partitions).collect();
    step.soft.history.freed(step.now, group_id, freed.into_iter());
    for member in &members {
        for record in records::no_member(group_id, member) {
            step.log.write(record);
        }
    }
    for pattern in used {
        patterns::forget_if_unused(step, group_id, &pattern);
    }
    let group = step.log.consumer.get(group_id).expect("a group stays when its members go");
    let epoch = group.epoch.saturating_add(1);
    let metadata_hash = epoch::metadata_hash(step.soft, group);
    step.log.write(records::epoch(group_id, epoch, metadata_hash));
    step.soft.history.raised(group_id, epoch);
    for member in &members {
        session::forget(step, group_id, member);
        migrate::forget(step, group_id, member);
    }
}
