//! ListOffsets: offsets by time, and the ends of a log.
//!
//! Versions 1-11 (KIP-79, KIP-734, KIP-405, KIP-1005, KIP-1023). The times below zero ask for an end; each came with a
//! version, and a request of an earlier one that has it is refused for that partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_base::LeaderEpoch;
use ottla_storage::disk::Wait;
use ottla_storage::{LogError, Stamped};
use ottla_wire::messages::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use ottla_wire::{ApiKey, ErrorCode, TopicKey};

use super::{Api, Run, outcome};
use crate::ctx::{Ctx, Operation, Resource};
use crate::partition::{Isolation, Partition};
use crate::topics::Topic;

pub const API: Api = Api { key: ApiKey::ListOffsets, run: Run::Cold(|call| call.answer(handle)) };

/// What a time asks for.
enum Asked {
    Latest,
    Earliest,
    MaxTimestamp,
    /// Of the tiered part of the log, which there is none of.
    Tiered,
    AtOrAfter(i64),
}

impl Asked {
    fn of(timestamp: i64, version: i16) -> Result<Asked, ErrorCode> {
        match timestamp {
            -1 => Ok(Asked::Latest),
            -2 => Ok(Asked::Earliest),
            -3 if version >= 7 => Ok(Asked::MaxTimestamp),
            // The earliest that is on the broker's own disks: all of it is.
            -4 if version >= 8 => Ok(Asked::Earliest),
            -5 if version >= 9 => Ok(Asked::Tiered),
            -6 if version >= 11 => Ok(Asked::Tiered),
            0.. => Ok(Asked::AtOrAfter(timestamp)),
            _ => Err(ErrorCode::UnsupportedVersion),
        }
    }
}

async fn handle(ctx: Ctx, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    // By topic and then by partition: names are as long as a client likes, and should not be compared for each partition.
    let mut times = BTreeMap::<Arc<str>, BTreeMap<i32, usize>>::new();
    for topic in &request.topics {
        let times = times.entry(topic.name.clone()).or_default();
        topic.partitions.iter().for_each(|asked| *times.entry(asked.partition_index).or_default() += 1);
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        let found = find(&ctx, &topic.name);
        let times = times.entry(topic.name.clone()).or_default();
        for asked in topic.partitions {
            let index = asked.partition_index;
            let answer = match (times.insert(index, 0), &found) {
                (Some(0), _) => continue,
                (Some(1), Ok(topic)) => one(&ctx, topic, asked, isolation).await,
                (Some(1), Err(error)) => Err(*error),
                _ => Err(ErrorCode::InvalidRequest),
            };
            partitions.push(answer.unwrap_or_else(|error| refused(index, error)));
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions, ..Default::default() });
    }
    ListOffsetsResponse { topics, ..Default::default() }
}

async fn one(
    ctx: &Ctx,
    topic: &Topic,
    asked: ListOffsetsPartition,
    isolation: Isolation,
) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
    let partition = topic.partition(asked.partition_index)?;
    let marks = partition.marks()?;
    marks.check_epoch(LeaderEpoch(asked.current_leader_epoch)).map_err(outcome::of_epoch)?;
    let end = isolation.end(&marks);
    // Records that are not to be seen yet are as if they were not there.
    let is_seen = |(offset, ..): &(i64, i64, i32)| *offset < end;
    let found = match Asked::of(asked.timestamp, ctx.version)? {
        Asked::Latest => Some((end, -1, partition.latest_epoch()?)),
        Asked::Earliest => Some((marks.start, -1, partition.epoch_for(marks.start)?)),
        Asked::Tiered => None,
        Asked::MaxTimestamp => {
            let largest = look_up(ctx, partition, |partition| partition.reader.max_timestamp(Wait::Yes)).await?;
            largest.filter(is_seen)
        }
        Asked::AtOrAfter(timestamp) => {
            let limit = partition.readable_end();
            let first =
                look_up(ctx, partition, move |partition| partition.reader.find_timestamp(timestamp, limit, Wait::Yes))
                    .await?;
            first.filter(is_seen)
        }
    };
    let (offset, timestamp, epoch) = found.unwrap_or((-1, -1, -1));
    Ok(ListOffsetsPartitionResponse {
        partition_index: asked.partition_index,
        offset,
        timestamp,
        leader_epoch: epoch,
        ..Default::default()
    })
}

async fn look_up(
    ctx: &Ctx,
    partition: &Arc<Partition>,
    search: impl FnOnce(&Partition) -> Result<Option<Stamped>, LogError> + Send + 'static,
) -> Result<Option<(i64, i64, i32)>, ErrorCode> {
    let partition = partition.clone();
    let found = ctx.broker.rt.blocking(move || search(&partition)).await;
    let found = found.map_err(|error| outcome::of_storage(&error))?;
    Ok(found.map(|Stamped { offset, timestamp, leader_epoch }| (offset, timestamp, leader_epoch)))
}

fn find(ctx: &Ctx, topic: &str) -> Result<Arc<Topic>, ErrorCode> {
    if !ctx.may(Operation::Describe, Resource::Topic(topic)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let published = ctx.broker.published();
    published.topics.find(TopicKey::Name(topic)).cloned().ok_or(ErrorCode::UnknownTopicOrPartition)
}

fn refused(index: i32, error: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse { partition_index: index, error_code: error.code(), ..Default::default() }
}
