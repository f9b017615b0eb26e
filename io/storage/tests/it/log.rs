//! A log without faults: what is appended is found again, by offset and by time, before and after it is opened again.

use std::path::Path;

use crate::support::*;
use ottla_storage::disk::{Disk, FaultyDisk, Open, Wait, read_file};
use ottla_storage::{Appended, Checkpointed, FirstBatch, Log, LogError, LogOptions, Place, Want};

#[test]
fn what_is_appended_is_read() {
    let dir = log_dir(FaultyDisk::new(1));
    let (mut log, recovered) = open(&dir, 0);
    assert_eq!(recovered, Default::default());
    let batches = singles(0, 200, 60);
    let mut end = Place::default();
    for some in batches.chunks(7) {
        let Appended { start, end: next } = log.append(&some.iter().map(Batch::piece).collect::<Vec<_>>()).unwrap();
        assert_eq!(start.offset, end.offset);
        end = next;
    }
    assert_eq!((log.end(), log.reader().end()), (end, end));
    for bytes_max in [1, 500, 1 << 20] {
        assert!(read(&log.reader(), 0, end, bytes_max) == bytes_of(&batches));
    }
    check_lookups(&log.reader(), &batches);
    let point = log.close().unwrap().offset;
    let (log, recovered) = open(&dir, point);
    assert_eq!((recovered.bytes_cut, recovered.indexes_rebuilt), (0, 0));
    check_lookups(&log.reader(), &batches);
}

#[test]
fn timestamps_may_fall_and_repeat() {
    let dir = log_dir(FaultyDisk::new(1));
    let (mut log, _) = open(&dir, 0);
    let times = [50, 40, 40, 70, 10, 70, 71, 71, 5, 90, 20];
    let batches: Vec<_> =
        (0..300).map(|i| Batch::new(i * 2, &[times[i as usize % 11], times[i as usize % 7]], 30)).collect();
    append(&mut log, &batches).unwrap();
    check_lookups(&log.reader(), &batches);
    let point = log.close().unwrap().offset;
    check_lookups(&open(&dir, point).0.reader(), &batches);
}

#[test]
fn a_segment_ends_where_its_options_say() {
    let check = |options: LogOptions, batches: &[Batch], bases: &[i64]| {
        let disk = FaultyDisk::new(1);
        let dir = log_dir(disk.clone());
        let known = Checkpointed::default();
        let (mut log, _) = Log::open(&dir, "t-0", options, known).unwrap();
        append(&mut log, batches).unwrap();
        let names = disk.list(Path::new("/data/t-0")).unwrap().into_iter().map(|entry| entry.name);
        let logs: Vec<i64> = names.filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect();
        assert_eq!(logs, bases);
        check_lookups(&log.reader(), batches);
    };
    let size = singles(0, 1, 10)[0].bytes.len() as u64;
    check(LogOptions { segment_bytes: 3 * size, ..OPTIONS }, &singles(0, 7, 10), &[0, 3, 6]);
    check(LogOptions { segment_bytes: 1, ..OPTIONS }, &singles(0, 3, 10), &[0, 1, 2]);
    // Timestamps rise by 10: the fifth batch is 40 ms younger than the first.
    check(LogOptions { segment_ms: 39, ..OPTIONS }, &singles(0, 9, 10), &[0, 4, 8]);
    // An entry for every batch but the first; three offset entries fit, but of time entries one and a last.
    let index = LogOptions { index_bytes: 24, index_interval_bytes: 0, ..OPTIONS };
    check(index, &singles(0, 5, 10), &[0, 2, 4]);
    // Offsets that no segment can hold together with those before.
    let far = [Batch::new(5, &[1], 10), Batch::new(1 << 40, &[2], 10), Batch::new((1 << 40) + 9, &[2], 10)];
    check(OPTIONS, &far, &[0, 1 << 40]);
}

#[test]
fn index_files_are_those_of_kafka() {
    // The segment of reference/ondisk.md, section 3: four batches of 171 bytes, index.interval.bytes=0.
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let options = LogOptions { index_interval_bytes: 0, ..OPTIONS };
    let (mut log, _) = Log::open(&dir, "t-0", options, Checkpointed::default()).unwrap();
    let times = [0x1a203dd88f0, 0x1a203dd88fe, 0x1a203dd8908, 0x1a203dd890c];
    let batches: Vec<_> = (0..).zip(times).map(|(offset, time)| Batch::new(offset, &[time], 101)).collect();
    assert_eq!(batches[0].bytes.len(), 171);
    append(&mut log, &batches).unwrap();
    log.close().unwrap();
    let hex = |name: &str| {
        let bytes = read_file(&disk, &Path::new("/data/t-0").join(name)).unwrap();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!(hex("00000000000000000000.index"), "00000001000000ab00000002000001560000000300000201");
    assert_eq!(
        hex("00000000000000000000.timeindex"),
        "000001a203dd88fe00000001000001a203dd890800000002000001a203dd890c00000003"
    );
}

#[test]
fn offsets_outside_of_the_log_are_refused() {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    disk.create_dir(Path::new("/data/t-0")).unwrap();
    disk.open(Path::new("/data/t-0/00000000000000000100.log"), Open::Create).unwrap();
    let (mut log, _) = open(&dir, 0);
    let end = append(&mut log, &singles(100, 5, 10)).unwrap();
    let view = |offset| {
        let want = Want { offset, limit: end, bytes_max: 1, first: FirstBatch::IfItFits, wait: Wait::Yes };
        log.reader().view(&want)
    };
    for offset in [-1, 99, 106] {
        assert!(matches!(view(offset), Err(LogError::OutOfRange { start: 100, end: 105, .. })), "{offset}");
    }
    assert!(view(105).unwrap().range.is_empty());
    assert!(view(104).unwrap().range.is_empty(), "a part of a batch is of no use");
}

#[test]
fn a_view_ends_at_its_limit() {
    let dir = log_dir(FaultyDisk::new(1));
    let (mut log, _) = open(&dir, 0);
    let batches = singles(0, 20, 60);
    let limit = append(&mut log, &batches[..10]).unwrap();
    append(&mut log, &batches[10..]).unwrap();
    assert!(read(&log.reader(), 3, limit, 1 << 20) == bytes_of(&batches[3..10]));
    assert_eq!(log.reader().find_timestamp(1095, limit, Wait::Yes).unwrap(), None);
}

#[test]
fn a_deleted_log_gives_its_name_away() {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let (mut log, _) = open(&dir, 0);
    append(&mut log, &singles(0, 100, 60)).unwrap();
    let point = log.close().unwrap().offset;
    let (log, _) = open(&dir, point);
    let reader = log.reader();
    let name = log.delete(ottla_base::Uuid([0xab; 16])).unwrap();
    assert_eq!(name, format!("t-0.{}-delete", "ab".repeat(16)));
    let long = "t".repeat(249) + "-0";
    disk.create_dir(&dir.path().join(&long)).unwrap();
    let stray = dir.set_aside(&long, ottla_base::Uuid([0xab; 16])).unwrap();
    assert!(stray.len() == 255 && stray.ends_with(&format!(".{}-stray", "ab".repeat(16))), "{stray}");
    dir.remove(&stray).unwrap();
    let (new, _) = open(&dir, 0);
    assert_eq!(new.end().offset, 0);
    let want = Want { offset: 3, limit: reader.end(), bytes_max: 1, first: FirstBatch::Whole, wait: Wait::Yes };
    assert!(matches!(reader.view(&want), Err(LogError::Deleted)));
    dir.remove(&name).unwrap();
    dir.remove(&name).unwrap();
    assert_eq!(dir.list().unwrap(), ["t-0"]);
}

#[test]
fn the_offset_index_does_not_depend_on_restarts() {
    let index_after = |pieces: usize| {
        let disk = FaultyDisk::new(1);
        let dir = log_dir(disk.clone());
        let mut end = 0;
        for batches in singles(0, 30, 70).chunks(pieces) {
            let (mut log, _) = open(&dir, end);
            append(&mut log, batches).unwrap();
            end = log.close().unwrap().offset;
        }
        read_file(&disk, Path::new("/data/t-0/00000000000000000000.index")).unwrap()
    };
    assert_eq!(index_after(30).len(), 14 * 8);
    for pieces in [1, 4, 7] {
        assert_eq!(index_after(pieces), index_after(30), "{pieces} at a time");
    }
}

#[test]
fn a_gap_between_segments_is_no_missing_tail() {
    let dir = log_dir(FaultyDisk::new(1));
    let options = LogOptions { segment_bytes: 1, ..OPTIONS };
    let (mut log, _) = open_with(&dir, options, 0);
    let batches = [0, 8, 100].map(|offset| Batch::new(offset, &[1, 2], 10));
    append(&mut log, &batches).unwrap();
    drop(log);
    let (log, recovered) = open_with(&dir, options, 0);
    assert_eq!((log.end().offset, recovered.segments_removed), (102, 0));
    check_lookups(&log.reader(), &batches);
}
