//! Takes note of why a group shares anew ([`crate::history`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::roster::Member;
use super::{Group, Phase};
use crate::groups::Step;
use crate::history::{Protocol, Reason, What, Who};
use crate::migrate;

impl Member {
    pub(super) fn who(&self) -> Who {
        Who::new(&self.id, self.instance_id.as_ref(), (&self.client_id, &self.client_host))
    }
}

impl Group {
    pub(crate) fn whos(&self) -> Vec<Who> {
        self.members.iter().map(Member::who).collect()
    }

    /// A rebalance begins, or goes on, for this reason. Said before anything is changed.
    pub(super) fn because(&self, step: &mut Step<'_>, reason: Reason) {
        if self.phase == Phase::Stable {
            // Some may not have synced yet: nobody waits for them any longer.
            step.soft.history.overtaken(&self.id);
        }
        step.soft.history.classic(step.now, &self.id, (self.generation, || self.assignments()), reason);
    }

    /// The same of a member, if it is one. Where there is no rebalance to come, nobody needs a reason.
    pub(super) fn because_of(&self, step: &mut Step<'_>, member_id: &str, what: What) {
        if let Some(member) = self.members.get(member_id).filter(|_| !self.is_empty()) {
            self.because(step, Reason::of(what, member.who()));
        }
    }

    /// A static member has taken the place of another, and nobody else has to notice.
    pub(super) fn replaced(&self, step: &mut Step<'_>, bearer: Who, by: &Arc<str>) {
        let reason = Reason::of(What::replaced(by), bearer);
        step.soft.history.noted(step.now, &self.id, (Protocol::Classic, self.generation), reason);
    }

    /// The leader has brought the assignment.
    pub(super) fn was_assigned(&self, step: &mut Step<'_>) {
        step.soft.history.assigned(&self.id, |before| moved(before, &self.assignments()));
        self.may_be_settled(step);
    }

    /// The last member may have its assignment now.
    pub(super) fn may_be_settled(&self, step: &mut Step<'_>) {
        if self.unsynced.is_empty() {
            step.soft.history.settled(step.now, &self.id);
        }
    }
}

/// Partitions that members have now and had not. `None` where the coordinator cannot read what they were given.
fn moved(before: &BTreeMap<Arc<str>, Bytes>, now: &BTreeMap<Arc<str>, Bytes>) -> Option<usize> {
    let mut moved = 0;
    for (id, assignment) in now {
        let had = before.get(id).map_or(Some(Default::default()), |bytes| migrate::partitions(bytes))?;
        moved += migrate::partitions(assignment)?.difference(&had).count();
    }
    Some(moved)
}
