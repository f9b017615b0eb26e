//! DescribeGroups: classic groups with their members. Versions 0-6.

use ottla_group::DescribeGroups;
use ottla_wire::messages::describe_groups_response::DescribedGroup;
use ottla_wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::answer_room::AnswerRoom;
use super::{Api, Run};
use crate::coordinate::groups::ask;
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::DescribeGroups, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    let mut room = AnswerRoom::default();
    for id in request.groups {
        let may = ctx.may(Operation::Describe, Resource::Group(&id));
        let described = if let Err(error) = room.check() {
            Err(error)
        } else if may {
            let request = DescribeGroupsRequest { groups: vec![id.clone()], ..Default::default() };
            let describe = DescribeGroups { request, version: ctx.version };
            ask!(ctx.broker.groups, &id, DescribeGroups(describe))
        } else {
            Err(ErrorCode::GroupAuthorizationFailed)
        };
        let described = described.map(|response| response.groups.into_iter().next().unwrap_or_default());
        let described = described.and_then(|group| room.take(bytes(&group)).map(|()| group));
        let mut described = described.unwrap_or_else(|error| DescribedGroup {
            error_code: error.code(),
            group_id: id.clone(),
            group_state: "Dead".into(),
            ..Default::default()
        });
        if request.include_authorized_operations && described.error_code == ErrorCode::None.code() {
            described.authorized_operations = ctx.authorized_operations(Resource::Group(&id));
        }
        groups.push(described);
    }
    DescribeGroupsResponse { groups, ..Default::default() }
}

/// About as many as it has on the wire.
fn bytes(group: &DescribedGroup) -> usize {
    const NUMBERS: usize = 32;
    let members = group.members.iter().map(|member| {
        let texts = member.member_id.len() + member.client_id.len() + member.client_host.len();
        NUMBERS + texts + member.member_metadata.len() + member.member_assignment.len()
    });
    NUMBERS + group.group_id.len() + members.sum::<usize>()
}
