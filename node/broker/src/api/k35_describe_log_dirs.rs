//! DescribeLogDirs: the log directories of this broker and what its replicas take there (KIP-113, KIP-827). Versions 1-5.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_base::Uuid;
use ottla_wire::messages::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run, outcome};
use crate::ctx::{Ctx, Operation, Resource};
use crate::directory::Directory;
use crate::directory::report::cordoned;
use crate::partition::Partition;
use crate::topics::Topic;
use crate::upkeep::moving::Move;

pub const API: Api = Api { key: ApiKey::DescribeLogDirs, run: Run::Cold(|call| call.answer(handle)) };

/// Replicas that a request may name.
const ENTRIES_MAX: usize = 10_000;

async fn handle(ctx: Ctx, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let refused = |error: ErrorCode| DescribeLogDirsResponse { error_code: error.code(), ..Default::default() };
    if !ctx.may(Operation::Describe, Resource::Cluster) {
        return refused(ErrorCode::ClusterAuthorizationFailed);
    }
    if request.topics.iter().flatten().map(|topic| topic.partitions.len()).sum::<usize>() > ENTRIES_MAX {
        return refused(ErrorCode::InvalidRequest);
    }
    let rt = ctx.broker.rt.clone();
    let results = rt.blocking(move || describe_all(&ctx, &request)).await;
    DescribeLogDirsResponse { results, ..Default::default() }
}

/// The replicas that are asked for, by the names of their topics; `None` for all.
type Asked<'r> = Option<BTreeMap<&'r str, BTreeSet<i32>>>;

fn describe_all(ctx: &Ctx, request: &DescribeLogDirsRequest) -> Vec<DescribeLogDirsResult> {
    let asked: Asked<'_> = request.topics.as_ref().map(|topics| {
        let mut asked = BTreeMap::<&str, BTreeSet<i32>>::new();
        topics.iter().for_each(|topic| asked.entry(&topic.topic).or_default().extend(&topic.partitions));
        asked
    });
    let moves = ctx.broker.moving.all();
    let cordoned = cordoned(&ctx.broker.directories, &ctx.broker.config, &ctx.broker.published().image);
    let data = ctx.broker.directories.iter().filter(|directory| directory.is_data);
    let opened = data.map(|directory| {
        let is_cordoned = cordoned.contains(&directory.id);
        DescribeLogDirsResult { is_cordoned, ..describe(ctx, &asked, directory, &moves) }
    });
    let unopened = ctx.broker.directories.unopened().iter().map(|unopened| offline(unopened.shown().into()));
    opened.chain(unopened).collect()
}

fn offline(log_dir: Arc<str>) -> DescribeLogDirsResult {
    DescribeLogDirsResult { error_code: outcome::STORAGE.code(), log_dir, ..Default::default() }
}

fn describe(ctx: &Ctx, asked: &Asked<'_>, directory: &Arc<Directory>, moves: &[Arc<Move>]) -> DescribeLogDirsResult {
    let log_dir: Arc<str> = directory.shown().into();
    let (disk, path) = (directory.log_dir.disk(), directory.path());
    let space = disk.total_bytes(path).and_then(|total| Ok((total, disk.free_bytes(path)?)));
    let Some((total_bytes, usable_bytes)) = space.ok().filter(|_| !directory.has_failed()) else {
        return offline(log_dir);
    };
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    DescribeLogDirsResult {
        log_dir,
        topics: topics(ctx, asked, directory, moves),
        total_bytes: bytes(total_bytes),
        usable_bytes: bytes(usable_bytes),
        ..Default::default()
    }
}

/// Those that are asked for, each once; all if none is named. Of a topic that has no replica in the directory, nothing.
fn topics(ctx: &Ctx, asked: &Asked<'_>, directory: &Arc<Directory>, moves: &[Arc<Move>]) -> Vec<DescribeLogDirsTopic> {
    let published = ctx.broker.published();
    let mut coming = BTreeMap::<Uuid, Vec<&Arc<Move>>>::new();
    for one in moves.iter().filter(|one| Arc::ptr_eq(&one.to, directory)) {
        coming.entry(one.replica.topic).or_default().push(one);
    }
    let mut topics: Vec<&Arc<Topic>> = published.topics.iter().collect();
    topics.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let described = topics.into_iter().filter_map(|topic| {
        let wanted = match asked {
            Some(asked) => Some(asked.get(&*topic.name)?),
            None => None,
        };
        let is_wanted = |partition: &&Arc<Partition>| wanted.is_none_or(|wanted| wanted.contains(&partition.index));
        let open = topic.partitions.iter().flatten().filter(is_wanted);
        let here = open.filter(|partition| Arc::ptr_eq(&partition.home, directory));
        let mut partitions: Vec<_> = here.map(|partition| replica(partition)).collect();
        let coming = coming.get(&topic.id).into_iter().flatten();
        partitions.extend(coming.filter_map(|one| {
            let partition = topic.partition(one.replica.index).ok().filter(is_wanted)?;
            Some(future(partition, one))
        }));
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

/// A copy in the making.
fn future(partition: &Partition, one: &Move) -> DescribeLogDirsPartition {
    let copied_to = one.copied_to.load(Ordering::Relaxed);
    DescribeLogDirsPartition {
        partition_index: partition.index,
        partition_size: i64::try_from(one.copied_bytes.load(Ordering::Relaxed)).unwrap_or(i64::MAX),
        offset_lag: (partition.reader.end().offset - copied_to).max(0),
        is_future_key: true,
        ..Default::default()
    }
}
