//! AlterPartitionReassignments: partitions get other brokers (KIP-455). Versions 0-1.

use ottla_wire::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::AlterPartitionReassignments, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: AlterPartitionReassignmentsRequest) -> AlterPartitionReassignmentsResponse {
    if !ctx.may(Operation::Alter, Resource::Cluster) {
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        return AlterPartitionReassignmentsResponse { error_code, ..Default::default() };
    }
    ctx.broker.control.alter_partition_reassignments(request).await
}
