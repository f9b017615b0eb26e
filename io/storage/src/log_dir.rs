//! A log directory: the place of many logs, held by one process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_base::Uuid;

use crate::checkpoint::topic_id;
use crate::disk::{Disk, DiskLock, Entry, LockError, missing};
use crate::error::{Doing, LogError};
use crate::flush::Backlog;
use crate::open_files::OpenFiles;

const LOCK_FILE: &str = ".lock";

/// Closed segments of a directory whose files are open at once.
const OPEN_SEGMENTS_MAX: usize = 256;

/// A file name has at most this many bytes.
const NAME_BYTES_MAX: usize = 255;

/// A log directory whose lock this process holds.
#[derive(Debug)]
pub struct LogDir {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) path: PathBuf,
    pub(crate) backlog: Backlog,
    pub(crate) open_files: OpenFiles,
    _lock: Box<dyn DiskLock>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenDirError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// The name of a replica leaves no room for what says that it is a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameTooLong;

impl LogDir {
    /// Makes the directory if need be and takes its lock.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<Arc<LogDir>, OpenDirError> {
        create_for_good(&*disk, path)?;
        let lock = disk.lock(&path.join(LOCK_FILE))?;
        Ok(Arc::new(LogDir {
            disk,
            path: path.to_owned(),
            backlog: Backlog::default(),
            open_files: OpenFiles::new(OPEN_SEGMENTS_MAX),
            _lock: lock,
        }))
    }

    /// Removes the file of the lock, as Kafka does when it stops. The lock is held until the directory is dropped.
    pub fn remove_lock_file(&self) -> Result<(), LogError> {
        let path = self.path.join(LOCK_FILE);
        self.disk.remove_file(&path).doing("remove", &path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Bytes that were appended to the directory's logs and that no flush has covered yet.
    pub fn dirty_bytes(&self) -> u64 {
        self.backlog.dirty_bytes()
    }

    /// Bytes of the directory's logs that flushes have covered since it was opened.
    pub fn flushed_bytes(&self) -> u64 {
        self.backlog.flushed_bytes()
    }

    /// Bytes that can still be written.
    pub fn free_bytes(&self) -> Result<u64, LogError> {
        self.disk.free_bytes(&self.path).doing("stat", &self.path)
    }

    /// Names of the directories in it.
    pub fn list(&self) -> Result<Vec<String>, LogError> {
        let entries = self.disk.list(&self.path).doing("list", &self.path)?;
        Ok(entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect())
    }

    /// Names of the files in a directory of it, or, for the empty name, in itself.
    pub fn files(&self, name: &str) -> Result<Vec<String>, LogError> {
        let dir = self.path.join(name);
        let entries = missing(self.disk.list(&dir)).doing("list", &dir)?.unwrap_or_default();
        Ok(entries.into_iter().filter(|entry| !entry.is_dir).map(|entry| entry.name).collect())
    }

    /// Whether a replica's directory is there and has records.
    pub fn has_records(&self, name: &str) -> Result<bool, LogError> {
        let dir = self.path.join(name);
        for Entry { name, .. } in missing(self.disk.list(&dir)).doing("list", &dir)?.unwrap_or_default() {
            let path = dir.join(&name);
            if name.ends_with(".log") && self.disk.size_of(&path).doing("stat", &path)? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Renames a replica's directory that is not what its name says, so that it is kept and in nobody's way. Gives the new
    /// name.
    pub fn set_aside(&self, name: &str, id: Uuid) -> Result<String, LogError> {
        let stray = self.rename(name, id, "stray")?;
        self.sync()?;
        Ok(stray)
    }

    /// The name under which Kafka keeps a replica that is copied into this directory, until all of it is there.
    pub fn future_name(name: &str, id: Uuid) -> Result<String, NameTooLong> {
        let future = with_fate(name, id, "future");
        if future.starts_with(name) { Ok(future) } else { Err(NameTooLong) }
    }

    /// Gives the directory of a replica that is not open another name.
    pub fn rename_replica(&self, name: &str, new: &str) -> Result<(), LogError> {
        let from = self.path.join(name);
        self.disk.rename(&from, &self.path.join(new)).doing("rename", &from)
    }

    /// Makes a directory for a replica. Without a sync: it may be lost with the power.
    pub fn create_replica(&self, name: &str) -> Result<(), LogError> {
        let dir = self.path.join(name);
        self.disk.create_dir(&dir).doing("create", &dir)
    }

    /// Removes the files of a replica that is not open, but for the one that says whose it is.
    pub fn empty_replica(&self, name: &str) -> Result<(), LogError> {
        for file in self.files(name)?.iter().filter(|file| *file != topic_id::FILE) {
            let path = self.path.join(name).join(file);
            self.disk.remove_file(&path).doing("remove", &path)?;
        }
        Ok(())
    }

    /// Makes the names in the directory survive a power loss.
    pub fn sync(&self) -> Result<(), LogError> {
        self.disk.sync_dir(&self.path).doing("sync", &self.path)
    }

    /// Gives the directory of a replica that is not open the name under which Kafka keeps what is to be removed, and returns
    /// that name.
    pub fn set_to_be_removed(&self, name: &str, id: Uuid) -> Result<String, LogError> {
        self.rename(name, id, "delete")
    }

    fn rename(&self, name: &str, id: Uuid, fate: &str) -> Result<String, LogError> {
        let new = with_fate(name, id, fate);
        self.rename_replica(name, &new)?;
        Ok(new)
    }

    /// Removes a directory that was set to be removed, now or before a restart.
    pub fn remove(&self, name: &str) -> Result<(), LogError> {
        let dir = self.path.join(name);
        let Some(entries) = missing(self.disk.list(&dir)).doing("list", &dir)? else { return Ok(()) };
        for Entry { name, .. } in entries {
            let path = dir.join(name);
            self.disk.remove_file(&path).doing("remove", &path)?;
        }
        self.disk.remove_dir(&dir).doing("remove", &dir)
    }
}

fn with_fate(name: &str, id: Uuid, fate: &str) -> String {
    let end = format!(".{:032x}-{fate}", u128::from_be_bytes(id.0));
    format!("{}{end}", &name[..name.floor_char_boundary(NAME_BYTES_MAX - end.len())])
}

/// Makes a directory, and those above it, so that they survive a power loss.
fn create_for_good(disk: &dyn Disk, path: &Path) -> Result<(), LogError> {
    if missing(disk.list(path)).doing("list", path)?.is_some() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_for_good(disk, parent)?;
    }
    disk.create_dir(path).doing("create", path)?;
    let parent = parent.unwrap_or(Path::new("."));
    disk.sync_dir(parent).doing("sync", parent)
}
