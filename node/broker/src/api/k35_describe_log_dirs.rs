//! DescribeLogDirs: the log directories of this broker and what its replicas take there (KIP-113, KIP-827). Versions 1-5.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_wire::messages::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run, outcome};
use crate::ctx::{Ctx, Operation, Resource};
use crate::partition::Partition;
use crate::topics::Topic;

pub const API: Api = Api { key: ApiKey::DescribeLogDirs, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    if !ctx.may(Operation::Describe, Resource::Cluster) {
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        return DescribeLogDirsResponse { error_code, ..Default::default() };
    }
    let rt = ctx.broker.rt.clone();
    let results = rt.blocking(move || vec![describe(&ctx, &request)]).await;
    DescribeLogDirsResponse { results, ..Default::default() }
}

fn describe(ctx: &Ctx, request: &DescribeLogDirsRequest) -> DescribeLogDirsResult {
    let dir = &ctx.broker.dir;
    let log_dir: Arc<str> = dir.path().to_string_lossy().into();
    let (disk, path) = (dir.disk(), dir.path());
    let space = disk.total_bytes(path).and_then(|total| Ok((total, disk.free_bytes(path)?)));
    let error = if space.is_ok() { ErrorCode::None } else { outcome::STORAGE };
    let (total_bytes, usable_bytes) = space.unwrap_or_default();
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    DescribeLogDirsResult {
        error_code: error.code(),
        log_dir,
        topics: topics(ctx, request),
        total_bytes: bytes(total_bytes),
        usable_bytes: bytes(usable_bytes),
        ..Default::default()
    }
}

/// Those that are asked for, each once; all if none is named.
fn topics(ctx: &Ctx, request: &DescribeLogDirsRequest) -> Vec<DescribeLogDirsTopic> {
    let published = ctx.broker.published();
    let asked: Option<BTreeMap<&str, Vec<i32>>> = request.topics.as_ref().map(|topics| {
        let mut asked = BTreeMap::<&str, Vec<i32>>::new();
        topics.iter().for_each(|topic| asked.entry(&topic.topic).or_default().extend(&topic.partitions));
        asked
    });
    let mut topics: Vec<&Arc<Topic>> = published.topics.iter().collect();
    topics.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let described = topics.into_iter().filter_map(|topic| {
        let wanted = match &asked {
            Some(asked) => Some(asked.get(&*topic.name)?),
            None => None,
        };
        let is_wanted = |partition: &&Arc<Partition>| wanted.is_none_or(|wanted| wanted.contains(&partition.index));
        let open = topic.partitions.iter().flatten().filter(is_wanted);
        let partitions: Vec<_> = open.map(|partition| replica(partition)).collect();
        let name = topic.name.clone();
        (!partitions.is_empty()).then(|| DescribeLogDirsTopic { name, partitions, ..Default::default() })
    });
    described.collect()
}

/// One that leads is behind nobody.
fn replica(partition: &Partition) -> DescribeLogDirsPartition {
    let segments = partition.reader.segments().unwrap_or_default();
    let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    DescribeLogDirsPartition {
        partition_index: partition.index,
        partition_size: i64::try_from(bytes).unwrap_or(i64::MAX),
        offset_lag: 0,
        is_future_key: false,
        ..Default::default()
    }
}
