//! The disk of this machine: each call is the system call of its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::ReadWriteFlags;
use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::{Disk, DiskFile, DiskLock, Entry, LockError, Open, Wait};

/// Distance of the pages at which [`DiskFile::is_resident`] looks: what the kernel reads ahead by default.
const PROBE_BYTES: u64 = 128 << 10;

#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile(File);

/// A POSIX record lock belongs to the process, and goes when the process closes *any* descriptor of the file: nothing
/// else may open a lock file.
#[derive(Debug)]
struct RealLock {
    _file: File,
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(how != Open::Read).create(how == Open::Create);
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn size_of(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn modified_ms(&self, path: &Path) -> io::Result<i64> {
        let since_1970 = fs::metadata(path)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        match fs::create_dir(dir) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
            _ => Ok(()),
        }
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // Kafka's names are ASCII; a name that is not even UTF-8 is none of ours.
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(Entry { name, is_dir: entry.file_type()?.is_dir() });
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        let trouble = |cause| LockError::Io { path: path.to_owned(), cause };
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(trouble)?;
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                let holder = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).map_err(|e| trouble(e.into()))?;
                let pid = holder.and_then(|lock| lock.pid).map_or(0, |pid| pid.as_raw_nonzero().get());
                Err(LockError::Held { path: path.to_owned(), pid })
            }
            Err(e) => Err(trouble(e.into())),
        }
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    fn total_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_blocks * stat.f_frsize)
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], position: u64, wait: Wait) -> io::Result<usize> {
        if wait == Wait::Yes {
            return self.0.read_at(buf, position);
        }
        match rustix::io::preadv2(&self.0, &mut [IoSliceMut::new(buf)], position, ReadWriteFlags::NOWAIT) {
            // A file system that cannot tell is taken to be fast.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.0.read_at(buf, position),
            other => Ok(other?),
        }
    }

    fn write_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(&self.0, slices, position)?)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn set_modified_ms(&self, ms: i64) -> io::Result<()> {
        let since_1970 = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        self.0.set_modified(UNIX_EPOCH + since_1970)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn start_write_back(&self, range: Range<u64>) -> io::Result<()> {
        let (from, bytes) = (range.start.cast_signed(), (range.end - range.start).cast_signed());
        // SAFETY: the call takes numbers only, and the descriptor is open while `self` lives.
        let done = unsafe { libc::sync_file_range(self.0.as_raw_fd(), from, bytes, libc::SYNC_FILE_RANGE_WRITE) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        Ok(rustix::fs::fallocate(&self.0, FallocateFlags::KEEP_SIZE, range.start, range.end - range.start)?)
    }

    fn is_resident(&self, range: Range<u64>) -> bool {
        let here = |position| {
            let read = self.read_at(&mut [0], position, Wait::No);
            !matches!(read, Err(e) if e.kind() == ErrorKind::WouldBlock)
        };
        range.is_empty() || (range.clone().step_by(PROBE_BYTES as usize).skip(1).all(here) && here(range.end - 1))
    }

    fn raw_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

impl DiskLock for RealLock {}
