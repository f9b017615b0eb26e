//! A member was not heard of for its session timeout: it is gone, and the others go on without it.

use std::sync::Arc;

use super::join::NEW_MEMBER_JOIN_TIMEOUT_MS;
use super::rebalance::{complete_if_all_joined, member_removed};
use super::{put, take};
use crate::groups::Step;
use crate::history::{Late, What};

pub(crate) fn ended(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>, due_ms: i64) {
    let Some(mut group) = take(step, group_id) else { return };
    if group.pending.remove(member_id) {
        complete_if_all_joined(step, &mut group);
    } else if let Some(member) = group.members.get(member_id) {
        // Who waits for us need not show that it lives. But nobody waits as long as a new member is given.
        let is_waiting = member.is_joining() || member.syncing.is_some();
        let timeout_ms = if member.is_new { NEW_MEMBER_JOIN_TIMEOUT_MS } else { member.session_timeout_ms.into() };
        if member.is_new || !is_waiting {
            group.because_of(step, member_id, What::TimedOut(Late::new(timeout_ms, due_ms, step.now)));
            group.remove(step, member_id);
            member_removed(step, &mut group);
        }
    }
    put(step, group);
}
