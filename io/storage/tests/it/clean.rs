//! Compaction: the newest record of each key stays, whatever the history, and whatever the disk does meanwhile.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::keyed::*;
use crate::support::*;
use ottla_records::{Attributes, BatchBuilder, BatchHeader, BatchOptions, Codec, ControlType, LastBatch, NewRecord};
use ottla_storage::disk::{Disk, FaultyDisk, Open, Operation, read_file};
use ottla_storage::{
    Checkpointed, CleanError, Cleaned, Cleaner, CleanerOptions, Cleaning, Job, Log, LogDir, LogError, LogOptions,
    Removed,
};
use proptest::prelude::*;

const DIR: &str = "/data/t-0";

fn names(disk: &FaultyDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect()
}

fn open_small(dir: &Arc<LogDir>, recovery_point: i64) -> Log {
    open_with(dir, SMALL, recovery_point).0
}

/// One key, with a value of some bytes.
fn row(key: u8) -> (Option<u8>, Option<usize>) {
    (Some(key), Some(20))
}

/// A log in which ten keys were written again and again: so many batches of two, each segment of some batches.
fn much_written(batches: usize) -> (FaultyDisk, Arc<LogDir>, Log, History) {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let mut log = open_small(&dir, 0);
    let mut history = History::default();
    for i in 0..batches {
        let rows =
            Rows { codec: Codec::None, producer: None, rows: vec![row(i as u8 % 10), row((i * 7 + 1) as u8 % 10)] };
        append(&mut log, &[history.batch(&rows)]).unwrap();
    }
    log.roll().unwrap();
    (disk, dir, log, history)
}

#[test]
fn the_newest_record_of_each_key_stays() {
    let (disk, dir, log, mut history) = much_written(100);
    history.pass(0);
    let (removed, cleaned) = clean(&mut cleaner(100), &job(&log, 0, 0, &[]));
    let cleaned = cleaned.unwrap();
    assert_eq!((cleaned.first_dirty, cleaned.records_read, cleaned.records_kept), (200, 200, 10));
    history.check(&log.reader(), 200, 0);
    // Each segment goes on where the one before ended.
    let segments = log.reader().segments().unwrap();
    assert!(removed.segments() > 10);
    assert!(segments.iter().map(|info| info.bytes).sum::<u64>() <= cleaned.bytes_kept);
    assert!(names(&disk).iter().any(|name| name.ends_with(".deleted")));
    removed.set_aside().unwrap();
    removed.remove().unwrap();
    assert!(names(&disk).iter().all(|name| name.split('.').count() == 2), "{:?}", names(&disk));
    log.close().unwrap();
    for recovery_point in [0, 77, 200] {
        history.check(&open_small(&dir, recovery_point).reader(), 200, 0);
    }
}

#[test]
fn what_is_clean_is_left_alone() {
    let (disk, _, log, history) = much_written(100);
    let mut cleaner = cleaner(100);
    // What is left of some segments fits into one, until nothing does.
    for (first_dirty, segments) in [(0, 16), (200, 3), (200, 2)] {
        drop(clean(&mut cleaner, &job(&log, first_dirty, 0, &[])));
        assert_eq!(log.reader().segments().unwrap().len(), segments);
    }
    let files = || names(&disk).into_iter().map(|name| read_file(&disk, &Path::new(DIR).join(name)).unwrap());
    let before: Vec<_> = files().collect();
    let (removed, cleaned) = clean(&mut cleaner, &job(&log, 200, 0, &[]));
    assert!(removed.is_empty());
    assert_eq!(cleaned.unwrap().first_dirty, 200);
    assert!(before == files().collect::<Vec<_>>());
    history.check(&log.reader(), 200, 0);
}

#[test]
fn a_small_map_takes_more_rounds() {
    for keys in 1..12 {
        let (_, _, log, history) = much_written(60);
        let mut cleaner = cleaner(keys);
        let (mut first_dirty, mut rounds) = (0, 0);
        while first_dirty < 120 {
            let (_, cleaned) = clean(&mut cleaner, &job(&log, first_dirty, 0, &[]));
            let cleaned = cleaned.unwrap();
            assert!(cleaned.first_dirty > first_dirty && cleaned.map_use <= 1.0, "{cleaned:?}");
            first_dirty = cleaned.first_dirty;
            history.check(&log.reader(), first_dirty, 0);
            rounds += 1;
        }
        assert_eq!(rounds > 1, keys < 10, "{keys} keys, {rounds} rounds");
    }
}

#[test]
fn what_may_not_be_compacted_is_not() {
    let (_, _, mut log, history) = much_written(100);
    let segments: Vec<i64> = log.reader().segments().unwrap().iter().map(|info| info.base_offset).collect();
    let third = segments[3];
    let (_, cleaned) = clean(&mut cleaner(100), &Job { bound: third + 1, ..job(&log, 0, 0, &[]) });
    assert_eq!(cleaned.unwrap().first_dirty, third, "whole segments only");
    history.check(&log.reader(), third, 0);
    let bases = |log: &Log| log.reader().segments().unwrap().iter().map(|info| info.base_offset).collect::<Vec<_>>();
    assert!(bases(&log).ends_with(&segments[3..]));
    let (_, nothing) = clean(&mut cleaner(100), &Job { bound: 1, ..job(&log, 0, 0, &[]) });
    assert_eq!(nothing.unwrap().first_dirty, 0);
    drop(log.advance_start(200));
    let (removed, nothing) = clean(&mut cleaner(100), &Job { bound: i64::MAX, ..job(&log, 200, 0, &[]) });
    assert_eq!((removed.segments(), nothing.unwrap().first_dirty), (0, 200), "the active segment stays");
}

#[test]
fn its_owner_can_stop_it() {
    let (disk, _, log, history) = much_written(100);
    for pieces in 0.. {
        let mut left = pieces;
        let Cleaning { outcome, .. } = cleaner(100).clean(&job(&log, 0, 0, &[]), &mut |bytes| {
            assert!(bytes < 3000, "a piece of {bytes} bytes");
            left -= 1;
            if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let is_left_over = |name: &String| name.ends_with(".cleaned") || name.ends_with(".swap");
        assert!(!names(&disk).iter().any(is_left_over));
        history.check(&log.reader(), 0, 0);
        if outcome.is_ok() {
            assert!(pieces > 50);
            break;
        }
        assert!(matches!(outcome, Err(CleanError::Stopped)));
    }
}

#[test]
fn what_leaves_the_log_meanwhile_does_not_come_back() {
    let starts = [0, 1, 20, 60, 150, 199, 200];
    for (stop_at, start) in (0..150).step_by(7).flat_map(|at| starts.map(|start| (at, start))) {
        let (disk, dir, mut log, history) = much_written(100);
        let reader = log.reader();
        let segment_bytes = if stop_at % 2 == 0 { SMALL.segment_bytes } else { 1 << 14 };
        let job = Job { segment_bytes, ..job(&log, 0, 0, &[]) };
        let mut gone = Removed::default();
        let mut pieces = 0;
        // Where the log begins when it is opened and nobody tells.
        let mut first = 0;
        let Cleaning { mut removed, outcome } = cleaner(100).clean(&job, &mut |_| {
            pieces += 1;
            if pieces == stop_at {
                let bases = reader.segments().unwrap().into_iter().map(|info| info.base_offset);
                first = bases.filter(|base| *base <= start).max().unwrap();
                gone = log.advance_start(start);
                gone.set_aside().unwrap();
                gone.remove().unwrap();
            }
            ControlFlow::Continue(())
        });
        match outcome {
            Ok(_) | Err(CleanError::Stopped) => {}
            Err(error) => panic!("{error}"),
        }
        assert_eq!(reader.start(), if pieces >= stop_at && stop_at > 0 { start } else { 0 });
        history.check(&reader, 0, 0);
        removed.add(gone);
        removed.set_aside().unwrap();
        removed.remove().unwrap();
        history.check(&reader, 0, 0);
        let log_start = reader.start();
        log.close().unwrap();
        assert!(open_small(&dir, 200).reader().start() >= first);
        let known = Checkpointed { recovery_point: 200, log_start, ..Checkpointed::default() };
        let (log, _) = Log::open(&dir, "t-0", SMALL, known).unwrap();
        assert_eq!(log.reader().start(), log_start);
        history.check(&log.reader(), 0, 0);
        assert!(names(&disk).iter().all(|name| name.split('.').count() == 2), "{:?}", names(&disk));
    }
}

#[test]
fn a_deleted_log_is_not_compacted() {
    for stop_at in [1, 5, 40, 80] {
        let (disk, dir, log, _) = much_written(100);
        let job = job(&log, 0, 0, &[]);
        let mut log = Some(log);
        let mut pieces = 0;
        let Cleaning { outcome, .. } = cleaner(100).clean(&job, &mut |_| {
            pieces += 1;
            if pieces == stop_at {
                log.take().unwrap().delete(ottla_base::Uuid([7; 16])).unwrap();
                // Another of its name.
                open_small(&dir, 0);
            }
            ControlFlow::Continue(())
        });
        assert!(matches!(outcome, Err(CleanError::Stopped)), "{outcome:?}");
        assert_eq!(names(&disk), ["00000000000000000000.log"]);
    }
}

#[test]
fn a_damaged_batch_ends_it_and_changes_nothing() {
    let (disk, _, log, history) = much_written(100);
    let size = history.headers[0].size_bytes();
    let is_covered = |at: &usize| !(12..16).contains(&(at % size));
    let path = PathBuf::from(DIR).join(format!("{:020}.log", 0));
    let files = |disk: &FaultyDisk| {
        let files =
            names(disk).into_iter().map(|name| (name.clone(), read_file(disk, &Path::new(DIR).join(name)).unwrap()));
        files.collect::<Vec<_>>()
    };
    let whole = read_file(&disk, &path).unwrap();
    log.flush().unwrap();
    for at in (0..whole.len()).step_by(11).filter(is_covered) {
        let mut spoilt = whole.clone();
        spoilt[at] ^= 0x10;
        let file = disk.open(&path, Open::Write).unwrap();
        file.write_vectored_at(&[std::io::IoSlice::new(&spoilt)], 0).unwrap();
        let before = files(&disk);
        let (removed, outcome) = clean(&mut cleaner(100), &job(&log, 0, 0, &[]));
        match outcome {
            Err(CleanError::Log(LogError::Corrupt { path: found, .. })) => assert_eq!(found, path),
            // A flag that says that a transaction is open.
            Ok(cleaned) => assert_eq!((cleaned.first_dirty, at % size), (0, 22), "byte {at} was not missed"),
            Err(error) => panic!("byte {at}: {error}"),
        }
        assert!(removed.is_empty() && before == files(&disk), "byte {at}");
    }
}

fn cleaner_that_unpacks(unpacked_bytes_max: usize) -> Cleaner {
    Cleaner::new(CleanerOptions { map_bytes: 24_000, load_factor: 0.9, buffer_bytes: 300, unpacked_bytes_max })
}

#[test]
fn a_large_batch_is_copied() {
    let (_, _, mut log, mut history) = much_written(10);
    let large = |codec| Rows { codec, producer: None, rows: vec![(Some(1), Some(200_000)), (Some(2), Some(10))] };
    append(&mut log, &[history.batch(&large(Codec::Zstd))]).unwrap();
    append(&mut log, &[history.batch(&large(Codec::None))]).unwrap();
    log.roll().unwrap();
    let (_, outcome) = clean(&mut cleaner_that_unpacks(300_000), &job(&log, 0, 0, &[]));
    let cleaned = outcome.unwrap();
    assert_eq!(cleaned.too_large, None);
    history.check(&log.reader(), cleaned.first_dirty, 0);
}

#[test]
fn a_batch_that_unpacks_to_too_much_is_kept_whole_and_tombstones_behind_it_stay() {
    const LIMIT: usize = 1000;
    let dir = log_dir(FaultyDisk::new(1));
    let mut log = open_small(&dir, 0);
    let mut history = History::default();
    let value = |key| (Some(key), Some(100));
    let large_value = |key| (Some(key), Some(300));
    let tombstone = |key| (Some(key), None);
    let batches = [
        // Offsets 0 to 3. The last of them goes for a tombstone before the large batch.
        vec![value(1), value(2), value(1), value(7)],
        vec![tombstone(7)],
        // 5 to 9: too large.
        vec![large_value(1), large_value(2), large_value(3), large_value(4), tombstone(5)],
        // 10 to 12
        vec![value(1), tombstone(3), value(6)],
        vec![value(6), value(8)],
    ];
    for rows in batches {
        append(&mut log, &[history.batch(&Rows { codec: Codec::Zstd, producer: None, rows })]).unwrap();
        log.roll().unwrap();
    }
    let offsets = |log: &Log| read_rows(&log.reader()).0.iter().map(|row| row.offset).collect::<Vec<_>>();
    let batch_at = |log: &Log, base_offset| {
        read_rows(&log.reader()).1.into_iter().find(|header| header.base_offset == base_offset).unwrap()
    };
    let large = batch_at(&log, 5);
    let horizon = DELETE_RETENTION_MS;
    let check = |log: &Log, (first_dirty, now_ms): (i64, i64), too_large: Option<i64>, expected: &[i64]| {
        let job = Job { segment_bytes: 1, ..job(log, first_dirty, now_ms, &[]) };
        let cleaned = clean(&mut cleaner_that_unpacks(LIMIT), &job).1.unwrap();
        assert_eq!((cleaned.first_dirty, cleaned.too_large), (15, too_large));
        assert_eq!(offsets(log), expected, "at {now_ms}");
    };
    // Of key 1 the one before the large batch goes for the one behind it; of key 2 the one before it stays.
    check(&log, (0, 0), Some(5), &[1, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14]);
    assert_eq!(batch_at(&log, 10).delete_horizon(), Some(horizon));
    // The tombstone behind it would have its time, as has the one before it. Key 3 would be back.
    check(&log, (15, horizon), Some(5), &[1, 5, 6, 7, 8, 9, 10, 11, 13, 14]);
    assert_eq!(batch_at(&log, 5), large);
    // When the large batch has gone, it may go.
    drop(log.advance_start(10));
    check(&log, (15, horizon), None, &[10, 13, 14]);
}

/// A batch of a transaction: a data batch of these keys, or a marker.
fn transactional(base_offset: i64, producer_id: i64, what: Result<&[u8], ControlType>) -> Batch {
    let attributes = Attributes::default().with_transactional();
    let attributes = if what.is_err() { attributes.with_control() } else { attributes };
    let options = BatchOptions { base_offset, attributes, producer_id, producer_epoch: 0, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    match what {
        Ok(keys) => keys.iter().for_each(|key| {
            builder.push(&NewRecord { timestamp: base_offset, key: Some(&[*key]), value: Some(b"v"), headers: &[] });
        }),
        Err(kind) => {
            builder.push(&NewRecord { timestamp: 5, key: Some(&kind.key()), value: Some(&[0; 6]), headers: &[] })
        }
    }
    let bytes = builder.finish();
    Batch { header: BatchHeader::parse(&bytes).unwrap(), bytes }
}

/// Base offsets of the batches, and how many records each has.
fn extents(log: &Log) -> Vec<(i64, i32)> {
    read_rows(&log.reader()).1.iter().map(|header| (header.base_offset, header.record_count)).collect()
}

#[test]
fn of_aborted_transactions_nothing_stays_and_of_open_ones_everything() {
    let dir = log_dir(FaultyDisk::new(1));
    let mut log = open_small(&dir, 0);
    let (abort, commit) = (Err(ControlType::Abort), Err(ControlType::Commit));
    let batches = [
        transactional(0, 1, Ok(b"ab")),
        transactional(2, 2, Ok(b"bc")),
        transactional(4, 1, abort),
        transactional(5, 2, commit),
        transactional(6, 1, Ok(b"a")),
        transactional(7, 1, commit),
    ];
    append(&mut log, &batches).unwrap();
    log.roll().unwrap();
    append(&mut log, &[transactional(8, 3, Ok(b"c")), transactional(9, 3, Ok(b"d"))]).unwrap();
    log.roll().unwrap();
    append(&mut log, &[transactional(10, 4, Ok(b"e")), transactional(11, 3, abort)]).unwrap();
    log.roll().unwrap();
    let run = |log: &Log, first_dirty, now_ms, last_batches: &[LastBatch]| {
        clean(&mut cleaner(50), &job(log, first_dirty, now_ms, last_batches)).1.unwrap().first_dirty
    };
    // Producer 4 has not ended its own: the segment is not compacted. The marker of 3 is behind what is.
    assert_eq!(run(&log, 0, 0, &[]), 10);
    let expected = [(2, 2), (4, 1), (5, 1), (6, 1), (7, 1), (9, 0), (10, 1), (11, 1)];
    assert_eq!(extents(&log), expected, "9 is the last of its segment");
    // Of the transaction that was aborted at 4 there is nothing left: its marker waits from now on.
    assert_eq!(run(&log, 10, 1000, &[]), 10);
    assert_eq!(run(&log, 10, 1099, &[]), 10);
    assert_eq!(extents(&log), expected);
    assert_eq!(run(&log, 10, 1100, &[]), 10);
    assert_eq!(extents(&log), [(2, 2), (5, 1), (6, 1), (7, 1), (9, 0), (10, 1), (11, 1)]);
    // Those that were committed keep theirs while they have records.
    append(&mut log, &[transactional(12, 4, abort), transactional(13, 5, Ok(b"abc")), transactional(16, 5, commit)])
        .unwrap();
    log.roll().unwrap();
    assert_eq!(run(&log, 10, 2000, &[]), 17);
    assert_eq!(extents(&log), [(5, 1), (7, 1), (11, 1), (12, 1), (13, 3), (16, 1)]);
    let last = LastBatch { producer_id: 2, producer_epoch: 0, last_offset: None };
    run(&log, 17, 2500, &[last]);
    assert_eq!(run(&log, 17, 3000, &[last]), 17);
    assert_eq!(extents(&log), [(5, 0), (13, 3), (16, 1)], "a marker may be all that tells of a producer");
}

/// Readers are not disturbed: at any moment every offset leads to where it should.
#[test]
fn readers_find_everything_while_segments_are_swapped() {
    let (_, _, log, history) = much_written(300);
    let newest: Vec<i64> = {
        let mut by_key = BTreeMap::new();
        by_key.extend(history.rows.iter().map(|row| (&row.key, row.offset)));
        by_key.into_values().collect()
    };
    let done = AtomicBool::new(false);
    let rounds = std::thread::scope(|scope| {
        let read = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                for &offset in &newest {
                    let base = base_at(&log.reader(), offset);
                    assert!((offset - 1..=offset).contains(&base), "{offset} leads to {base}");
                }
                let (rows, _) = read_rows(&log.reader());
                assert!(newest.iter().all(|offset| rows.iter().any(|row| row.offset == *offset)));
                rounds += 1;
            }
            rounds
        });
        let mut cleaner = cleaner(4);
        let mut first_dirty = 0;
        while first_dirty < 600 {
            let (removed, cleaned) = clean(&mut cleaner, &job(&log, first_dirty, 0, &[]));
            first_dirty = cleaned.unwrap().first_dirty;
            removed.set_aside().unwrap();
            removed.remove().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        read.join().unwrap()
    });
    assert!(rounds > 2, "{rounds}");
}

/// The log's owner goes on as if nothing happened, on another thread.
#[test]
fn appends_go_on_meanwhile() {
    fn is_send<T: Send>(_: &T) {}
    let (_, dir, mut log, mut history) = much_written(20);
    let reader = log.reader();
    let batches: Vec<_> = (0..2000)
        .map(|i| Rows { codec: Codec::None, producer: None, rows: vec![row(i as u8 % 50), row(i as u8 % 7)] })
        .map(|rows| history.batch(&rows))
        .collect();
    let mut cleaner = cleaner(1000);
    is_send(&cleaner);
    let mut first_dirty = 0;
    std::thread::scope(|scope| {
        let append = scope.spawn(|| {
            for some in batches.chunks(3) {
                append(&mut log, some).unwrap();
            }
            log
        });
        while !append.is_finished() {
            let job = job_of(reader.clone(), first_dirty, 0, &[]);
            let (removed, cleaned) = clean(&mut cleaner, &job);
            first_dirty = cleaned.unwrap().first_dirty;
            removed.remove().unwrap();
        }
        let log = append.join().unwrap();
        history.check(&reader, first_dirty, 0);
        log.close().unwrap();
    });
    history.check(&open_small(&dir, 0).reader(), first_dirty, 0);
}

#[derive(Clone, Debug)]
enum Step {
    Append(Rows),
    Roll,
    Flush,
    Pass { after_ms: i64 },
    Remove,
    Advance,
    Checkpoint,
}

fn rows() -> impl Strategy<Value = Rows> {
    let key = prop_oneof![1 => Just(None), 12 => (0..12u8).prop_map(Some)];
    let value = prop_oneof![2 => Just(None), 6 => (0..40usize).prop_map(Some), 1 => (300..700usize).prop_map(Some)];
    let codec = (0..5u8).prop_map(|id| Codec::from_id(id).unwrap());
    let producer = prop_oneof![3 => Just(None), 2 => (0..3i64).prop_map(Some)];
    (codec, producer, prop::collection::vec((key, value), 1..8)).prop_map(|(codec, producer, rows)| Rows {
        codec,
        producer,
        rows,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => rows().prop_map(Step::Append),
        2 => Just(Step::Roll),
        1 => Just(Step::Flush),
        4 => (0..80i64).prop_map(|after_ms| Step::Pass { after_ms }),
        1 => Just(Step::Remove),
        1 => Just(Step::Advance),
        1 => Just(Step::Checkpoint),
    ]
}

/// What is known of a compacted log between the lives of its machine.
struct Known {
    history: History,
    keys: usize,
    flushed: i64,
    /// The end that an append has returned.
    returned: i64,
    start: i64,
    clean_to: i64,
    now_ms: i64,
    checkpointed: Checkpointed,
    /// Nothing will fail: what a pass leaves can be looked at.
    checks_at_once: bool,
}

impl Known {
    fn nothing(keys: usize) -> Known {
        let history = History::default();
        Known {
            history,
            keys,
            flushed: 0,
            returned: 0,
            start: 0,
            clean_to: 0,
            now_ms: 0,
            checkpointed: Checkpointed::default(),
            checks_at_once: false,
        }
    }

    fn reopen(&mut self, dir: &Arc<LogDir>, is_power_lost: bool) -> Log {
        let known = Checkpointed { cleaned: 0, ..self.checkpointed };
        let (log, _) = Log::open(dir, "t-0", SMALL, known).unwrap();
        let (start, end) = (log.reader().start(), log.end().offset);
        assert!((self.checkpointed.log_start..=self.start).contains(&start), "the log begins at {start}");
        assert!(
            end >= self.flushed && (is_power_lost || end >= self.returned),
            "{end} {} {}",
            self.flushed,
            self.returned
        );
        self.history.truncate(end);
        (self.start, self.returned) = (start, end);
        // The passes of before may or may not be in it, but for what the checkpoint says.
        self.clean_to = self.checkpointed.cleaned;
        self.history.check(&log.reader(), self.clean_to, self.now_ms);
        log
    }

    fn live(&mut self, disk: &FaultyDisk, mut log: Log, steps: &[Step]) -> Option<()> {
        let mut cleaner = cleaner(self.keys);
        let mut removed = Removed::default();
        for step in steps {
            match step {
                Step::Append(rows) => {
                    self.history.truncate(self.returned);
                    let batch = self.history.batch(rows);
                    match append(&mut log, std::slice::from_ref(&batch)) {
                        Ok(end) => self.returned = end.offset,
                        Err(_) if disk.has_stopped() => return None,
                        Err(_) => self.history.truncate(self.returned),
                    }
                }
                Step::Roll => drop(log.roll()),
                Step::Flush => self.flushed = log.flush().map_or(self.flushed, |place| place.offset),
                Step::Pass { after_ms } => {
                    self.now_ms += after_ms;
                    self.history.pass(self.now_ms);
                    let last_batches = self.history.last_batches();
                    let first_dirty = self.clean_to.max(self.start);
                    let (gone, outcome) = clean(&mut cleaner, &job(&log, first_dirty, self.now_ms, &last_batches));
                    removed.add(gone);
                    self.flushed = self.flushed.max(log.reader().flushed().offset);
                    match outcome {
                        Ok(Cleaned { first_dirty, .. }) => self.clean_to = first_dirty,
                        Err(_) if disk.has_stopped() => return None,
                        Err(_) => {}
                    }
                    if self.checks_at_once {
                        self.history.check(&log.reader(), self.clean_to, self.now_ms);
                    }
                }
                Step::Remove => {
                    if removed.set_aside().is_ok() {
                        let _ = std::mem::take(&mut removed).remove();
                    }
                }
                Step::Advance => {
                    self.start = self.start.max((self.start + self.returned) / 2);
                    removed.add(log.advance_start(self.start));
                    // Or the tombstones of what is below could be gone when it is there again.
                    self.checkpointed.log_start = self.start;
                }
                Step::Checkpoint => {
                    self.checkpointed.recovery_point = log.reader().recovery_point();
                    self.checkpointed.cleaned = self.clean_to;
                }
            }
        }
        Some(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_newest_of_each_key(
        keys in 1..20usize,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let disk = FaultyDisk::new(1);
        let dir = log_dir(disk.clone());
        let mut known = Known { checks_at_once: true, ..Known::nothing(keys) };
        for steps in [&steps[..], &[Step::Pass { after_ms: 0 }, Step::Checkpoint], &[]] {
            let log = known.reopen(&dir, false);
            known.live(&disk, log, steps);
        }
    }

    #[test]
    fn a_crash_at_any_operation_leaves_a_log(
        seed: u64,
        keys in 1..20usize,
        lives in prop::collection::vec((prop::collection::vec(step(), 5..60), 1..250u64, any::<bool>()), 1..6),
    ) {
        let disk = FaultyDisk::new(seed);
        let mut known = Known::nothing(keys);
        let mut is_power_lost = false;
        for (steps, stop_after, next) in lives {
            let log = known.reopen(&log_dir(disk.clone()), is_power_lost);
            disk.stop_at(disk.operations() + stop_after);
            known.live(&disk, log, &steps);
            is_power_lost = next;
            if is_power_lost { disk.power_loss() } else { disk.kill() }
        }
        let dir = log_dir(disk.clone());
        let log = known.reopen(&dir, is_power_lost);
        // And it can be compacted again.
        known.checks_at_once = true;
        known.live(&disk, log, &[Step::Roll, Step::Pass { after_ms: 0 }, Step::Pass { after_ms: 200 }]);
    }
}

/// Each rename of the swap, alone.
#[test]
fn a_rename_that_fails_leaves_a_log_that_is_read_and_finished_later() {
    for extension in ["log", "index", "timeindex"] {
        for fate in ["cleaned", "swap", ""] {
            let (disk, dir, mut log, mut history) = much_written(60);
            let segments = log.reader().segments().unwrap();
            let (second, middle) = (segments[1].base_offset, segments[segments.len() / 2].base_offset);
            // The first segment's own files get their name last, the second's are only set aside.
            let base = if fate.is_empty() { second } else { 0 };
            let name = format!("{base:020}.{extension}.{fate}");
            let name = name.trim_end_matches('.');
            log.flush().unwrap();
            // Not when it is removed again, only when it is renamed: the first of the two.
            disk.fail_next(Operation::Names, name, ErrorKind::Other);
            let group = LogOptions { segment_bytes: 1 << 20, ..SMALL };
            let wide = |log: &Log| Job { segment_bytes: group.segment_bytes, ..job(log, 0, 0, &[]) };
            let (removed, outcome) = clean(&mut cleaner(100), &wide(&log));
            assert!(matches!(outcome, Err(CleanError::Log(LogError::Io { .. }))), "{name}: {outcome:?}");
            history.check(&log.reader(), 0, 0);
            let (_, again) = clean(&mut cleaner(100), &wide(&log));
            assert!(again.is_err(), "{name}");
            let more = history.batch(&Rows { codec: Codec::None, producer: None, rows: vec![row(3)] });
            append(&mut log, &[more]).unwrap();
            drop(removed);
            if extension == "index" {
                // Segments that were to be replaced leave first.
                let gone = log.advance_start(middle);
                gone.set_aside().unwrap();
                gone.remove().unwrap();
                history.check(&log.reader(), 0, 0);
            }
            let start = log.reader().start();
            let end = log.close().unwrap().offset;
            let known = Checkpointed { recovery_point: end, log_start: start, ..Checkpointed::default() };
            let (log, _) = Log::open(&dir, "t-0", SMALL, known).unwrap();
            assert_eq!(log.reader().start(), start);
            history.check(&log.reader(), 0, 0);
            let (_, cleaned) = clean(&mut cleaner(100), &wide(&log));
            history.check(&log.reader(), cleaned.unwrap().first_dirty, 0);
        }
    }
}
