//! SyncGroup: the leader brings the assignment, all others fetch theirs.
//!
//! A member that asks before the leader has brought it waits. What the leader brings is written to the log before anybody
//! gets it: a member that works by an assignment which a crash could take back would share partitions with others. A
//! member that the leader forgot gets an empty assignment, and one that asks later gets what is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ottla_machine::Waiter;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{SyncGroupRequest, SyncGroupResponse};

use super::rebalance::prepare;
use super::{Group, Phase, put, take, validate_member};
use crate::groups::{Reply, Step, Timer};
use crate::history::{Reason, What};
use crate::migrate;

/// First version in which a member must say by which protocol it goes.
const PROTOCOL_REQUIRED_FROM: i16 = 5;

#[derive(Clone, Debug)]
pub struct SyncGroup {
    pub request: SyncGroupRequest,
    pub version: i16,
}

pub(crate) fn decide(step: &mut Step<'_>, asker: Waiter, sync: SyncGroup) {
    let SyncGroup { request, version } = sync;
    let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if version >= PROTOCOL_REQUIRED_FROM && !names_protocol {
        return refuse(step, asker, ErrorCode::InconsistentGroupProtocol);
    }
    if request.group_id.is_empty() {
        return refuse(step, asker, ErrorCode::InvalidGroupId);
    }
    if step.log.consumer.contains_key(&request.group_id) {
        return migrate::sync::decide(step, asker, &request);
    }
    let Some(mut group) = take(step, &request.group_id) else {
        return refuse(step, asker, ErrorCode::UnknownMemberId);
    };
    match check(&group, &request) {
        Err(code) => refuse(step, asker, code),
        Ok(()) => sync_member(step, &mut group, asker, request),
    }
    put(step, group);
}

fn check(group: &Group, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
    validate_member(group, &request.member_id, request.group_instance_id.as_ref())?;
    let differs = |said: &Option<Arc<str>>, known: &Option<Arc<str>>| said.is_some() && said != known;
    if request.generation_id != group.generation {
        Err(ErrorCode::IllegalGeneration)
    } else if matches!(group.phase, Phase::Preparing(_)) {
        // Whatever protocol it names: a consumer group that has just become this one may have told it another.
        Err(ErrorCode::RebalanceInProgress)
    } else if differs(&request.protocol_type, &group.protocol_type) || differs(&request.protocol_name, &group.protocol)
    {
        Err(ErrorCode::InconsistentGroupProtocol)
    } else {
        Ok(())
    }
}

fn sync_member(step: &mut Step<'_>, group: &mut Group, asker: Waiter, request: SyncGroupRequest) {
    let id = request.member_id;
    group.unsynced.remove(&id);
    if group.unsynced.is_empty() {
        step.soft.timers.cancel(&Timer::Sync(group.id.clone()));
    }
    let is_leader = group.is_leader(&id);
    let is_stable = group.phase == Phase::Stable;
    let member = group.members.get_mut(&id).expect("it was checked that it is a member");
    if is_stable {
        let assignment = member.assignment.clone();
        step.reply(asker, Reply::SyncGroup(group.assigned(assignment)));
        return group.may_be_settled(step);
    }
    if let Some(before) = member.syncing.replace(asker) {
        refuse(step, before, ErrorCode::RebalanceInProgress);
    }
    if is_leader {
        let assigned = request.assignments.into_iter().map(|given| (given.member_id, given.assignment));
        assign(step, group, assigned.collect());
    }
}

/// Makes the assignment true, and gives it to those who wait for it.
fn assign(step: &mut Step<'_>, group: &mut Group, assignments: BTreeMap<Arc<str>, Bytes>) {
    let record = group.record(&assignments);
    if record.bytes_max() > step.soft.config.batch_bytes_max {
        group.because(step, Reason::of_group(What::TooLarge));
        group.answer_syncs(step, ErrorCode::UnknownServerError);
        return prepare(step, group);
    }
    step.log.write(record);
    for id in group.members.ids() {
        let member = group.members.get_mut(&id).expect("the id of a member");
        member.assignment = assignments.get(&id).cloned().unwrap_or_default();
    }
    group.enter(step, Phase::Stable);
    group.answer_syncs(step, ErrorCode::None);
    group.was_assigned(step);
}

pub(super) fn refuse(step: &mut Step<'_>, asker: Waiter, code: ErrorCode) {
    step.reply(asker, Reply::SyncGroup(SyncGroupResponse { error_code: code.code(), ..Default::default() }));
}

impl Group {
    /// Answers all who wait for their assignment. Their sessions begin anew: while they waited they had no end.
    pub(super) fn answer_syncs(&mut self, step: &mut Step<'_>, code: ErrorCode) {
        for id in self.members.ids() {
            let member = self.members.get_mut(&id).expect("the id of a member");
            let Some(waiter) = member.syncing.take() else { continue };
            let assignment = member.assignment.clone();
            match code {
                ErrorCode::None => step.reply(waiter, Reply::SyncGroup(self.assigned(assignment))),
                code => refuse(step, waiter, code),
            }
            self.heard_of(step, &id);
        }
    }

    fn assigned(&self, assignment: Bytes) -> SyncGroupResponse {
        SyncGroupResponse {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            assignment,
            ..Default::default()
        }
    }

    pub(super) fn assignments(&self) -> BTreeMap<Arc<str>, Bytes> {
        self.members.iter().map(|member| (member.id.clone(), member.assignment.clone())).collect()
    }
}
