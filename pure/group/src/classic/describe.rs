//! DescribeGroups: groups with their members, as they are now.
//!
//! What members say of themselves is shown while the group is stable; before that they may not have the same protocol.
//! What they were assigned last is shown always. Until version 5 a group that there is not is a dead one, without an error (KIP-1043).

use std::sync::Arc;

use ottla_wire::ErrorCode;
use ottla_wire::messages::describe_groups_response::DescribedGroup;
use ottla_wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroupMember};

use super::roster::Member;
use super::{Group, Phase, put, take};
use crate::groups::Step;

/// First version in which a group that there is not is an error.
const GROUP_ID_NOT_FOUND_FROM: i16 = 6;

/// The request. Authorized operations are for the caller to fill in.
#[derive(Clone, Debug)]
pub struct DescribeGroups {
    pub request: DescribeGroupsRequest,
    pub version: i16,
}

pub(crate) fn decide(step: &mut Step<'_>, describe: DescribeGroups) -> DescribeGroupsResponse {
    let DescribeGroups { request, version } = describe;
    let groups = request.groups.into_iter().map(|id| match take(step, &id) {
        Some(group) => {
            let described = described(&group);
            put(step, group);
            described
        }
        None => missing(step, id, version),
    });
    DescribeGroupsResponse { groups: groups.collect(), ..Default::default() }
}

fn described(group: &Group) -> DescribedGroup {
    let protocol = group.protocol.as_ref().filter(|_| group.phase == Phase::Stable);
    DescribedGroup {
        group_id: group.id.clone(),
        group_state: group.phase.name().into(),
        protocol_type: group.protocol_type_or_empty(),
        protocol_data: protocol.cloned().unwrap_or_default(),
        members: group.members.iter().map(|member| described_member(member, protocol)).collect(),
        ..Default::default()
    }
}

fn described_member(member: &Member, protocol: Option<&Arc<str>>) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: member.id.clone(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        member_metadata: protocol.map(|protocol| member.metadata(protocol)).unwrap_or_default(),
        member_assignment: member.assignment.clone(),
        ..Default::default()
    }
}

fn missing(step: &Step<'_>, id: Arc<str>, version: i16) -> DescribedGroup {
    let (code, message) = match version {
        ..GROUP_ID_NOT_FOUND_FROM => (ErrorCode::None, None),
        _ if step.log.consumer.contains_key(&id) => {
            (ErrorCode::GroupIdNotFound, Some(format!("Group {id} is not a classic group.").into()))
        }
        _ => (ErrorCode::GroupIdNotFound, Some(format!("Group {id} not found.").into())),
    };
    let error_code = code.code();
    DescribedGroup {
        error_code,
        error_message: message,
        group_id: id,
        group_state: "Dead".into(),
        ..Default::default()
    }
}
