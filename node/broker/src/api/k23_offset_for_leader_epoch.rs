//! OffsetForLeaderEpoch: where a leader's epoch ended, for a client that fears that its log was truncated (KIP-320).
//! Versions 2-4. From followers it comes with replication.

use ottla_base::LeaderEpoch;
use ottla_partition::EpochEnd;
use ottla_wire::messages::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};
use ottla_wire::{ApiKey, ErrorCode, TopicKey};

use super::{Api, Run, outcome};
use crate::ctx::{Ctx, Operation, Resource};
use crate::topics::{Published, Topic};

pub const API: Api = Api { key: ApiKey::OffsetForLeaderEpoch, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let published = ctx.broker.published();
    let topics = request.topics.into_iter().map(|topic| {
        let found = find(&ctx, &published, &topic.topic);
        let partitions = topic.partitions.iter().map(|asked| {
            let (end, error) = match found.and_then(|topic| one(topic, asked)) {
                Ok(end) => (end, ErrorCode::None),
                Err(error) => (None, error),
            };
            EpochEndOffset {
                error_code: error.code(),
                partition: asked.partition,
                leader_epoch: end.map_or(-1, |end| end.epoch.0),
                end_offset: end.map_or(-1, |end| end.end_offset),
                ..Default::default()
            }
        });
        OffsetForLeaderTopicResult {
            partitions: partitions.collect(),
            topic: topic.topic.clone(),
            ..Default::default()
        }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}

fn find<'p>(ctx: &Ctx, published: &'p Published, topic: &str) -> Result<&'p Topic, ErrorCode> {
    if !ctx.may(Operation::Describe, Resource::Topic(topic)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    published.topics.find(TopicKey::Name(topic)).map(|topic| &**topic).ok_or(ErrorCode::UnknownTopicOrPartition)
}

fn one(topic: &Topic, asked: &OffsetForLeaderPartition) -> Result<Option<EpochEnd>, ErrorCode> {
    let partition = topic.partition(asked.partition)?;
    partition.marks()?.check_epoch(LeaderEpoch(asked.current_leader_epoch)).map_err(outcome::of_epoch)?;
    partition.end_offset_for(LeaderEpoch(asked.leader_epoch))
}
