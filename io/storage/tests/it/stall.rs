//! A disk that does not answer a write stops who writes, and nobody who reads what is written.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use ottla_storage::disk::{Disk, DiskFile, DiskLock, Entry, FaultyDisk, LockError, Open, Wait};

use crate::support::*;

/// A disk whose writes wait for the gate.
#[derive(Clone, Debug)]
struct Gated {
    disk: FaultyDisk,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct GatedFile {
    file: Arc<dyn DiskFile>,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    closed: bool,
    waiting: usize,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        let mut state = self.changed.wait_while(state, |state| state.closed).unwrap();
        state.waiting -= 1;
    }

    fn set_closed(&self, closed: bool) {
        self.state.lock().unwrap().closed = closed;
        self.changed.notify_all();
    }

    fn until_somebody_waits(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| state.waiting == 0).unwrap());
    }
}

impl Disk for Gated {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(GatedFile { file: self.disk.open(path, how)?, gate: self.gate.clone() }))
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

impl DiskFile for GatedFile {
    fn read_at(&self, buf: &mut [u8], position: u64, wait: Wait) -> io::Result<usize> {
        self.file.read_at(buf, position, wait)
    }
    fn write_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        self.gate.pass();
        self.file.write_vectored_at(slices, position)
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.file.set_size(bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass();
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

#[test]
fn readers_do_not_wait_for_a_stalled_append() {
    let gate = Arc::new(Gate::default());
    let dir = log_dir(Gated { disk: FaultyDisk::new(1), gate: gate.clone() });
    let (mut log, _) = open(&dir, 0);
    let batches = singles(0, 200, 60);
    append(&mut log, &batches[..100]).unwrap();
    let reader = log.reader();
    gate.set_closed(true);
    std::thread::scope(|scope| {
        // It rolls twice, and stops in the midst.
        let writer = scope.spawn(|| append(&mut log, &batches[100..]).unwrap());
        gate.until_somebody_waits();
        check_lookups(&reader, &batches[..100]);
        gate.set_closed(false);
        assert_eq!(writer.join().unwrap().offset, 200);
    });
    check_lookups(&reader, &batches);
}

#[test]
fn neither_readers_nor_appends_wait_for_a_stalled_flush() {
    let gate = Arc::new(Gate::default());
    let disk = FaultyDisk::new(1);
    let dir = log_dir(Gated { disk: disk.clone(), gate: gate.clone() });
    let (mut log, _) = open(&dir, 0);
    let batches = singles(0, 120, 60);
    append(&mut log, &batches[..100]).unwrap();
    let reader = log.reader();
    reader.ask_flush();
    gate.set_closed(true);
    std::thread::scope(|scope| {
        let flusher = scope.spawn(|| {
            let options = ottla_storage::FlushOptions { flush_from_bytes: 0, dirty_ms_max: 0, write_back_bytes: 1 };
            ottla_storage::Flusher::new(&dir, options).run_once(Default::default())
        });
        gate.until_somebody_waits();
        check_lookups(&reader, &batches[..100]);
        assert_eq!(reader.flushed().offset, 0);
        gate.set_closed(false);
        assert!(flusher.join().unwrap().iter().all(|flushed| flushed.outcome.is_ok()));
    });
    append(&mut log, &batches[100..]).unwrap();
    check_lookups(&reader, &batches);
}
