//! A static member is back after a restart (KIP-345).
//!
//! A member that only restarts would cost the group two rebalances: one when it is missed, one when it is back. A static
//! member has a name that outlives its process. Whoever joins with the name and without an id takes the place of the one
//! before, with its assignment, and nobody else has to notice; the one before is fenced, should it still be there.
//!
//! That works in a stable group, as long as the choice of protocol stays the same. In a group that waits for its leader's
//! assignment it does not: the leader was told the old id.

use std::sync::Arc;

use ottla_machine::Waiter;
use ottla_wire::ErrorCode;
use ottla_wire::messages::SyncGroupResponse;

use super::join::{JoinGroup, join_again, joining, refuse};
use super::rebalance::{complete_if_all_joined, prepare, rebalance_or_complete};
use super::roster::Member;
use super::{Group, Phase};
use crate::groups::{Reply, Step, Timer};
use crate::history::{Reason, What};

/// First version in which the leader can be told not to assign (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;

/// Puts a member with the id `id` in the place of the one that has borne its name so far, `bearer`.
pub(super) fn replace(
    step: &mut Step<'_>,
    group: &mut Group,
    asker: Waiter,
    join: JoinGroup,
    bearer: &Arc<str>,
    id: Arc<str>,
) {
    let leader_before = group.leader.clone().unwrap_or_default();
    let who = group.members.get(bearer).map(Member::who).unwrap_or_default();
    let reason = || Reason::of(What::replaced(&id), who.clone());
    fence(step, group, bearer, &id);
    join_again(step, group, &id, joining(asker, join.request));
    group.heard_of(step, &id);
    match group.phase {
        Phase::Stable if group.vote() == group.protocol => {
            let record = group.record(&group.assignments());
            if record.bytes_max() > step.soft.config.batch_bytes_max {
                group.because(step, reason());
                return rebalance_or_complete(step, group);
            }
            group.replaced(step, who, &id);
            step.log.write(record);
            group.members.joined(&id);
            let mut response = group.generation(id.clone(), Vec::new());
            if join.version >= SKIP_ASSIGNMENT_FROM {
                response.skip_assignment = group.is_leader(&id);
                response.members = if response.skip_assignment { group.for_leader() } else { Vec::new() };
            } else {
                // It is not told that it leads, and so does not assign.
                response.leader = leader_before;
            }
            step.reply(asker, Reply::JoinGroup(response));
        }
        Phase::Stable | Phase::Empty => {
            group.because(step, reason());
            rebalance_or_complete(step, group);
        }
        Phase::Completing => {
            group.because(step, reason());
            prepare(step, group);
        }
        Phase::Preparing(_) => complete_if_all_joined(step, group),
    }
}

/// The one before is told, if it waits for anything. The new one has its place and its assignment.
fn fence(step: &mut Step<'_>, group: &mut Group, bearer: &Arc<str>, id: &Arc<str>) {
    if let Some(waiter) = group.members.joined(bearer) {
        refuse(step, waiter, ErrorCode::FencedInstanceId, bearer.clone());
    }
    let mut member: Member = group.members.remove(bearer).expect("names are those of members");
    if let Some(waiter) = member.syncing.take() {
        let error_code = ErrorCode::FencedInstanceId.code();
        step.reply(waiter, Reply::SyncGroup(SyncGroupResponse { error_code, ..Default::default() }));
    }
    if group.is_leader(bearer) {
        group.leader = Some(id.clone());
    }
    group.unsynced.remove(bearer);
    step.soft.timers.cancel(&Timer::Session(group.id.clone(), bearer.clone()));
    member.id = id.clone();
    member.is_new = false;
    group.members.insert(member);
}
