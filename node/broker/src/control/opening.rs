//! Opening the metadata log, which says what all other logs are.
//!
//! A log of records may be cut where it is damaged: what a crash has torn was never promised. The same done here would make
//! topics vanish, and taking a directory whose log is gone for a new one would make all of them vanish, with no word. So
//! everything is read and found good before the first write; what had been synced must be there (the recovery point is
//! kept as for other logs, and a snapshot shows how far the log had come); and a log without records is new only if
//! nothing in the directory shows that it had some. To be able to tell, this node becomes the leader in `quorum-state` only
//! when the first batch of the log is synced; until then it is a candidate, as in Kafka.
//!
//! The directory may be Kafka's: what its log holds must be fit for this node alone ([`ottla_metadata::takeover`]). One
//! that was formatted and never started has beside its empty log what is to be written first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::host::{Begun, Host};
use super::loading::{self, LoadError, Loaded};
use super::log::MetadataLog;
use super::quorum::{Quorum, leader_change};
use super::snapshot::{self, SnapshotError};
use crate::directory::Directory;
use crate::reading::ReadingError;
use ottla_base::{NodeId, Uuid};
use ottla_config::{ServerConfig, keys};
use ottla_machine::At;
use ottla_metadata::features::METADATA_VERSION;
use ottla_metadata::takeover::{self, Unfit};
use ottla_metadata::{Image, Record};
use ottla_rt::Rt;
use ottla_storage::checkpoint::quorum::QuorumState;
use ottla_storage::checkpoint::snapshot::{self as snapshot_files, Listed};
use ottla_storage::checkpoint::{clean, meta, quorum, topic_id};
use ottla_storage::{Checkpointed, Log, LogDir, LogError, LogOptions};

pub const DIR: &str = "__cluster_metadata-0";
const SEGMENT: &str = "00000000000000000000.log";
/// What Kafka's `format` has put aside for the beginning of the log.
const BOOTSTRAP: &str = "bootstrap.checkpoint";

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
    #[error("{path}: {cause}. Nothing was changed")]
    Unfit { path: PathBuf, cause: Unfit },
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
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pub home: &'a Arc<Directory>,
    pub meta: &'a meta::Meta,
    /// `meta` was made up: the directory does not say whose it is.
    pub is_new: bool,
    pub config: &'a ServerConfig,
}

/// A metadata log that was read and found good. Nothing is written yet; only a tail that a crash has torn was cut.
#[derive(Debug)]
pub struct Sound {
    log: Log,
    loaded: Loaded,
    first_records: Vec<Record>,
    leader_epoch: i32,
    bytes_cut: u64,
    /// Of snapshots.
    leftovers: Vec<String>,
}

/// The controller at the beginning of its new epoch.
#[derive(Debug)]
pub struct Opened {
    pub host: Host,
    pub image: Image,
    /// Broker epoch of the last stop, if that was clean.
    pub clean_epoch: Option<i64>,
}

/// Reads the metadata log, and checks it.
pub fn load(found: &Found<'_>) -> Result<Sound, OpenError> {
    let Found { home, meta, is_new, config } = *found;
    let dir = &home.log_dir;
    let (disk, path) = (dir.disk(), dir.path().join(DIR));
    let quorum_state = quorum::load(disk, &path)?;
    let snapshots = snapshot_files::list(disk, &path)?;
    let node = NodeId(meta.node_id);
    let has_records = dir.has_records(DIR)?;
    if !has_records {
        check_begun(found, &snapshots, quorum_state.as_ref())?;
    } else if is_new {
        return Err(OpenError::Nobodys { meta: dir.path().join(meta::FILE), log: path.join(SEGMENT) });
    }
    let mut first_records = if has_records { Vec::new() } else { bootstrap(dir, node)? };
    let base = loading::base(dir).map_err(|cause| refusal(&path, cause))?;
    let known = home.checkpoints.known_of_metadata();
    let kept = snapshots.complete.last().map_or(0, |newest| newest.end_offset).max(known.recovery_point);
    let (log, recovered) = Log::open(dir, DIR, options(config), Checkpointed { kept, ..known })?;
    let loaded = loading::load(base, &log.reader()).map_err(|cause| refusal(&path, cause))?;
    takeover::check(loaded.image.settled(), node).map_err(|cause| OpenError::Unfit { path: path.clone(), cause })?;
    let voters = takeover::check_voters(&loaded.quorum.voters(), node);
    voters.map_err(|cause| OpenError::Unfit { path: path.clone(), cause })?;
    if has_records && loaded.image.settled().features().level(METADATA_VERSION) == 0 {
        // A first start that did not get far.
        first_records = bootstrap(dir, node)?;
    }
    let last_epoch = loaded.last_epoch.max(quorum_state.map_or(0, |state| state.leader_epoch));
    let leader_epoch = last_epoch.checked_add(1).ok_or(OpenError::LastEpoch)?;
    let (bytes_cut, leftovers) = (recovered.bytes_cut, snapshots.leftovers);
    Ok(Sound { log, loaded, first_records, leader_epoch, bytes_cut, leftovers })
}

impl Sound {
    /// What it says.
    pub fn image(&self) -> &Image {
        self.loaded.image.settled()
    }
}

/// Begins a new epoch of the log, with the controller that was loaded from it.
pub fn begin(rt: &Rt, found: &Found<'_>, sound: Sound) -> Result<Opened, OpenError> {
    let Sound { log, loaded, first_records, leader_epoch, bytes_cut, leftovers } = sound;
    let Found { home, meta, is_new, .. } = *found;
    let dir = &home.log_dir;
    let (disk, path) = (dir.disk(), dir.path().join(DIR));
    if bytes_cut > 0 {
        tracing::warn!("cut {bytes_cut} torn bytes from the metadata log");
    }
    if let Some(kept) = takeover::without_effect(&loaded.image) {
        tracing::warn!("{kept}");
    }
    // On a full disk this is the room for what follows. It is taken again when the broker has registered.
    dir.release_reserve()?;
    if is_new {
        meta::store(disk, dir.path(), meta)?;
    }
    let clean_epoch = clean::take(disk, dir.path())?;
    if topic_id::load(disk, &path)?.is_none() {
        topic_id::store(disk, &path, Uuid::METADATA_TOPIC)?;
    }
    snapshot_files::remove_leftovers(disk, &path, &leftovers)?;
    let log = begin_epoch(rt, found, log, leader_epoch, &loaded.quorum)?;
    let image = loaded.image.clone();
    let begun = Begun { home: home.clone(), log, loaded, first_records };
    Ok(Opened { host: Host::new(rt.clone(), begun), image, clean_epoch })
}

/// Sees to it that a log without records is one that never had any.
fn check_begun(found: &Found<'_>, snapshots: &Listed, quorum: Option<&QuorumState>) -> Result<(), OpenError> {
    let Found { home, is_new, .. } = *found;
    let dir = &home.log_dir;
    let path = dir.path().join(DIR);
    let put_aside = dir.path().join(BOOTSTRAP);
    if is_new && snapshot_files::read(dir.disk(), &put_aside)?.is_some() {
        return Err(OpenError::Nobodys { meta: dir.path().join(meta::FILE), log: put_aside });
    }
    let snapshot = snapshots.complete.iter().find(|name| name.end_offset > 0).map(|name| name.path(&path));
    if let Some(witness) = snapshot.map_or_else(|| witness_of_records(dir, quorum), |path| Ok(Some(path)))? {
        return Err(OpenError::Lost { path: path.join(SEGMENT), witness });
    }
    Ok(())
}

/// What the log is to begin with.
fn bootstrap(dir: &LogDir, node: NodeId) -> Result<Vec<Record>, OpenError> {
    let path = dir.path().join(BOOTSTRAP);
    let Some(bytes) = snapshot_files::read(dir.disk(), &path)? else { return Ok(Vec::new()) };
    let unusable = |cause| refusal(dir.path(), cause);
    let contents = snapshot::read(&bytes);
    let records =
        contents.map_err(|cause| unusable(LoadError::Snapshot { file: BOOTSTRAP.to_owned(), cause }))?.records;
    let mut image = Image::default();
    for (offset, record) in (0..).zip(&records) {
        let applied = image.apply(At { offset }, record);
        applied.map_err(|cause| unusable(LoadError::SnapshotApply { file: BOOTSTRAP.to_owned(), cause }))?;
    }
    takeover::check(&image, node).map_err(|cause| OpenError::Unfit { path, cause })?;
    Ok(records)
}

fn refusal(path: &Path, cause: LoadError) -> OpenError {
    let path = path.to_owned();
    match cause {
        LoadError::Reading(ReadingError::Log(error)) => OpenError::from(error),
        LoadError::Reading(ReadingError::Io { .. })
        | LoadError::Record { .. }
        | LoadError::Control { .. }
        | LoadError::Snapshot { cause: SnapshotError::Record { .. } | SnapshotError::Control { .. }, .. } => {
            OpenError::Unreadable { path, cause }
        }
        LoadError::Reading(ReadingError::Damaged { .. } | ReadingError::Batch { .. })
        | LoadError::Apply(_)
        | LoadError::Snapshot { cause: SnapshotError::Damaged { .. }, .. }
        | LoadError::SnapshotApply { .. }
        | LoadError::NoSnapshot { .. } => OpenError::Contents { path, cause },
    }
}

fn options(config: &ServerConfig) -> LogOptions {
    let for_tests = config.get(keys::INTERNAL_METADATA_LOG_SEGMENT_BYTES);
    let segment_bytes = for_tests.unwrap_or_else(|| config.get(keys::METADATA_LOG_SEGMENT_BYTES));
    LogOptions {
        segment_bytes: u64::try_from(segment_bytes).unwrap_or(0),
        segment_ms: config.get(keys::METADATA_LOG_SEGMENT_MS),
        index_bytes: 10 << 20,
        index_interval_bytes: 4096,
        reserve_bytes: 1 << 20,
        preallocate: false,
    }
}

/// The quorum has one voter: it leads at once, in an epoch that is on the disk before anything is written in it. What was put
/// aside of the quorum itself for a new log is written into that first, as by Kafka.
fn begin_epoch(
    rt: &Rt,
    found: &Found<'_>,
    log: Log,
    leader_epoch: i32,
    put_aside: &Quorum,
) -> Result<MetadataLog, LogError> {
    let Found { home, meta, .. } = *found;
    let dir = &home.log_dir;
    let (disk, path, wall_ms) = (dir.disk(), dir.path().join(DIR), rt.now().wall_ms);
    let is_first = log.end().offset == 0;
    let mut log = MetadataLog::new(log, leader_epoch);
    let change = [leader_change(NodeId(meta.node_id))];
    let leader = QuorumState { leader_id: meta.node_id, leader_epoch, voted_id: -1, voted_directory_id: Uuid::ZERO };
    if is_first {
        let (voted_id, voted_directory_id) = (meta.node_id, meta.directory_id);
        quorum::store(disk, &path, &QuorumState { leader_id: -1, leader_epoch, voted_id, voted_directory_id })?;
        log.append_control(change.into_iter().chain(put_aside.records()), wall_ms)?;
        log.flush()?;
        quorum::store(disk, &path, &leader)?;
    } else {
        quorum::store(disk, &path, &leader)?;
        log.append_control(change, wall_ms)?;
    }
    Ok(log)
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
