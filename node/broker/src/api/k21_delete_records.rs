//! DeleteRecords: partitions begin later (KIP-107, KIP-204). Versions 0-2.
//!
//! Where a log begins is on the disk when this is answered.

use std::sync::Arc;

use ottla_storage::LogError;
use ottla_wire::messages::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use ottla_wire::{ApiKey, ErrorCode, TopicKey};

use super::{Api, Run, outcome};
use crate::ctx::{Ctx, Operation, Resource};
use crate::directory::Directory;
use crate::partition::{Partition, Trimmed};

pub const API: Api = Api { key: ApiKey::DeleteRecords, run: Run::Cold(|call| call.answer(handle)) };

/// Everything that can be read.
const HIGH_WATERMARK: i64 = -1;
/// The low watermark of a partition of which nothing was deleted.
const NO_LOW_WATERMARK: i64 = -1;

async fn handle(ctx: Ctx, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let broker = ctx.broker.clone();
    let topics = broker.rt.clone().blocking(move || delete_all(&ctx, &request)).await;
    DeleteRecordsResponse { topics, ..Default::default() }
}

/// Where a log begins is written down for a log that says whose it is. One that was never flushed may be gone after a loss of
/// power, and its offsets would be given twice.
fn is_unsynced(partition: &Partition) -> bool {
    partition.reader.recovery_point() < partition.reader.start()
}

/// Blocks for as long as the disk takes.
fn delete_all(ctx: &Ctx, request: &DeleteRecordsRequest) -> Vec<DeleteRecordsTopicResult> {
    // Those that may not begin here after a loss of power: by this request, or one before it that failed.
    let mut unwritten = Vec::<Arc<Partition>>::new();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let deleted = find(ctx, &topic.name, asked.partition_index)
                .and_then(|partition| delete(&partition, asked.offset).map(|trimmed| (partition, trimmed)));
            let low = deleted.map(|(partition, trimmed)| {
                let start = trimmed.start;
                ctx.broker.trimming.follow_up(&partition, trimmed);
                let is_written = partition.home.checkpoints.has_start(&partition.directory(), start);
                if !is_written || is_unsynced(&partition) {
                    unwritten.push(partition);
                }
                start
            });
            DeleteRecordsPartitionResult {
                partition_index: asked.partition_index,
                low_watermark: low.unwrap_or(NO_LOW_WATERMARK),
                error_code: low.err().unwrap_or(ErrorCode::None).code(),
                ..Default::default()
            }
        });
        DeleteRecordsTopicResult { name: topic.name.clone(), partitions: partitions.collect(), ..Default::default() }
    });
    let mut topics: Vec<_> = topics.collect();
    let mut written = Vec::<(Arc<Directory>, Result<(), LogError>)>::new();
    for partition in unwritten {
        let (home, topic, index) = (&partition.home, &partition.topic, partition.index);
        let at = written.iter().position(|(directory, _)| Arc::ptr_eq(directory, home)).unwrap_or_else(|| {
            let outcome = ctx.broker.trimming.checkpoint_in(home, &ctx.broker.published());
            written.push((home.clone(), outcome));
            written.len() - 1
        });
        let synced = if is_unsynced(&partition) { partition.reader.flush().map(drop) } else { Ok(()) };
        let kept = match written[at].1.as_ref().and(synced.as_ref()) {
            // Of one that was taken offline meanwhile nothing was written down: it may begin where it began before.
            Ok(_) => partition.marks().map(drop),
            Err(error) => {
                tracing::error!(%topic, partition = index, "cannot write down where the log begins: {error}");
                // It does begin there, but perhaps not after a crash.
                Err(outcome::of_storage(error))
            }
        };
        if let Err(error) = kept {
            let of_topic =
                topics.iter_mut().filter(|result| result.name == *topic).flat_map(|result| &mut result.partitions);
            of_topic.filter(|partition| partition.partition_index == index).for_each(|partition| {
                partition.error_code = error.code();
                partition.low_watermark = NO_LOW_WATERMARK;
            });
        }
    }
    topics
}

fn find(ctx: &Ctx, topic: &str, index: i32) -> Result<Arc<Partition>, ErrorCode> {
    if !ctx.may(Operation::Delete, Resource::Topic(topic)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let published = ctx.broker.published();
    let found = published.topics.find(TopicKey::Name(topic)).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    found.partition(index).cloned()
}

fn delete(partition: &Partition, offset: i64) -> Result<Trimmed, ErrorCode> {
    if !partition.settings().config.delete {
        // Of a log that is only compacted nothing goes for its age.
        return Err(ErrorCode::PolicyViolation);
    }
    match offset {
        HIGH_WATERMARK => partition.delete_records(None),
        0.. => partition.delete_records(Some(offset)),
        _ => Err(ErrorCode::OffsetOutOfRange),
    }
}
