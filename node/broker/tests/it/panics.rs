//! A bug in a task that the whole broker lives on.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_rt::Lane;
use ottla_storage::disk::{Disk, DiskFile, DiskLock, Entry, FaultyDisk, LockError, Open, Wait};
use ottla_wire::ErrorCode;

use crate::support::*;

/// A disk whose syncs panic once it is told so.
#[derive(Clone, Debug)]
struct Bug {
    disk: FaultyDisk,
    is_there: Arc<AtomicBool>,
}

#[derive(Debug)]
struct BugFile {
    file: Arc<dyn DiskFile>,
    is_there: Arc<AtomicBool>,
}

#[test]
fn the_broker_is_to_be_stopped_when_its_flusher_panics() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let bug = Bug { disk: machine.disk.clone(), is_there: Arc::default() };
        let mut broker = machine.start_on(Arc::new(bug.clone())).await.unwrap();
        let rt = broker.process.rt();
        assert_eq!(broker.client.create("t", &[("flush.messages", "1")]).await, ErrorCode::None);
        assert_eq!(broker.client.produce("t", 1000).await, ErrorCode::None);
        let soon = Duration::from_secs(5);
        assert!(rt.timeout(soon, broker.running.failed()).await.is_none(), "all is well");
        bug.is_there.store(true, Ordering::Relaxed);
        let mut client = machine.connect().await;
        rt.spawn(Lane::Data, "client", async move { client.produce("t", 1000).await });
        assert!(rt.timeout(soon, broker.running.failed()).await.is_some());
        bug.is_there.store(false, Ordering::Relaxed);
        machine.crash(broker).await;
    });
}

impl Disk for Bug {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(BugFile { file: self.disk.open(path, how)?, is_there: self.is_there.clone() }))
    }

    fn size_of(&self, path: &Path) -> io::Result<u64> {
        self.disk.size_of(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        self.disk.lock(path)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.disk.free_bytes(dir)
    }
}

impl DiskFile for BugFile {
    fn read_at(&self, buf: &mut [u8], position: u64, wait: Wait) -> io::Result<usize> {
        self.file.read_at(buf, position, wait)
    }

    fn write_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        self.file.write_vectored_at(slices, position)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.file.set_size(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        assert!(!self.is_there.load(Ordering::Relaxed), "a bug");
        self.file.sync_data()
    }

    fn start_write_back(&self, range: Range<u64>) -> io::Result<()> {
        self.file.start_write_back(range)
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        self.file.allocate(range)
    }

    fn is_resident(&self, range: Range<u64>) -> bool {
        self.file.is_resident(range)
    }

    fn raw_fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.raw_fd()
    }
}
