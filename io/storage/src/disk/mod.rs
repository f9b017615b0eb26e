//! The seam to the disk.
//!
//! What a log promises about crashes cannot be tried on a real disk: nobody can pull the plug a thousand times between
//! two system calls. So the crate reaches files only through [`Disk`] and [`DiskFile`]: [`RealDisk`] hands each call to
//! the kernel, [`FaultyDisk`] keeps everything in memory and loses, tears and refuses as its seed says. A virtual call
//! is nothing beside a system call.

mod faulty;
mod real;
mod watched;
mod whole;

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use faulty::{FaultyDisk, Odds, Operation};
pub use real::RealDisk;
pub use watched::{Watch, WatchedDisk};
pub(crate) use whole::{missing, read_full_at, write_all_at, write_slices_at};
pub use whole::{read_file, replace_file};

/// The files of one machine.
pub trait Disk: Debug + Send + Sync {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>>;
    /// Bytes of a file.
    fn size_of(&self, path: &Path) -> io::Result<u64>;
    /// When a file was last written: milliseconds since 1970.
    fn modified_ms(&self, path: &Path) -> io::Result<i64>;
    /// Replaces what `to` named before, at once.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory in one that is there. No error if it is there, too.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// What a directory holds, by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Makes creations, renames and removals in `dir` survive a power loss.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the lock that Kafka's `FileChannel.tryLock` takes, making the file if need be. Dropped, it is released.
    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, LockError>;
    /// Bytes that can still be written.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Bytes that the file system has, written or not.
    fn total_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// An open file. Positions are explicit: any number of threads may use it at once.
pub trait DiskFile: Debug + Send + Sync {
    /// Reads up to `buf.len()` bytes; 0 at the end of the file. With [`Wait::No`] fails with
    /// [`io::ErrorKind::WouldBlock`] where the bytes are not in memory.
    fn read_at(&self, buf: &mut [u8], position: u64, wait: Wait) -> io::Result<usize>;
    /// One `pwritev`: writes some of the bytes, and says how many. At most 1024 slices.
    fn write_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<usize>;
    fn size(&self) -> io::Result<u64>;
    /// Cuts the file, or lengthens it with zeros.
    fn set_size(&self, bytes: u64) -> io::Result<()>;
    /// Makes the file look as if it was last written at this time.
    fn set_modified_ms(&self, ms: i64) -> io::Result<()>;
    /// Makes bytes and length survive a power loss.
    fn sync_data(&self) -> io::Result<()>;
    /// Starts to write these bytes back, and does not wait for it. A hint.
    fn start_write_back(&self, range: Range<u64>) -> io::Result<()>;
    /// Takes room for these bytes without lengthening the file.
    fn allocate(&self, range: Range<u64>) -> io::Result<()>;
    /// Whether reading these bytes would not wait for the disk. Looks at a page here and there, and not at the first: whoever
    /// asks has just read it, or the page before.
    fn is_resident(&self, range: Range<u64>) -> bool;
    /// For `sendfile`; `None` where there is no such thing.
    fn raw_fd(&self) -> Option<BorrowedFd<'_>>;
}

/// Held as long as it lives.
pub trait DiskLock: Debug + Send + Sync {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    Read,
    /// For reading and writing; the file must be there.
    Write,
    /// For reading and writing; made if it is not there.
    Create,
}

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    Yes,
    No,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub is_dir: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{path} is locked by process {pid}")]
    Held { path: PathBuf, pid: i32 },
    #[error("{path} cannot be locked: {cause}")]
    Io { path: PathBuf, cause: io::Error },
}
