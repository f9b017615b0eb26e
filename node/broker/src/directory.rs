//! The log directories: each with its logs, what is written down of them, whether there is room and whether it works.
//!
//! Directories are disks, and disks fail one by one. So everything that depends on a disk is there once for each directory:
//! the lock, the checkpoints, the flusher, the room. One that cannot be opened at the start, or cannot be written later,
//! is *offline*: its partitions are not served, and those of the others are. It comes back with the next start, as in
//! Kafka, because after a failed write nobody knows what is on it. Only the directory of the metadata log is never given
//! up: there is no broker without it, so what fails there is tried again.

mod opening;
pub mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_base::Uuid;
use ottla_metadata::image::is_directory;
use ottla_net::BoxFuture;
use ottla_storage::checkpoint::topic_id;
use ottla_storage::{LogDir, LogError};
use tokio::sync::Notify;

use crate::checkpoints::Checkpoints;
use crate::control::opening as metadata;
use crate::flushing::Flushing;
use crate::room::Room;

pub use opening::{Identified, lock};

/// A log directory that was opened.
#[derive(Debug)]
pub struct Directory {
    pub log_dir: Arc<LogDir>,
    /// From its `meta.properties`.
    pub id: Uuid,
    pub checkpoints: Checkpoints,
    pub flushing: Flushing,
    pub room: Room,
    /// Whether it holds the metadata log.
    pub is_metadata: bool,
    /// Whether partitions may be in it.
    pub is_data: bool,
    has_failed: AtomicBool,
    signals: Arc<Signals>,
}

/// What a change of directories gives others to do. Each is listened to by one task.
#[derive(Debug, Default)]
pub struct Signals {
    /// For the publisher: partitions are to be opened or closed.
    pub mend: Notify,
    /// For the reporter: one has failed, or which are cordoned may be otherwise.
    pub report: Notify,
}

/// One that could not be opened.
#[derive(Debug)]
pub struct Unopened {
    pub path: PathBuf,
}

/// All of them.
#[derive(Debug)]
pub struct Directories {
    /// In the order of `log.dirs`. That of the metadata log, if it is not among those, is the last.
    opened: Vec<Arc<Directory>>,
    unopened: Vec<Unopened>,
    pub signals: Arc<Signals>,
}

/// What a directory is opened with.
#[derive(Debug)]
struct Opening {
    log_dir: Arc<LogDir>,
    id: Uuid,
    checkpoints: Checkpoints,
    /// With more dirty bytes producers are held back.
    dirty_bytes_max: u64,
    is_metadata: bool,
    is_data: bool,
}

/// What there was of a replica before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// Nothing: it is to be made.
    New,
    Led,
}

/// Why it is not known where a replica is.
#[derive(Debug, thiserror::Error)]
pub enum Homeless {
    #[error("its log directory is offline, or not in log.dirs any more")]
    Offline,
    #[error("it is in none of the log directories that work, and may be in one that is offline")]
    Missing,
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Directories {
    fn new(opened: Vec<Opening>, unopened: Vec<Unopened>) -> Directories {
        let signals = Arc::<Signals>::default();
        let open = |opening: Opening| {
            let Opening { log_dir, id, checkpoints, dirty_bytes_max, is_metadata, is_data } = opening;
            Arc::new(Directory {
                flushing: Flushing::new(log_dir.clone(), dirty_bytes_max),
                log_dir,
                id,
                checkpoints,
                room: Room::default(),
                is_metadata,
                is_data,
                has_failed: AtomicBool::new(false),
                signals: signals.clone(),
            })
        };
        Directories { opened: opened.into_iter().map(open).collect(), unopened, signals }
    }

    /// Those that were opened, whatever has become of them since.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Directory>> {
        self.opened.iter()
    }

    /// Those that partitions may be in, and work.
    pub fn online(&self) -> impl Iterator<Item = &Arc<Directory>> {
        self.opened.iter().filter(|directory| directory.is_data && !directory.has_failed())
    }

    pub fn unopened(&self) -> &[Unopened] {
        &self.unopened
    }

    /// How many are offline.
    pub fn offline_count(&self) -> usize {
        self.unopened.len() + self.opened.iter().filter(|directory| directory.has_failed()).count()
    }

    pub fn metadata(&self) -> &Arc<Directory> {
        self.opened.iter().find(|directory| directory.is_metadata).expect("no broker starts without it")
    }

    /// Where the replica `name` of a topic is; or, if it is new, where the metadata say it is to be: `assigned`.
    pub fn home(&self, name: &str, topic: Uuid, assigned: Uuid, past: Past) -> Result<&Arc<Directory>, Homeless> {
        let at = self.online().find(|directory| directory.id == assigned);
        if let Some(only) = at.filter(|_| self.opened.len() + self.unopened.len() == 1) {
            return Ok(only);
        }
        for directory in at.into_iter().chain(self.online().filter(|directory| directory.id != assigned)) {
            if directory.holds(name, topic)? {
                return Ok(directory);
            }
        }
        // It may have gone to one that is offline.
        let may_be_elsewhere = past == Past::Led && self.offline_count() > 0;
        match at {
            Some(directory) if !may_be_elsewhere => Ok(directory),
            Some(_) => Err(Homeless::Missing),
            // The metadata does not know yet, and it may be in one that is offline.
            None if !is_directory(assigned) && self.offline_count() == 0 => {
                let fewest =
                    self.online().min_by_key(|directory| directory.replicas().map_or(usize::MAX, |all| all.len()));
                fewest.ok_or(Homeless::Offline)
            }
            None => Err(Homeless::Offline),
        }
    }

    /// Whether a replica that the metadata says is in this directory may be here: not if that is offline.
    pub fn may_hold(&self, assigned: Uuid) -> bool {
        !is_directory(assigned) || self.online().any(|directory| directory.id == assigned)
    }

    /// While too much of one is dirty: until a flush has made it less.
    pub fn hold_back(&self) -> Option<BoxFuture<()>> {
        let dirty = self.opened.iter().find(|directory| directory.flushing.is_too_dirty())?.clone();
        Some(Box::pin(async move { dirty.flushing.clean_enough().await }))
    }
}

impl Directory {
    pub fn path(&self) -> &Path {
        self.log_dir.path()
    }

    /// Its path as it is shown to clients.
    pub fn shown(&self) -> String {
        shown(self.path())
    }

    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Takes note of a write that failed: the disk may be full, or broken.
    pub fn note(&self, error: &LogError) {
        self.room.note(&self.log_dir, error);
        if error.is_of_the_device() && !self.is_metadata && !self.has_failed.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "{} goes offline with its partitions until the broker is started again: {error}",
                self.path().display()
            );
            self.signals.mend.notify_one();
            self.signals.report.notify_one();
        }
    }

    /// Whether it holds the replica `name` of this topic.
    pub fn holds(&self, name: &str, topic: Uuid) -> Result<bool, LogError> {
        Ok(topic_id::load(self.log_dir.disk(), &self.path().join(name))? == Some(topic))
    }

    /// Removes a directory that was renamed to be removed.
    pub fn remove(&self, name: &str) {
        if let Err(error) = self.log_dir.remove(name) {
            tracing::error!("cannot remove {name}: {error}");
        }
    }

    /// The names of replicas' directories in it.
    pub fn replicas(&self) -> Result<Vec<String>, LogError> {
        let mut names = self.log_dir.list()?;
        names.retain(|name| metadata::is_replica(name) && name != metadata::DIR);
        Ok(names)
    }
}

impl Unopened {
    /// Its path as it is shown to clients.
    pub fn shown(&self) -> String {
        shown(&self.path)
    }
}

/// Kafka shows absolute paths.
fn shown(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.to_string_lossy().into_owned()
}
