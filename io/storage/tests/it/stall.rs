//! A disk that does not answer a write stops who writes, and nobody who reads what is written.

use std::sync::{Arc, Condvar, Mutex};

use ottla_storage::disk::{FaultyDisk, Operation, Watch, WatchedDisk};

use crate::support::*;

/// Writes and syncs wait for it.
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

impl Watch for Gate {
    fn before(&self, operation: Operation) {
        if matches!(operation, Operation::Write | Operation::Sync) {
            self.pass();
        }
    }
}

#[test]
fn readers_do_not_wait_for_a_stalled_append() {
    let gate = Arc::new(Gate::default());
    let dir = log_dir(WatchedDisk::new(FaultyDisk::new(1), gate.clone()));
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
    let dir = log_dir(WatchedDisk::new(FaultyDisk::new(1), gate.clone()));
    let (mut log, _) = open(&dir, 0);
    let batches = singles(0, 120, 60);
    append(&mut log, &batches[..100]).unwrap();
    let reader = log.reader();
    reader.ask_flush();
    gate.set_closed(true);
    std::thread::scope(|scope| {
        let flusher = scope.spawn(|| {
            let options =
                ottla_storage::FlushOptions { flush_from_bytes: 0, dirty_ms_max: 0, write_back_bytes: nonzero(1) };
            ottla_storage::Flusher::new(&dir, options).run_once(Default::default(), &|| 0)
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
