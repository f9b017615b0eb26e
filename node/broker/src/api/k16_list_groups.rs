//! ListGroups: the groups whose coordinator this broker is. Versions 0-5, filters by state and by type (KIP-518, KIP-848).

use ottla_group::{Command, Reply};
use ottla_wire::messages::{ListGroupsRequest, ListGroupsResponse, ListedGroup};
use ottla_wire::{ApiKey, ErrorCode};

use super::answer_room::AnswerRoom;
use super::{Api, Run};
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::ListGroups, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: ListGroupsRequest) -> ListGroupsResponse {
    match list(&ctx, request).await {
        Ok(groups) => ListGroupsResponse { groups, ..Default::default() },
        Err(error) => ListGroupsResponse { error_code: error.code(), ..Default::default() },
    }
}

async fn list(ctx: &Ctx, request: ListGroupsRequest) -> Result<Vec<ListedGroup>, ErrorCode> {
    let may_all = ctx.may(Operation::Describe, Resource::Cluster);
    let mut groups = Vec::new();
    let mut room = AnswerRoom::default();
    let take = |reply| match reply {
        Reply::ListGroups(response) => {
            room.take(response.groups.iter().map(bytes).sum())?;
            groups.extend(response.groups);
            Ok(())
        }
        other => panic!("a coordinator answered ListGroups with {other:?}"),
    };
    ctx.broker.groups.submit_to_all(&Command::ListGroups(request), take).await?;
    groups.retain(|group| may_all || ctx.may(Operation::Describe, Resource::Group(&group.group_id)));
    Ok(groups)
}

/// About as many as it has on the wire.
fn bytes(group: &ListedGroup) -> usize {
    const LENGTHS: usize = 10;
    LENGTHS + group.group_id.len() + group.protocol_type.len() + group.group_state.len() + group.group_type.len()
}
