//! DeleteGroups: groups without members, with their offsets. Versions 0-2.

use std::collections::BTreeSet;

use ottla_wire::messages::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::coordinate::groups::ask;
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::DeleteGroups, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    let mut seen = BTreeSet::new();
    // A group that stands there twice is answered once, as in Kafka.
    for group_id in request.groups_names.into_iter().filter(|group| seen.insert(group.clone())) {
        let deleted = if ctx.may(Operation::Delete, Resource::Group(&group_id)) {
            let request = DeleteGroupsRequest { groups_names: vec![group_id.clone()], ..Default::default() };
            ask!(ctx.broker.groups, &group_id, DeleteGroups(request))
        } else {
            Err(ErrorCode::GroupAuthorizationFailed)
        };
        let deleted = deleted.map(|response| response.results.into_iter().next().unwrap_or_default());
        results.push(deleted.unwrap_or_else(|error| DeletableGroupResult {
            group_id,
            error_code: error.code(),
            ..Default::default()
        }));
    }
    DeleteGroupsResponse { results, ..Default::default() }
}
