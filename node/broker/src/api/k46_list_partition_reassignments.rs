//! ListPartitionReassignments: the partitions that are getting other brokers (KIP-455). Version 0.
//!
//! There is one broker: none are.

use ottla_wire::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::ListPartitionReassignments, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, _: ListPartitionReassignmentsRequest) -> ListPartitionReassignmentsResponse {
    let may = ctx.may(Operation::Describe, Resource::Cluster);
    let error = if may { ErrorCode::None } else { ErrorCode::ClusterAuthorizationFailed };
    ListPartitionReassignmentsResponse { error_code: error.code(), error_message: None, ..Default::default() }
}
