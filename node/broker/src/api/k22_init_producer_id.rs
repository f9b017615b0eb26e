//! InitProducerId: an id for an idempotent producer (KIP-98). Versions 0-5.
//!
//! Ids come in blocks that the controller hands out, so that none is given twice, whatever restarts. A request with a
//! transactional id is checked as in Kafka and then refused: there are no transactions yet.

use ottla_wire::messages::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::InitProducerId, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: InitProducerIdRequest) -> InitProducerIdResponse {
    match new_id(&ctx, &request).await {
        Ok(producer_id) => InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() },
        Err(error) => InitProducerIdResponse {
            error_code: error.code(),
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        },
    }
}

async fn new_id(ctx: &Ctx, request: &InitProducerIdRequest) -> Result<i64, ErrorCode> {
    match request.transactional_id.as_deref() {
        Some("") => return Err(ErrorCode::InvalidRequest),
        Some(_) if !(1..=ctx.broker.settings.transaction_ms_max).contains(&request.transaction_timeout_ms) => {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        Some(_) => return Err(ErrorCode::UnsupportedVersion),
        None => {}
    }
    if !ctx.may(Operation::IdempotentWrite, Resource::Cluster) {
        return Err(ErrorCode::ClusterAuthorizationFailed);
    }
    ctx.broker.control.next_producer_id().await
}
