//! AlterReplicaLogDirs: replicas go to other log directories of this broker (KIP-113). Versions 1-2.
//!
//! Answered when the moves are noted, in the directories that they go to; DescribeLogDirs shows how far they are.

use std::path::Path;
use std::sync::Arc;

use ottla_wire::messages::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};
use ottla_wire::{ApiKey, ErrorCode, TopicKey};

use super::{Api, Run, outcome};
use crate::control::whereabouts::ReplicaId;
use crate::ctx::{Ctx, Operation, Resource};
use crate::directory::{Directory, report};
use crate::upkeep::moving::NotNoted;

pub const API: Api = Api { key: ApiKey::AlterReplicaLogDirs, run: Run::Cold(|call| call.answer(handle)) };

/// Directories and replicas that a request may name: each may make and remove a directory on the disks.
const ENTRIES_MAX: usize = 10_000;

async fn handle(ctx: Ctx, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let rt = ctx.broker.rt.clone();
    rt.blocking(move || alter_all(&ctx, &request)).await
}

/// Blocks for as long as the disks take.
fn alter_all(ctx: &Ctx, request: &AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let refused = if !ctx.may(Operation::Alter, Resource::Cluster) {
        Err(ErrorCode::ClusterAuthorizationFailed)
    } else if entries(request) > ENTRIES_MAX {
        Err(ErrorCode::PolicyViolation)
    } else {
        Ok(())
    };
    let topics = request.dirs.iter().flat_map(|dir| {
        let to = refused.and_then(|()| find_directory(ctx, &dir.path));
        let results = dir.topics.iter().map(move |topic| (to.clone(), topic));
        results.collect::<Vec<_>>()
    });
    let results = topics.map(|(to, topic)| {
        let partitions = topic.partitions.iter().map(|&partition_index| {
            let asked = to.as_ref().map_err(|error| *error).and_then(|to| ask(ctx, to, &topic.name, partition_index));
            let error_code = asked.err().unwrap_or(ErrorCode::None).code();
            AlterReplicaLogDirPartitionResult { partition_index, error_code, ..Default::default() }
        });
        let partitions = partitions.collect();
        AlterReplicaLogDirTopicResult { topic_name: topic.name.clone(), partitions, ..Default::default() }
    });
    AlterReplicaLogDirsResponse { results: results.collect(), ..Default::default() }
}

fn entries(request: &AlterReplicaLogDirsRequest) -> usize {
    let replicas = request.dirs.iter().flat_map(|dir| &dir.topics).map(|topic| topic.partitions.len());
    request.dirs.len() + replicas.sum::<usize>()
}

fn find_directory(ctx: &Ctx, path: &str) -> Result<Arc<Directory>, ErrorCode> {
    let directories = &ctx.broker.directories;
    let cordoned = report::cordoned(directories, &ctx.broker.config, &ctx.broker.published().image);
    if directories.unopened().iter().any(|unopened| unopened.path == Path::new(path) || unopened.shown() == path) {
        return Err(outcome::STORAGE);
    }
    let found = directories.iter().find(|dir| dir.is_data && (dir.path() == Path::new(path) || dir.shown() == path));
    match found {
        Some(directory) if directory.has_failed() => Err(outcome::STORAGE),
        // As in Kafka, what is there already among it.
        Some(directory) if cordoned.contains(&directory.id) => Err(ErrorCode::InvalidReplicaAssignment),
        Some(directory) => Ok(directory.clone()),
        None => Err(ErrorCode::LogDirNotFound),
    }
}

fn ask(ctx: &Ctx, to: &Arc<Directory>, topic: &str, index: i32) -> Result<(), ErrorCode> {
    let published = ctx.broker.published();
    let found = published.topics.find(TopicKey::Name(topic)).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = found.partition(index)?;
    let asked = ctx.broker.moving.ask(ReplicaId { topic: found.id, index }, partition, to);
    asked.map_err(|error| match error {
        // As in Kafka.
        NotNoted::NameTooLong => ErrorCode::InvalidTopicException,
        NotNoted::Log(error) => outcome::of_storage(&error),
    })
}
