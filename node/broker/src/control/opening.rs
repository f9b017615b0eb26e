//! Opening the metadata log, which says what all other logs are.
//!
//! A log of records may be cut where it is damaged: what a crash has torn was never promised. The same done here would make
//! topics vanish, and taking a directory whose log is gone for a new one would make all of them vanish, with no word. So
//! everything is read and found good before the first write; what had been synced must be there (the recovery point is
//! kept as for other logs); and a log without records is new only if nothing in the directory shows that it had some.
//! To be able to tell, this node becomes the leader in `quorum-state` only when the first batch of the log is synced; until
//! then it is a candidate, as in Kafka.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_base::{NodeId, Uuid};
use ottla_machine::{At, Load};
use ottla_metadata::{Controller, Image};
use ottla_rt::Rt;
use ottla_storage::checkpoint::quorum::QuorumState;
use ottla_storage::checkpoint::{clean, meta, quorum, topic_id};
use ottla_storage::{Checkpointed, Log, LogDir, LogError, LogOptions};
use tokio::sync::Notify;

use super::host::Host;
use super::log::{LoadError, MetadataLog, load};
use crate::checkpoints::Checkpoints;
use crate::reading::ReadingError;

pub const DIR: &str = "__cluster_metadata-0";

/// The metadata log is one segment until it is trimmed by snapshots.
const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 1 << 30,
    segment_ms: i64::MAX,
    index_bytes: 10 << 20,
    index_interval_bytes: 4096,
    reserve_bytes: 1 << 20,
    preallocate: false,
};
const SEGMENT: &str = "00000000000000000000.log";

/// Why a directory is not opened. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Log(LogError),
    #[error("{cause}. {ADVICE}")]
    Damaged { cause: LogError },
    #[error("{path}: {cause}. {ADVICE}")]
    Contents { path: PathBuf, cause: LoadError },
    /// For now, or by this version.
    #[error("{path}: {cause}")]
    Unreadable { path: PathBuf, cause: LoadError },
    #[error("{path} has no records, but {witness} shows that it had some. {ADVICE}")]
    Lost { path: PathBuf, witness: PathBuf },
    #[error("{meta} is missing, and {log} has records: nobody can tell which cluster this is. {ADVICE}")]
    Nobodys { meta: PathBuf, log: PathBuf },
    #[error(
        "{0} shows that Apache Kafka has formatted this directory, which Ottla cannot take over. Set log.dirs to another"
    )]
    Foreign(PathBuf),
    #[error("{path} begins at offset {start}: what was before is in snapshots, which Ottla cannot read")]
    Trimmed { path: PathBuf, start: i64 },
    #[error("the metadata log is in its last epoch")]
    LastEpoch,
}

const ADVICE: &str = "Nothing was changed. Restore the directory from a backup; \
                      or, if all topics may go, move it away to begin anew";

impl From<LogError> for OpenError {
    fn from(error: LogError) -> OpenError {
        match error {
            LogError::Corrupt { .. } | LogError::Lost { .. } => OpenError::Damaged { cause: error },
            error => OpenError::Log(error),
        }
    }
}

/// A log directory, as it was found.
#[derive(Debug)]
pub struct Found<'a> {
    pub dir: &'a Arc<LogDir>,
    pub meta: &'a meta::Meta,
    /// `meta` was made up: the directory does not say whose it is.
    pub is_new: bool,
    pub checkpoints: &'a Checkpoints,
}

/// The controller at the beginning of its new epoch.
#[derive(Debug)]
pub struct Opened {
    pub host: Host,
    pub image: Image,
    /// Broker epoch of the last stop, if that was clean.
    pub clean_epoch: Option<i64>,
}

/// Loads the controller from the metadata log, and begins a new epoch of it.
pub fn open(rt: &Rt, found: &Found<'_>, flush_asked: Arc<Notify>) -> Result<Opened, OpenError> {
    let Found { dir, meta, is_new, checkpoints } = *found;
    let (disk, path) = (dir.disk(), dir.path().join(DIR));
    let quorum = quorum::load(disk, &path)?;
    let segment = path.join(SEGMENT);
    let snapshots = snapshots(dir)?;
    if !dir.has_records(DIR)? {
        if let Some(snapshot) = snapshots.first() {
            return Err(OpenError::Foreign(snapshot.path.clone()));
        }
        if let Some(witness) = witness_of_records(dir, quorum.as_ref())? {
            return Err(OpenError::Lost { path: segment, witness });
        }
    } else if is_new {
        return Err(OpenError::Nobodys { meta: dir.path().join(meta::FILE), log: segment });
    }
    let recovery_point = checkpoints.known(DIR).recovery_point;
    let kept = snapshots.iter().map(|snapshot| snapshot.end).fold(recovery_point, i64::max);
    let (log, recovered) =
        Log::open(dir, DIR, OPTIONS, Checkpointed { recovery_point, kept, ..Checkpointed::default() })?;
    if log.reader().start() > 0 {
        return Err(OpenError::Trimmed { path, start: log.reader().start() });
    }
    let (mut image, mut machine) = (Image::default(), Load::<Controller>::default());
    let loaded = load(&log.reader(), |offset, record| {
        image.apply(At { offset }, &record)?;
        machine.replay(At { offset }, &record);
        Ok(())
    });
    loaded.map_err(|cause| match cause {
        LoadError::Reading(ReadingError::Log(error)) => OpenError::from(error),
        LoadError::Reading(ReadingError::Io { .. }) | LoadError::Record { .. } => {
            OpenError::Unreadable { path: segment, cause }
        }
        LoadError::Reading(ReadingError::Damaged { .. } | ReadingError::Batch { .. }) | LoadError::Apply(_) => {
            OpenError::Contents { path: segment, cause }
        }
    })?;

    // All is well. Until here nothing was written; only a tail that a crash has torn was cut.
    if recovered.bytes_cut > 0 {
        tracing::warn!("cut {} torn bytes from the metadata log", recovered.bytes_cut);
    }
    if is_new {
        meta::store(disk, dir.path(), meta)?;
    }
    let clean_epoch = clean::take(disk, dir.path())?;
    if topic_id::load(disk, &path)?.is_none() {
        topic_id::store(disk, &path, Uuid::METADATA_TOPIC)?;
    }
    let last_epoch = quorum.map_or(0, |state| state.leader_epoch);
    let leader_epoch = last_epoch.checked_add(1).ok_or(OpenError::LastEpoch)?;
    let log = begin_epoch(rt, found, log, leader_epoch)?;
    Ok(Opened { host: Host::new(rt.clone(), log, machine, flush_asked), image, clean_epoch })
}

/// The quorum has one voter: it leads at once, in an epoch that is on the disk before anything is written in it.
fn begin_epoch(rt: &Rt, found: &Found<'_>, log: Log, leader_epoch: i32) -> Result<MetadataLog, LogError> {
    let Found { dir, meta, .. } = *found;
    let (disk, path) = (dir.disk(), dir.path().join(DIR));
    let node_id = NodeId(meta.node_id);
    let is_first = log.end().offset == 0;
    let mut log = MetadataLog::new(log, leader_epoch);
    let leader = QuorumState { leader_id: meta.node_id, leader_epoch, voted_id: -1, voted_directory_id: Uuid::ZERO };
    if is_first {
        let (voted_id, voted_directory_id) = (meta.node_id, meta.directory_id);
        quorum::store(disk, &path, &QuorumState { leader_id: -1, leader_epoch, voted_id, voted_directory_id })?;
        log.append_leader_change(node_id, rt.now().wall_ms)?;
        log.flush()?;
        quorum::store(disk, &path, &leader)?;
    } else {
        quorum::store(disk, &path, &leader)?;
        log.append_leader_change(node_id, rt.now().wall_ms)?;
    }
    Ok(log)
}

/// A file with the state of the log before an offset. Ottla makes none yet.
struct Snapshot {
    path: PathBuf,
    end: i64,
}

fn snapshots(dir: &LogDir) -> Result<Vec<Snapshot>, LogError> {
    let in_dir = |name: &str| -> Result<Vec<Snapshot>, LogError> {
        let path = dir.path().join(name);
        let files = dir.files(name)?.into_iter().filter(|file| file.ends_with(".checkpoint"));
        Ok(files.map(|file| Snapshot { end: offset_in(&file), path: path.join(file) }).collect())
    };
    // `bootstrap.checkpoint`, then `<offset>-<epoch>.checkpoint`.
    Ok([in_dir("")?, in_dir(DIR)?].into_iter().flatten().collect())
}

fn offset_in(file: &str) -> i64 {
    file.split_once('-').and_then(|(offset, _)| offset.parse().ok()).unwrap_or(0)
}

/// What is in a directory only once its metadata log has records.
fn witness_of_records(dir: &LogDir, quorum: Option<&QuorumState>) -> Result<Option<PathBuf>, LogError> {
    if quorum.is_some_and(|state| state.leader_id >= 0) {
        return Ok(Some(dir.path().join(DIR).join(quorum::FILE)));
    }
    for name in dir.list()? {
        let path = dir.path().join(&name);
        if name != DIR && is_replica(&name) && has_id(dir, &path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn has_id(dir: &LogDir, path: &Path) -> Result<bool, LogError> {
    topic_id::load(dir.disk(), path).map(|id| id.is_some())
}

/// Whether a directory has the name of a replica: `<topic>-<partition>`.
pub fn is_replica(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(_, index)| index.parse::<u32>().is_ok())
}
