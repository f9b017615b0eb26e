//! A member was not heard of for its session timeout: it is gone, and the others go on without it.

use std::sync::Arc;

use super::rebalance::{complete_if_all_joined, member_removed};
use super::{put, take};
use crate::groups::Step;

pub(crate) fn ended(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>) {
    let Some(mut group) = take(step, group_id) else { return };
    if group.pending.remove(member_id) {
        complete_if_all_joined(step, &mut group);
    } else if let Some(member) = group.members.get(member_id) {
        // Who waits for us need not show that it lives. But nobody waits as long as a new member is given.
        let is_waiting = member.is_joining() || member.syncing.is_some();
        if member.is_new || !is_waiting {
            group.remove(step, member_id);
            member_removed(step, &mut group);
        }
    }
    put(step, group);
}
