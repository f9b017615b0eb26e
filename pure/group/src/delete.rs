//! DeleteGroups: an administrator deletes groups and all that they have committed.
//!
//! A group that has members is in use, and stays. One with more offsets than a batch can end is deleted bit by bit: the
//! client is told to ask again, as it is of a coordinator that is loading.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_wire::ErrorCode;
use ottla_wire::messages::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};
use ottla_wire::records::consumer_offsets::GroupMetadataKey;

use crate::groups::Step;
use crate::room::Room;
use crate::{Record, classic, consumer};

pub(crate) fn decide(step: &mut Step<'_>, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut seen = BTreeSet::new();
    let mut room = Room::of_batch(&step.soft.config, &[]);
    let distinct = request.groups_names.into_iter().filter(|group| seen.insert(group.clone()));
    let results = distinct.map(|group| DeletableGroupResult {
        error_code: delete(step, &group, &mut room).code(),
        group_id: group,
        ..Default::default()
    });
    DeleteGroupsResponse { results: results.collect(), ..Default::default() }
}

fn delete(step: &mut Step<'_>, id: &Arc<str>, room: &mut Room) -> ErrorCode {
    let has_members = match step.log.consumer.get(id) {
        Some(group) => !group.members.is_empty(),
        None if !step.log.groups.contains_key(id) => return ErrorCode::GroupIdNotFound,
        None => step.soft.classic.get(id).is_some_and(|group| !group.is_empty()),
    };
    if has_members {
        return ErrorCode::NonEmptyGroup;
    }
    let offsets = step.log.offset_keys(id).into_iter().map(|key| Record::OffsetCommit(key, None));
    for record in offsets.chain(tombstones(step, id)).collect::<Vec<_>>() {
        if room.take(std::slice::from_ref(&record)).is_err() {
            return ErrorCode::CoordinatorLoadInProgress;
        }
        step.log.write(record);
    }
    forget(step, id);
    ErrorCode::None
}

/// Ends a group without members. Its offsets, if it has any, stay for the group of this id that comes next.
pub(crate) fn end(step: &mut Step<'_>, id: &Arc<str>) {
    tombstones(step, id).into_iter().for_each(|record| step.log.write(record));
    forget(step, id);
}

fn tombstones(step: &Step<'_>, id: &Arc<str>) -> Vec<Record> {
    match step.log.consumer.get(id) {
        Some(group) => consumer::tombstones(id, group),
        None => vec![Record::GroupMetadata(GroupMetadataKey { group: id.clone() }, None)],
    }
}

fn forget(step: &mut Step<'_>, id: &Arc<str>) {
    step.soft.consumer.remove(id);
    step.soft.history.forget(id);
    classic::forget(step, id);
}
