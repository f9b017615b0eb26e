//! The disk of a simulated process: the faulty one, which takes the process with it when it stops.
//!
//! A killed process does nothing any more, not even find out that it was killed. So the operation at which it is to die
//! ends it here, and not the next time somebody looks.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use ottla_rt::Process;
use ottla_storage::disk::{Disk, DiskFile, DiskLock, Entry, FaultyDisk, LockError, Open, Wait};

#[derive(Clone, Debug)]
pub struct MortalDisk {
    pub disk: FaultyDisk,
    pub process: Process,
}

#[derive(Debug)]
struct MortalFile {
    file: Arc<dyn DiskFile>,
    disk: MortalDisk,
}

impl MortalDisk {
    /// Passes on what an operation gave.
    fn after<T>(&self, given: T) -> T {
        if self.disk.has_stopped() {
            self.process.kill();
        }
        given
    }
}

impl Disk for MortalDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.after(self.disk.open(path, how))?;
        Ok(Arc::new(MortalFile { file, disk: self.clone() }))
    }

    fn size_of(&self, path: &Path) -> io::Result<u64> {
        self.after(self.disk.size_of(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.after(self.disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.after(self.disk.remove_file(path))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.after(self.disk.create_dir(dir))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.after(self.disk.remove_dir(dir))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.after(self.disk.list(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.after(self.disk.sync_dir(dir))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        self.after(self.disk.lock(path))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.after(self.disk.free_bytes(dir))
    }
}

impl DiskFile for MortalFile {
    fn read_at(&self, buf: &mut [u8], position: u64, wait: Wait) -> io::Result<usize> {
        self.disk.after(self.file.read_at(buf, position, wait))
    }

    fn write_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        self.disk.after(self.file.write_vectored_at(slices, position))
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.after(self.file.size())
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.disk.after(self.file.set_size(bytes))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.after(self.file.sync_data())
    }

    fn start_write_back(&self, range: Range<u64>) -> io::Result<()> {
        self.disk.after(self.file.start_write_back(range))
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        self.disk.after(self.file.allocate(range))
    }

    fn is_resident(&self, range: Range<u64>) -> bool {
        self.disk.after(self.file.is_resident(range))
    }

    fn raw_fd(&self) -> Option<BorrowedFd<'_>> {
        self.disk.after(self.file.raw_fd())
    }
}
