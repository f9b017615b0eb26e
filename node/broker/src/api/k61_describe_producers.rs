//! DescribeProducers: the idempotent producers that a partition remembers (KIP-664). Version 0.

use ottla_partition::ProducerEntry;
use ottla_wire::messages::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use ottla_wire::{ApiKey, ErrorCode, TopicKey};

use super::answer_room::AnswerRoom;
use super::{Api, Run};
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::DescribeProducers, run: Run::Cold(|call| call.answer(handle)) };

/// About as many as a producer has on the wire.
const PRODUCER_BYTES: usize = 40;

async fn handle(ctx: Ctx, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let mut room = AnswerRoom::default();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|&partition_index| {
            let found = room.check().and_then(|()| producers(&ctx, &topic.name, partition_index));
            let found = found.and_then(|found| room.take(found.len() * PRODUCER_BYTES).map(|()| found));
            let (error, active_producers) = match found {
                Ok(producers) => (ErrorCode::None, producers),
                Err(error) => (error, Vec::new()),
            };
            PartitionResponse { partition_index, error_code: error.code(), active_producers, ..Default::default() }
        });
        TopicResponse { name: topic.name.clone(), partitions: partitions.collect(), ..Default::default() }
    });
    DescribeProducersResponse { topics: topics.collect(), ..Default::default() }
}

fn producers(ctx: &Ctx, topic: &str, index: i32) -> Result<Vec<ProducerState>, ErrorCode> {
    if !ctx.may(Operation::Read, Resource::Topic(topic)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let published = ctx.broker.published();
    let found = published.topics.find(TopicKey::Name(topic)).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let mut producers = found.partition(index)?.producers()?;
    // Of each producer the batches are there from the oldest to the newest, and the newest counts.
    producers.reverse();
    producers.dedup_by_key(|entry| entry.producer_id);
    producers.reverse();
    Ok(producers.into_iter().map(state).collect())
}

fn state(entry: ProducerEntry) -> ProducerState {
    ProducerState {
        producer_id: entry.producer_id,
        producer_epoch: entry.producer_epoch.into(),
        last_sequence: entry.last_sequence,
        last_timestamp: entry.timestamp,
        coordinator_epoch: entry.coordinator_epoch,
        current_txn_start_offset: entry.transaction_first_offset,
        ..Default::default()
    }
}
