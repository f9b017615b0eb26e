//! Segments that are compacted or removed in the middle of a look-up: at each of its reads, once.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::keyed::*;
use crate::support::*;
use ottla_records::Codec;
use ottla_storage::disk::{Disk, FaultyDisk, Operation, Wait, Watch, WatchedDisk};
use ottla_storage::{FirstBatch, Job, Log, LogError, Place, Reader, Want};

type Act = Box<dyn FnOnce() + Send>;

/// Does something before one of the reads that are asked for.
#[derive(Default)]
struct Interruption(Mutex<(usize, Option<Act>)>);

impl std::fmt::Debug for Interruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interruption")
    }
}

impl Interruption {
    /// Before the read after so many others.
    fn after(&self, reads: usize, act: Act) {
        *self.0.lock().unwrap() = (reads, Some(act));
    }

    /// Whether it has not come to that.
    fn is_left(&self) -> bool {
        self.0.lock().unwrap().1.take().is_some()
    }
}

impl Watch for Interruption {
    fn before(&self, operation: Operation) {
        if operation != Operation::Read {
            return;
        }
        let act = {
            let (reads, act) = &mut *self.0.lock().unwrap();
            *reads = reads.wrapping_sub(1);
            if *reads == usize::MAX { act.take() } else { None }
        };
        if let Some(act) = act {
            act();
        }
    }
}

/// A log of many segments in which the first and the last batch hold keys that are written once, and those between two keys
/// that are written again and again.
fn log_on(disk: impl Disk + 'static) -> (Log, History) {
    let dir = log_dir(disk);
    let mut log = open_with(&dir, SMALL, 0).0;
    let mut history = History::default();
    for i in 0..60 {
        let key = if i == 0 || i == 59 { 100 + i } else { i % 2 };
        let rows =
            Rows { codec: Codec::None, producer: None, rows: vec![(Some(key), Some(40)), (Some(key), Some(40))] };
        append(&mut log, &[history.batch(&rows)]).unwrap();
    }
    log.roll().unwrap();
    let end = log.close().unwrap().offset;
    // Nothing is known of it, and no file is open.
    (open_with(&dir, SMALL, end).0, history)
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// And the files of before are removed.
    Compacted,
    /// The files of before have other names.
    Replaced,
    StartMoved,
}

fn act(event: Event, log: &Arc<Mutex<Log>>) -> Act {
    let log = log.clone();
    Box::new(move || {
        let mut log = log.lock().unwrap();
        let removed = match event {
            Event::Compacted | Event::Replaced => {
                let (removed, outcome) =
                    clean(&mut cleaner(50), &Job { segment_bytes: 1 << 20, ..job(&log, 0, 0, &[]) });
                outcome.unwrap();
                removed
            }
            Event::StartMoved => log.advance_start(80),
        };
        removed.set_aside().unwrap();
        if !matches!(event, Event::Replaced) {
            removed.remove().unwrap();
        }
    })
}

/// Looks something up, and lets `event` happen before each of the reads that it takes.
fn check(
    event: Event,
    look_up: impl Fn(&Reader) -> Result<i64, LogError>,
    expected: impl Fn(Result<i64, LogError>) -> bool,
) {
    for reads in 0.. {
        let watch = Arc::new(Interruption::default());
        let (log, _) = log_on(WatchedDisk::new(FaultyDisk::new(1), watch.clone()));
        let reader = log.reader();
        reader.segments().unwrap();
        let log = Arc::new(Mutex::new(log));
        watch.after(reads, act(event, &log));
        let found = look_up(&reader);
        let is_left = watch.is_left();
        let text = format!("{found:?}");
        assert!(is_left || expected(found), "{event:?} at read {reads}: {text}");
        if is_left {
            assert!(reads > 0);
            return;
        }
    }
}

fn view(reader: &Reader, offset: i64) -> Result<i64, LogError> {
    let want = Want { offset, limit: reader.end(), bytes_max: 1, first: FirstBatch::Whole, wait: Wait::Yes };
    reader.view(&want).map(|view| view.base_offset)
}

#[test]
fn offsets_lead_where_they_did_or_do() {
    for event in [Event::Compacted, Event::Replaced] {
        check(event, |reader| view(reader, 1), |found| matches!(found, Ok(0)));
        // A batch of before, or the next one that is left: that of the newest of both keys, or the last of all.
        check(event, |reader| view(reader, 60), |found| matches!(found, Ok(60 | 114)));
        check(event, |reader| view(reader, 119), |found| matches!(found, Ok(118)));
    }
    let is_out = |found: &Result<i64, LogError>| matches!(found, Err(LogError::OutOfRange { offset: 30, .. }));
    check(Event::StartMoved, |reader| view(reader, 30), |found| matches!(found, Ok(30)) || is_out(&found));
    check(Event::StartMoved, |reader| view(reader, 80), |found| matches!(found, Ok(80)));
}

#[test]
fn times_lead_where_they_did_or_do() {
    let newest = |reader: &Reader| reader.max_timestamp(Wait::Yes).map(|found| found.unwrap().offset);
    for event in [Event::Compacted, Event::Replaced, Event::StartMoved] {
        let last = newest(&log_on(FaultyDisk::new(1)).0.reader()).unwrap();
        check(event, newest, |found| matches!(found, Ok(offset) if offset >= 80 || offset == last));
    }
    let find = |reader: &Reader| {
        let found = reader.find_timestamp(1150, reader.end(), Wait::Yes)?;
        Ok(found.map_or(-1, |found| found.offset))
    };
    let before = find(&log_on(FaultyDisk::new(1)).0.reader()).unwrap();
    let after = {
        let (log, _) = log_on(FaultyDisk::new(1));
        let reader = log.reader();
        let log = Arc::new(Mutex::new(log));
        act(Event::Compacted, &log)();
        find(&reader).unwrap()
    };
    assert!(before > 80 && after >= before);
    for event in [Event::Compacted, Event::Replaced] {
        check(event, find, |found| matches!(found, Ok(offset) if offset == before || offset == after));
    }
    check(Event::StartMoved, find, |found| matches!(found, Ok(offset) if offset == before));
}

/// The end that somebody noted before its segment was compacted.
#[test]
fn a_place_in_a_segment_that_was_compacted_is_still_its_end() {
    let (log, history) = log_on(FaultyDisk::new(1));
    let segments = log.reader().segments().unwrap();
    let first = &segments[0];
    let limit = Place { offset: first.next_offset, segment: first.base_offset, position: first.bytes };
    let (_, outcome) = clean(&mut cleaner(50), &job(&log, 0, 0, &[]));
    outcome.unwrap();
    history.check(&log.reader(), 120, 0);
    for bytes_max in [1, 1 << 20] {
        read(&log.reader(), 0, limit, bytes_max);
    }
}

#[test]
fn what_a_segment_leaves_behind_is_not_written_again() {
    let disk = FaultyDisk::new(1);
    let (mut log, _) = log_on(disk.clone());
    let info = log.reader().segments().unwrap().swap_remove(0);
    let dir = Path::new("/data/t-0");
    for entry in disk.list(dir).unwrap().iter().filter(|entry| entry.name.ends_with("index")) {
        disk.remove_file(&dir.join(&entry.name)).unwrap();
    }
    let removed = log.advance_start(100);
    removed.set_aside().unwrap();
    // Its index must be made again, in memory.
    let largest = info.largest_timestamp();
    assert!(
        largest.is_ok() || matches!(&largest, Err(LogError::Io { cause, .. }) if cause.kind() == ErrorKind::NotFound)
    );
    removed.remove().unwrap();
    let left = disk.list(dir).unwrap().into_iter().map(|entry| entry.name);
    assert!(left.into_iter().all(|name| !name.starts_with("00000000000000000000")));
}
