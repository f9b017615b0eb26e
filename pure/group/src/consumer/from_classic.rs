//! A group id that is not a consumer group's yet.

use std::sync::Arc;

use ottla_wire::ErrorCode;
use ottla_wire::messages::ConsumerGroupHeartbeatRequest;
use ottla_wire::records::consumer_offsets::GroupMetadataKey;

use super::assign::Assignment;
use super::group::Group;
use super::heartbeat::JOIN_EPOCH;
use super::member::Member;
use super::refusal::Refusal;
use crate::groups::Step;
use crate::migrate::upgrade;
use crate::room::Room;
use crate::{Record, classic};

/// What is there instead.
pub(super) enum Predecessor {
    Nothing,
    /// A classic group without members. It may only have offsets.
    Empty,
    /// A classic group with members, which will go on in the consumer group.
    Members(Vec<(Arc<str>, Member)>),
}

impl Predecessor {
    /// What becomes of it.
    pub(super) fn group(&self) -> Group {
        let mut group = Group::default();
        if let Predecessor::Members(members) = self {
            for (id, member) in members {
                group.set_said(id, member.said.clone());
                group.set_owned(id, |owner| *owner = member.clone());
                let owned = member.assigned.iter();
                let target: Assignment =
                    owned.map(|(topic, partitions)| (*topic, partitions.keys().copied().collect())).collect();
                group.targets.insert(id.clone(), target.into());
            }
        }
        group
    }
}

/// Whether a consumer group can begin here: for a member that joins, if nothing is there that cannot become one.
pub(super) fn may_begin(
    step: &Step<'_>,
    id: &Arc<str>,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<Predecessor, Refusal> {
    let is_joining = request.member_epoch == JOIN_EPOCH;
    if !step.log.groups.contains_key(id) {
        return if is_joining { Ok(Predecessor::Nothing) } else { Err(Refusal::no_group(id)) };
    }
    if !is_joining {
        return Err(Refusal::new(ErrorCode::GroupIdNotFound, format!("Group {id} is not a consumer group.")));
    }
    let Some(group) = step.soft.classic.get(id).filter(|group| !group.is_empty()) else {
        return Ok(Predecessor::Empty);
    };
    upgrade::members(step, id, group).map(Predecessor::Members)
}

/// Ends what was there, if there is room for that and for what the one that comes needs then. Offsets stay.
pub(super) fn begin(
    step: &mut Step<'_>,
    id: &Arc<str>,
    predecessor: Predecessor,
    needs: &[Record],
    room: &mut Room,
) -> Result<(), Refusal> {
    match predecessor {
        Predecessor::Nothing => {}
        Predecessor::Empty => {
            let end = Record::GroupMetadata(GroupMetadataKey { group: id.clone() }, None);
            room.clone().take(needs.iter().chain([&end]))?;
            room.take([&end])?;
            classic::forget(step, id);
            step.log.write(end);
        }
        Predecessor::Members(members) => upgrade::convert(step, id, (&members, needs), room)?,
    }
    Ok(())
}
