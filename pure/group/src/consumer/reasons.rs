//! Takes note of why a group shares anew ([`crate::history`]), and of partitions on their way.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::records::consumer_offsets::ConsumerGroupMemberMetadataValue;

use super::group::Group;
use super::member::Member;
use crate::groups::Step;
use crate::history::{Protocol, Reason, What, Who};

/// The group's epoch rises for this reason, or nobody has to notice. Said before it does.
pub(crate) fn because(step: &mut Step<'_>, group_id: &Arc<str>, reason: Reason) {
    let epoch = step.log.consumer.get(group_id).map_or_else(|| Group::default().epoch, |group| group.epoch);
    step.soft.history.noted(step.now, group_id, (Protocol::Consumer, epoch), reason);
}

/// The same of a member, if it is one.
pub(crate) fn because_of(step: &mut Step<'_>, group_id: &Arc<str>, member_id: &Arc<str>, what: What) {
    let member = step.log.consumer.get(group_id).and_then(|group| group.members.get(member_id));
    if let Some(who) = member.map(|member| who(member_id, &member.said)) {
        because(step, group_id, Reason::of(what, who));
    }
}

pub(crate) fn who(id: &Arc<str>, said: &ConsumerGroupMemberMetadataValue) -> Who {
    Who::new(id, said.instance_id.as_ref(), (&said.client_id, &said.client_host))
}

/// The member moves on from what it owned to what it owns now.
pub(super) fn moves(step: &mut Step<'_>, group_id: &Arc<str>, before: &Member, next: &Member) {
    let partitions = |member: &Member| member.partitions().collect::<BTreeSet<(Uuid, i32)>>();
    let (had, has) = (partitions(before), partitions(next));
    step.soft.history.freed(step.now, group_id, had.difference(&has).copied());
    step.soft.history.taken(step.now, group_id, has.difference(&had).copied());
}
