//! A group changes its protocol while its members go on (KIP-848).
//!
//! Clients are restarted one by one, so for a while a group has members of both protocols. It is then a consumer group:
//! the coordinator assigns, and a classic member is told its share as if there had been a leader. The first member of the
//! consumer protocol makes a classic group one ([`upgrade`]), and when the last one is gone it becomes classic again
//! ([`downgrade`]), unless `group.consumer.migration.policy` forbids.
//!
//! To a classic member its epoch is a generation. It learns by its heartbeat that it has to join again: when there is a new
//! target, and when it has to give something up or can get what others have given up ([`heartbeat`]). With its JoinGroup
//! it takes a step towards its target ([`join`]), with its SyncGroup it fetches what it owns ([`sync`]). It has its
//! rebalance timeout for each. With a LeaveGroup anybody may be removed, whatever protocol it speaks ([`leave`]).

pub(crate) mod downgrade;
pub(crate) mod heartbeat;
pub(crate) mod join;
pub(crate) mod leave;
mod protocol;
pub(crate) mod sync;
pub(crate) mod upgrade;

pub(crate) use protocol::partitions;

use std::sync::Arc;

use ottla_wire::ErrorCode;

use crate::consumer::{Group, Member};
use crate::groups::{Step, Timer};

/// The member that a classic request is of: one that speaks this protocol, and bears the name that it says.
fn classic_member<'a>(
    group: &'a Group,
    member_id: &str,
    instance_id: Option<&Arc<str>>,
) -> Result<&'a Member, ErrorCode> {
    if let Some(instance) = instance_id {
        match group.of_instance(instance) {
            None => return Err(ErrorCode::UnknownMemberId),
            Some(bearer) if **bearer != *member_id => return Err(ErrorCode::FencedInstanceId),
            Some(_) => {}
        }
    }
    group.members.get(member_id).filter(|member| member.is_classic()).ok_or(ErrorCode::UnknownMemberId)
}

/// The member was told to join again. It has its rebalance timeout for that, from the first time on.
fn await_join(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>) {
    let member = step.log.consumer.get(group_id).and_then(|group| group.members.get(member_id));
    let Some(timeout_ms) = member.map(|member| member.said.rebalance_timeout_ms) else { return };
    if step.soft.rejoining.insert((group_id.clone(), member_id.clone())) {
        let timer = Timer::ConsumerJoin(group_id.clone(), member_id.clone());
        step.soft.timers.set(timer, step.now, timeout_ms.into());
    }
}

fn has_joined(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>) {
    step.soft.rejoining.remove(&(group_id.clone(), member_id.clone()));
    step.soft.timers.cancel(&Timer::ConsumerJoin(group_id.clone(), member_id.clone()));
}

/// Cancels what the member would be late for.
pub(crate) fn forget(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>) {
    has_joined(step, group_id, member_id);
    step.soft.timers.cancel(&Timer::ConsumerSync(group_id.clone(), member_id.clone()));
}
