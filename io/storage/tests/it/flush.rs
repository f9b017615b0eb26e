//! What the flusher flushes, when, and what it says of it.

use std::io::ErrorKind;
use std::path::Path;

use ottla_base::Now;
use ottla_storage::disk::{Disk, FaultyDisk, Open, Operation, read_file};
use ottla_storage::{Checkpointed, FlushOptions, Flusher, Log, LogOptions};

use crate::support::*;

const FLUSH: FlushOptions =
    FlushOptions { flush_from_bytes: 1 << 29, dirty_ms_max: 10_000, write_back_bytes: nonzero(1 << 30) };

fn at(mono_ms: i64) -> Now {
    Now { mono_ms, wall_ms: 0 }
}

#[test]
fn a_flush_covers_all_that_was_asked_meanwhile() {
    let dir = log_dir(FaultyDisk::new(1));
    let mut flusher = Flusher::new(&dir, FLUSH);
    let (mut log, _) = open(&dir, 0);
    let (mut idle, _) = Log::open(&dir, "t-1", OPTIONS, Checkpointed::default()).unwrap();
    append(&mut idle, &singles(0, 1, 10)).unwrap();
    for offset in 0..3 {
        append(&mut log, &singles(offset, 1, 10)).unwrap();
        log.reader().ask_flush();
    }
    let flushed = flusher.run_once(at(0), &|| 0);
    assert_eq!(flushed.len(), 1);
    assert!(flushed[0].log.is_same(&log.reader()));
    assert_eq!(flushed[0].outcome.as_ref().unwrap(), &log.end());
    assert_eq!((log.reader().flushed().offset, log.reader().recovery_point()), (3, 3));
    assert_eq!(idle.reader().flushed().offset, 0);
    assert!(flushed[0].had_more && flusher.run_once(at(1), &|| 0).is_empty());
    log.reader().ask_flush();
    let again = flusher.run_once(at(2), &|| 0);
    assert!(again[0].outcome.is_ok() && !again[0].had_more);
}

#[test]
fn what_nobody_asked_for_is_written_back_in_steps() {
    let dir = log_dir(FaultyDisk::new(1));
    let mut flusher = Flusher::new(&dir, FlushOptions { write_back_bytes: nonzero(2 << 20), ..FLUSH });
    let options = LogOptions { segment_bytes: 1 << 30, ..OPTIONS };
    let (mut log, _) = Log::open(&dir, "t-1", options, Checkpointed::default()).unwrap();
    let mut grow = |offsets: std::ops::Range<i64>| {
        for offset in offsets {
            append(&mut log, &singles(offset, 1, 500 << 10)).unwrap();
        }
        assert!(flusher.run_once(at(0), &|| 0).is_empty());
        let mut backs = flusher.take_write_backs();
        backs.iter_mut().map(|back| 1 + std::iter::from_fn(|| back.step().then_some(())).count()).collect::<Vec<_>>()
    };
    assert_eq!(grow(0..4), [], "too little");
    assert_eq!(grow(4..9), [2], "4.4 MiB, of which 4");
    assert_eq!(grow(9..12), [], "5.9");
    assert_eq!(grow(12..13), [1], "6.3: only what is new");
}

#[test]
fn what_has_been_flushed_or_deleted_meanwhile_is_not_written_back() {
    let dir = log_dir(FaultyDisk::new(1));
    let mut flusher = Flusher::new(&dir, FlushOptions { write_back_bytes: nonzero(1 << 20), ..FLUSH });
    let options = LogOptions { segment_bytes: 1 << 30, ..OPTIONS };
    let mut write_back_of = |topic: &str| {
        let (mut log, _) = Log::open(&dir, topic, options, Checkpointed::default()).unwrap();
        for offset in 0..7 {
            append(&mut log, &singles(offset, 1, 500 << 10)).unwrap();
        }
        assert!(flusher.run_once(at(0), &|| 0).is_empty());
        (log, flusher.take_write_backs().remove(0))
    };
    let (log, mut of_flushed) = write_back_of("t-1");
    assert!(of_flushed.step(), "two more of three");
    log.reader().flush().unwrap();
    assert!(!of_flushed.step());
    let (log, mut of_deleted) = write_back_of("t-2");
    assert!(of_deleted.step());
    log.delete(ottla_base::Uuid([1; 16])).unwrap();
    assert!(!of_deleted.step());
}

#[test]
fn nothing_stays_dirty_for_long() {
    let dir = log_dir(FaultyDisk::new(1));
    let mut flusher = Flusher::new(&dir, FLUSH);
    let (mut log, _) = open(&dir, 0);
    let mut offset = 0;
    let mut step = |now, appends: bool| {
        if appends {
            append(&mut log, &singles(offset, 1, 10)).unwrap();
            offset += 1;
        }
        let flushed = flusher.run_once(at(now), &|| 0).len();
        (flushed, log.reader().recovery_point(), dir.dirty_bytes() > 0)
    };
    assert_eq!(step(100, true), (0, 0, true));
    assert_eq!(step(10_099, true), (0, 0, true));
    assert_eq!(step(10_100, false), (1, 2, false));
    assert_eq!(step(30_000, false), (0, 2, false));
    assert_eq!(step(30_001, true), (0, 2, true));
    assert_eq!(step(40_001, false), (1, 3, false));
}

#[test]
fn the_dirtiest_is_flushed_when_there_is_too_much() {
    let dir = log_dir(FaultyDisk::new(1));
    let mut flusher = Flusher::new(&dir, FlushOptions { flush_from_bytes: 5000, ..FLUSH });
    let (mut small, _) = open(&dir, 0);
    let (mut large, _) = Log::open(&dir, "t-1", OPTIONS, Checkpointed::default()).unwrap();
    append(&mut small, &singles(0, 1, 100)).unwrap();
    append(&mut large, &singles(0, 1, 4000)).unwrap();
    assert!(flusher.run_once(at(0), &|| 0).is_empty());
    append(&mut large, &singles(1, 1, 4000)).unwrap();
    let flushed = flusher.run_once(at(1), &|| 0);
    assert_eq!(flushed.len(), 1);
    assert!(flushed[0].log.is_same(&large.reader()));
    assert!(dir.dirty_bytes() < 200);
    drop(small);
    drop(flusher);
    assert_eq!(dir.dirty_bytes(), 0, "a log that is gone is not dirty");
}

/// Its directory may have another name by then.
#[test]
fn a_log_that_was_dropped_is_not_flushed() {
    let dir = log_dir(FaultyDisk::new(1));
    let mut flusher = Flusher::new(&dir, FLUSH);
    let (mut log, _) = open(&dir, 0);
    append(&mut log, &singles(0, 10, 100)).unwrap();
    log.reader().ask_flush();
    assert!(flusher.run_once(at(0), &|| 0)[0].outcome.is_ok());
    append(&mut log, &singles(10, 10, 100)).unwrap();
    drop(log);
    // After a crash it is dirty as soon as it is open.
    let (log, _) = open(&dir, 10);
    assert!(flusher.run_once(at(1), &|| 0).is_empty());
    drop(log);
    assert!(flusher.run_once(at(20_000), &|| 0).is_empty());
}

#[test]
fn one_that_fails_is_not_tried_each_time_there_is_too_much() {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let mut flusher = Flusher::new(&dir, FlushOptions { flush_from_bytes: 3000, ..FLUSH });
    let (mut log, _) = open(&dir, 0);
    append(&mut log, &singles(0, 1, 4000)).unwrap();
    disk.fail_all(Operation::Sync, ".log", ErrorKind::Other);
    let mut tried = |now| flusher.run_once(at(now), &|| 0).len();
    assert_eq!([tried(0), tried(1), tried(9_999), tried(10_000), tried(10_001)], [1, 0, 0, 1, 0]);
    disk.mend();
    assert_eq!([tried(19_999), tried(20_000), tried(20_001)], [0, 1, 0]);
    assert_eq!(dir.dirty_bytes(), 0);
}

#[test]
fn a_failed_sync_is_not_believed_the_next_time() {
    let disk = FaultyDisk::new(7);
    let dir = log_dir(disk.clone());
    let mut flusher = Flusher::new(&dir, FLUSH);
    let (mut log, _) = open(&dir, 0);
    let batches = singles(0, 40, 200);
    append(&mut log, &batches).unwrap();
    log.reader().ask_flush();
    disk.fail_next(Operation::Sync, ".log", ErrorKind::Other);
    assert!(flusher.run_once(at(0), &|| 0)[0].outcome.is_err());
    assert_eq!(log.reader().flushed().offset, 0);
    log.reader().ask_flush();
    assert!(flusher.run_once(at(1), &|| 0)[0].outcome.is_ok());
    disk.power_loss();
    let (log, _) = open(&log_dir(disk), 40);
    check_lookups(&log.reader(), &batches);
}

#[test]
fn the_recovery_point_waits_for_the_indexes() {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let mut flusher = Flusher::new(&dir, FLUSH);
    let (mut log, _) = open(&dir, 0);
    append(&mut log, &singles(0, 100, 200)).unwrap();
    log.reader().ask_flush();
    disk.fail_next(Operation::Open, ".timeindex", ErrorKind::StorageFull);
    assert!(flusher.run_once(at(0), &|| 0)[0].outcome.is_ok(), "the batches are safe");
    assert_eq!((log.reader().flushed().offset, log.reader().recovery_point()), (100, 0));
    assert_eq!(flusher.run_once(at(10_000), &|| 0).len(), 1);
    assert_eq!(log.reader().recovery_point(), 100);
}

#[test]
fn a_disk_that_was_full_is_written_again() {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let (mut log, _) = open(&dir, 0);
    let batches = singles(0, 60, 200);
    append(&mut log, &batches[..10]).unwrap();
    disk.set_capacity(Some(8000));
    let refused = append(&mut log, &batches[10..60]).unwrap_err();
    assert!(refused.is_out_of_space(), "{refused}");
    check_lookups(&log.reader(), &batches[..10]);
    assert_eq!(disk.size_of(Path::new("/data/t-0/00000000000000000000.log")).unwrap(), log.end().position);
    disk.set_capacity(None);
    append(&mut log, &batches[10..]).unwrap();
    check_lookups(&log.reader(), &batches);
}

#[test]
fn a_log_with_a_reserve_is_written_on_a_full_disk() {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let options = ottla_storage::LogOptions { reserve_bytes: 2000, ..OPTIONS };
    let (mut log, _) = Log::open(&dir, "t-0", options, Checkpointed::default()).unwrap();
    let (mut other, _) = Log::open(&dir, "t-1", OPTIONS, Checkpointed::default()).unwrap();
    disk.set_capacity(Some(0));
    let batches = singles(0, 20, 50);
    assert!(append(&mut other, &batches[..1]).unwrap_err().is_out_of_space());
    let written = batches.iter().take_while(|batch| append(&mut log, std::slice::from_ref(batch)).is_ok()).count();
    assert_eq!(written, 2000 / batches[0].bytes.len());
    assert_eq!(
        read_file(&disk, Path::new("/data/t-0/00000000000000000000.log")).unwrap(),
        bytes_of(&batches[..written])
    );
}

#[test]
fn no_index_is_left_behind() {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let mut flusher = Flusher::new(&dir, FLUSH);
    let (mut log, _) = open(&dir, 0);
    // Each segment is flushed when it is full and still active.
    for (i, batches) in singles(0, 60, 200).chunks(15).enumerate() {
        append(&mut log, batches).unwrap();
        assert_eq!(log.end().segment, i as i64 * 15);
        log.reader().ask_flush();
        flusher.run_once(at(0), &|| 0);
    }
    let names: Vec<_> = disk.list(Path::new("/data/t-0")).unwrap().into_iter().map(|entry| entry.name).collect();
    let closed = ["00000000000000000000", "00000000000000000015", "00000000000000000030"];
    let of = |extension| names.iter().filter_map(move |name: &String| name.strip_suffix(extension)).collect::<Vec<_>>();
    assert_eq!((of(".index"), of(".timeindex")), (closed.to_vec(), closed.to_vec()));
}

#[test]
fn an_index_is_not_believed_after_a_failed_sync() {
    for seed in 0..40 {
        let disk = FaultyDisk::new(seed);
        let dir = log_dir(disk.clone());
        let time = |i| if (3..10).contains(&i) { 5000 } else { 1000 - i };
        let batches: Vec<_> = (0..40).map(|i| Batch::new(i, &[time(i)], 200)).collect();
        let (mut log, _) = open(&dir, 0);
        append(&mut log, &batches[..3]).unwrap();
        log.close().unwrap();
        // The disk has the index of three batches, which tells nothing of the later ones that follow. It grows, the
        // segment is closed, and the sync fails.
        let times = Path::new("/data/t-0/00000000000000000000.timeindex");
        disk.open(times, Open::Write).unwrap().sync_data().unwrap();
        let mut flusher = Flusher::new(&dir, FLUSH);
        let (mut log, _) = open(&dir, 3);
        append(&mut log, &batches[3..]).unwrap();
        disk.fail_next(Operation::Sync, "0.timeindex", ErrorKind::Other);
        for now in [0, 10_000] {
            log.reader().ask_flush();
            assert!(flusher.run_once(at(now), &|| 0)[0].outcome.is_ok());
        }
        assert_eq!(log.reader().recovery_point(), 40);
        disk.power_loss();
        let (log, _) = open(&log_dir(disk), 40);
        check_lookups(&log.reader(), &batches);
    }
}
