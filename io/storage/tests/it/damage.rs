//! Files that are removed, cut, zeroed or made of noise, at the end of the log or in its indexes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::*;
use ottla_storage::disk::{Disk, DiskFile, FaultyDisk, Open, Wait, read_file, replace_file};
use ottla_storage::{Checkpointed, Log, LogDir, LogError, Recovered};
use proptest::prelude::*;

const DIR: &str = "/data/t-0";

/// A log of several segments on a disk, closed cleanly, and what is in it.
fn closed_log() -> (FaultyDisk, Arc<LogDir>, Vec<Batch>, i64) {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let (mut log, _) = open(&dir, 0);
    let batches = singles(0, 150, 60);
    batches.chunks(9).for_each(|some| assert!(append(&mut log, some).is_ok()));
    let end = log.close().unwrap().offset;
    (disk, dir, batches, end)
}

fn files(disk: &FaultyDisk, extensions: &[&str]) -> Vec<PathBuf> {
    let entries = disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| Path::new(DIR).join(entry.name));
    entries.filter(|path| extensions.iter().any(|e| path.extension().is_some_and(|other| other == *e))).collect()
}

fn write(disk: &FaultyDisk, path: &Path, bytes: &[u8]) {
    replace_file(disk, path, bytes).unwrap();
}

/// Spoils every index file in one way, opens the log, and compares all look-ups with a list's.
fn check_spoilt_indexes(spoil: impl Fn(&FaultyDisk, &Path)) -> Recovered {
    let (disk, dir, batches, end) = closed_log();
    files(&disk, &["index", "timeindex"]).iter().for_each(|path| spoil(&disk, path));
    let (log, recovered) = open(&dir, end);
    check_lookups(&log.reader(), &batches);
    log.close().unwrap();
    // What was made again is written, and good.
    let (log, again) = open(&dir, end);
    assert_eq!(again.indexes_rebuilt, 0);
    check_lookups(&log.reader(), &batches);
    recovered
}

#[test]
fn an_index_is_a_hint() {
    assert_eq!(check_spoilt_indexes(|_, _| {}).indexes_rebuilt, 0);
    check_spoilt_indexes(|disk, path| disk.remove_file(path).unwrap());
    check_spoilt_indexes(|disk, path| write(disk, path, &[]));
    check_spoilt_indexes(|disk, path| write(disk, path, &vec![0; read_file(disk, path).unwrap().len()]));
    // As Kafka leaves the index of an active segment.
    check_spoilt_indexes(|disk, path| {
        let bytes = [read_file(disk, path).unwrap(), vec![0; 10 << 10]].concat();
        write(disk, path, &bytes);
    });
    let recovered = check_spoilt_indexes(|disk, path| {
        let bytes = read_file(disk, path).unwrap();
        write(disk, path, &bytes[..bytes.len() / 24 * 8 + 3]);
    });
    assert_eq!(recovered.bytes_cut, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_of_noise_is_made_again(noise in prop::collection::vec(any::<u8>(), 4000)) {
        check_spoilt_indexes(|disk, path| {
            let len = read_file(disk, path).unwrap().len();
            let start = path.to_string_lossy().bytes().map(usize::from).sum::<usize>() % 1000;
            write(disk, path, &noise[start..start + len.min(2400) / 24 * 24]);
        });
    }

    /// The tail beyond the recovery point is cut, zeroed, flipped, or followed by noise: the log ends exactly where the
    /// intact batches do.
    #[test]
    fn a_torn_tail_is_cut_at_the_last_intact_batch(
        harm in 0..5usize,
        back in 1..3000u64,
        bit: u64,
        noise in prop::collection::vec(any::<u8>(), 1..3000),
        recovery_point in 0..140i64,
    ) {
        let (disk, dir, batches, _) = closed_log();
        let active = files(&disk, &["log"]).pop().unwrap();
        let base: i64 = active.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let bytes = read_file(&disk, &active).unwrap();
        let in_file: Vec<_> = batches.iter().filter(|batch| batch.header.base_offset >= base).collect();
        let recovery_point = recovery_point.min(base);
        let len = bytes.len() as u64;
        let from = len.saturating_sub(back);
        let mut spoilt = bytes.clone();
        match harm {
            0 => spoilt.truncate(from as usize),
            1 => spoilt[from as usize..].fill(0),
            // Not in what the CRC leaves out: offset, length and epoch.
            2 => {
                let (mut position, mut end) = (0, 0);
                for batch in &in_file {
                    position = end;
                    end += batch.bytes.len() as u64;
                    if end > from {
                        break;
                    }
                }
                let byte = position + 21 + bit / 8 % (end - position - 21);
                spoilt[byte as usize] ^= 1 << (bit % 8);
            }
            3 => spoilt.extend_from_slice(&noise),
            _ => {
                let next = Batch::new(150, &[9999], 60);
                spoilt.extend_from_slice(&next.bytes[..1 + bit as usize % (next.bytes.len() - 1)]);
            }
        }
        write(&disk, &active, &spoilt);
        let (mut position, mut intact) = (0, batches.len() - in_file.len());
        for batch in &in_file {
            let end = position + batch.bytes.len();
            if spoilt.get(position..end) != Some(&batch.bytes[..]) {
                break;
            }
            (position, intact) = (end, intact + 1);
        }
        let (mut log, recovered) = open(&dir, recovery_point);
        assert_eq!(log.end().offset, intact as i64);
        assert_eq!(recovered.bytes_cut, (spoilt.len() - position) as u64);
        check_lookups(&log.reader(), &batches[..intact]);
        append(&mut log, &singles(intact as i64, 3, 60)).unwrap();
    }
}

#[test]
fn a_segment_in_the_middle_ends_the_log() {
    let (disk, dir, batches, _) = closed_log();
    let logs = files(&disk, &["log"]);
    // Exactly at the end of a batch: nothing in the file tells that one is missing.
    let bytes = read_file(&disk, &logs[1]).unwrap();
    write(&disk, &logs[1], &bytes[..bytes.len() - batches[0].bytes.len()]);
    let end: i64 = logs[2].file_stem().unwrap().to_str().unwrap().parse::<i64>().unwrap() - 1;
    let (log, recovered) = open(&dir, 0);
    assert_eq!((log.end().offset, recovered.segments_removed), (end, logs.len() - 2));
    check_lookups(&log.reader(), &batches[..end as usize]);
    assert_eq!(files(&disk, &["log"]).len(), 2);
}

#[test]
fn only_what_lies_past_the_recovery_point_is_read() {
    let (_, dir, batches, end) = closed_log();
    let bytes_read = |recovery_point| open(&dir, recovery_point).1.bytes_read;
    let interval = OPTIONS.index_interval_bytes + 2 * batches[0].bytes.len() as u64;
    assert_eq!(bytes_read(0), bytes_of(&batches).len() as u64);
    assert!(bytes_read(end) <= interval);
    for recovery_point in [40, 77, 110] {
        let behind = bytes_of(&batches[recovery_point as usize..]).len() as u64;
        assert!(bytes_read(recovery_point) <= behind + interval, "{recovery_point}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_left_alone() {
    let (disk, dir, _, _) = closed_log();
    let active = files(&disk, &["log"]).pop().unwrap();
    let torn = [read_file(&disk, &active).unwrap(), vec![7; 99]].concat();
    write(&disk, &active, &torn);
    disk.fail_next(ottla_storage::disk::Operation::Open, "recovery.tmp", std::io::ErrorKind::PermissionDenied);
    let opened = Log::open(&dir, "t-0", OPTIONS, Checkpointed::default());
    assert!(matches!(opened, Err(LogError::Io { .. })));
    assert_eq!(read_file(&disk, &active).unwrap(), torn);
    assert_eq!(open(&dir, 0).1.bytes_cut, 99);
}

#[test]
fn snapshots_of_offsets_that_are_gone_are_removed() {
    let (disk, dir, _, _) = closed_log();
    for offset in [10, 150, 151] {
        write(&disk, &Path::new(DIR).join(format!("{offset:020}.snapshot")), b"");
    }
    open(&dir, 150);
    let left = files(&disk, &["snapshot"]);
    assert_eq!(left, [10, 150].map(|offset| Path::new(DIR).join(format!("{offset:020}.snapshot"))));
}

#[test]
fn nothing_is_rebuilt_where_nobody_may_wait() {
    let (disk, dir, _, end) = closed_log();
    files(&disk, &["index"]).iter().for_each(|path| write(&disk, path, &[]));
    let (log, _) = open(&dir, end);
    let want = |wait| ottla_storage::Want {
        offset: 20,
        limit: log.end(),
        bytes_max: 1,
        first: ottla_storage::FirstBatch::Whole,
        wait,
    };
    assert!(matches!(log.reader().view(&want(Wait::No)), Err(LogError::Cold)));
    assert_eq!(log.reader().view(&want(Wait::Yes)).unwrap().base_offset, 20);
    assert_eq!(log.reader().view(&want(Wait::No)).unwrap().base_offset, 20);
    let file: Arc<dyn DiskFile> = disk.open(&files(&disk, &["index"])[0], Open::Read).unwrap();
    assert!(file.size().unwrap() > 0, "what was rebuilt is written");
}
