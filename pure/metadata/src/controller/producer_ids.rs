//! Producer ids come in blocks, so that not every new producer costs a record.

use ottla_base::NodeId;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};
use ottla_wire::records::ProducerIdsRecord;

use super::{Step, registration};
use crate::Record;

/// Producer ids in a block. What a broker has not used of a block when it stops is never used.
const BLOCK_LEN: i32 = 1000;

pub(super) fn decide(step: &mut Step<'_>, request: AllocateProducerIdsRequest) -> AllocateProducerIdsResponse {
    match allocate(step, &request) {
        Ok(producer_id_start) => {
            AllocateProducerIdsResponse { producer_id_start, producer_id_len: BLOCK_LEN, ..Default::default() }
        }
        Err(code) => AllocateProducerIdsResponse { error_code: code.code(), ..Default::default() },
    }
}

fn allocate(step: &mut Step<'_>, request: &AllocateProducerIdsRequest) -> Result<i64, ErrorCode> {
    registration::current(step, NodeId(request.broker_id), request.broker_epoch)?;
    let start = step.log.producer_ids().next;
    let next_producer_id = start.checked_add(BLOCK_LEN.into()).ok_or(ErrorCode::UnknownServerError)?;
    step.log.write(Record::ProducerIds(ProducerIdsRecord {
        broker_id: request.broker_id,
        broker_epoch: request.broker_epoch,
        next_producer_id,
        ..Default::default()
    }));
    Ok(start)
}
