//! A disk that somebody watches: for tests in which an operation does something that [`FaultyDisk`](super::FaultyDisk) does
//! not, such as wait for the test, or end the process that asked for it.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use super::{Disk, DiskFile, DiskLock, Entry, LockError, Open, Operation, Wait};

/// Is told of each operation, on the thread that asks for it.
pub trait Watch: Debug + Send + Sync + 'static {
    fn before(&self, _: Operation) {}
    fn after(&self, _: Operation) {}
}

#[derive(Debug)]
pub struct WatchedDisk<W> {
    disk: Arc<dyn Disk>,
    watch: Arc<W>,
}

#[derive(Debug)]
struct WatchedFile<W> {
    file: Arc<dyn DiskFile>,
    watch: Arc<W>,
}

impl<W: Watch> WatchedDisk<W> {
    pub fn new(disk: impl Disk + 'static, watch: Arc<W>) -> WatchedDisk<W> {
        WatchedDisk { disk: Arc::new(disk), watch }
    }
}

fn during<T>(watch: &impl Watch, operation: Operation, work: impl FnOnce() -> T) -> T {
    watch.before(operation);
    let given = work();
    watch.after(operation);
    given
}

impl<W: Watch> Disk for WatchedDisk<W> {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let file = during(&*self.watch, Operation::Open, || self.disk.open(path, how))?;
        Ok(Arc::new(WatchedFile { file, watch: self.watch.clone() }))
    }

    fn size_of(&self, path: &Path) -> io::Result<u64> {
        during(&*self.watch, Operation::Read, || self.disk.size_of(path))
    }

    fn modified_ms(&self, path: &Path) -> io::Result<i64> {
        during(&*self.watch, Operation::Read, || self.disk.modified_ms(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        during(&*self.watch, Operation::Names, || self.disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        during(&*self.watch, Operation::Names, || self.disk.remove_file(path))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        during(&*self.watch, Operation::Names, || self.disk.create_dir(dir))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        during(&*self.watch, Operation::Names, || self.disk.remove_dir(dir))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        during(&*self.watch, Operation::Read, || self.disk.list(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        during(&*self.watch, Operation::Names, || self.disk.sync_dir(dir))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        during(&*self.watch, Operation::Names, || self.disk.lock(path))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        during(&*self.watch, Operation::Read, || self.disk.free_bytes(dir))
    }

    fn total_bytes(&self, dir: &Path) -> io::Result<u64> {
        during(&*self.watch, Operation::Read, || self.disk.total_bytes(dir))
    }
}

impl<W: Watch> DiskFile for WatchedFile<W> {
    fn read_at(&self, buf: &mut [u8], position: u64, wait: Wait) -> io::Result<usize> {
        during(&*self.watch, Operation::Read, || self.file.read_at(buf, position, wait))
    }

    fn write_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        during(&*self.watch, Operation::Write, || self.file.write_vectored_at(slices, position))
    }

    fn size(&self) -> io::Result<u64> {
        during(&*self.watch, Operation::Read, || self.file.size())
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        during(&*self.watch, Operation::SetSize, || self.file.set_size(bytes))
    }

    fn set_modified_ms(&self, ms: i64) -> io::Result<()> {
        during(&*self.watch, Operation::SetSize, || self.file.set_modified_ms(ms))
    }

    fn sync_data(&self) -> io::Result<()> {
        during(&*self.watch, Operation::Sync, || self.file.sync_data())
    }

    /// Counts as a read: nobody waits for it.
    fn start_write_back(&self, range: Range<u64>) -> io::Result<()> {
        during(&*self.watch, Operation::Read, || self.file.start_write_back(range))
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        during(&*self.watch, Operation::SetSize, || self.file.allocate(range))
    }

    fn is_resident(&self, range: Range<u64>) -> bool {
        during(&*self.watch, Operation::Read, || self.file.is_resident(range))
    }

    fn raw_fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.raw_fd()
    }
}
