//! What can go wrong outside: the disk, and what stands on it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("cannot {op} {path}: {cause}")]
    Io { op: &'static str, path: PathBuf, cause: io::Error },
    #[error("{path} is damaged at byte {position}: {what}")]
    Corrupt { path: PathBuf, position: u64, what: &'static str },
    /// Nothing was changed. See [`Checkpointed::kept`](crate::Checkpointed::kept).
    #[error("{path} is damaged at byte {position}, at offset {offset}: everything up to offset {kept} had been synced")]
    Lost { path: PathBuf, position: u64, offset: i64, kept: i64 },
    /// They lie behind the recovery point, which could not be moved.
    #[error("the gaps that compaction has left in {path} cannot be made safe, because its indexes cannot be written")]
    Gaps { path: PathBuf },
    #[error("offset {offset} is not in the log: it holds {start} to {end}")]
    OutOfRange { offset: i64, start: i64, end: i64 },
    /// The answer is on the disk and not in memory, and the caller did not want to wait.
    #[error("the answer is not in memory")]
    Cold,
    #[error("the log was deleted")]
    Deleted,
}

impl LogError {
    /// The disk does not take writes any more, or is not there. (A device that only fails to read a place can be written.)
    pub fn is_of_the_device(&self) -> bool {
        use rustix::io::Errno;
        let broken = [Errno::IO, Errno::NXIO, Errno::NODEV, Errno::ROFS, Errno::UCLEAN, Errno::STALE, Errno::REMOTEIO];
        let is_broken = |cause: &io::Error| {
            let kinds = [ErrorKind::ReadOnlyFilesystem, ErrorKind::StaleNetworkFileHandle, ErrorKind::NotFound];
            kinds.contains(&cause.kind())
                || broken.iter().any(|errno| cause.raw_os_error() == Some(errno.raw_os_error()))
        };
        matches!(self, LogError::Io { cause, .. } if is_broken(cause))
    }

    /// The file or directory that it is about.
    pub fn path(&self) -> Option<&Path> {
        match self {
            LogError::Io { path, .. }
            | LogError::Corrupt { path, .. }
            | LogError::Lost { path, .. }
            | LogError::Gaps { path } => Some(path),
            LogError::OutOfRange { .. } | LogError::Cold | LogError::Deleted => None,
        }
    }

    /// The disk is full, or a quota of the file system is: what was refused may be tried again later.
    pub fn is_out_of_space(&self) -> bool {
        let full = |kind| matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        matches!(self, LogError::Io { cause, .. } if full(cause.kind()))
    }
}

/// Says what was done to which file when it failed. The file's path is asked for only then.
pub(crate) trait Doing<T> {
    fn doing(self, op: &'static str, to: &(impl Named + ?Sized)) -> Result<T, LogError>;
}

/// What has a path.
pub(crate) trait Named {
    fn path(&self) -> PathBuf;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, op: &'static str, to: &(impl Named + ?Sized)) -> Result<T, LogError> {
        self.map_err(|cause| match cause.kind() {
            ErrorKind::WouldBlock => LogError::Cold,
            _ => LogError::Io { op, path: to.path(), cause },
        })
    }
}

impl Named for Path {
    fn path(&self) -> PathBuf {
        self.to_owned()
    }
}

impl Named for PathBuf {
    fn path(&self) -> PathBuf {
        self.clone()
    }
}

impl<T: Named + ?Sized> Named for Arc<T> {
    fn path(&self) -> PathBuf {
        (**self).path()
    }
}
