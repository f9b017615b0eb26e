//! Files that are removed, cut, zeroed or made of noise, at the end of the log or in its indexes.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::*;
use ottla_storage::disk::{Disk, DiskFile, FaultyDisk, Open, Operation, Wait, read_file, replace_file};
use ottla_storage::{Checkpointed, FlushOptions, Flusher, Log, LogDir, LogError, Place, Recovered};
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

/// Spoils index files in one way, opens the log, and compares all look-ups with a list's.
fn check_spoilt(extensions: &[&str], spoil: impl Fn(&FaultyDisk, &Path)) -> Recovered {
    let (disk, dir, batches, end) = closed_log();
    files(&disk, extensions).iter().for_each(|path| spoil(&disk, path));
    let (log, recovered) = open(&dir, end);
    check_lookups(&log.reader(), &batches);
    log.close().unwrap();
    // What was made again is written, and good.
    let (log, again) = open(&dir, end);
    assert_eq!(again.indexes_rebuilt, 0);
    check_lookups(&log.reader(), &batches);
    recovered
}

fn check_spoilt_indexes(spoil: impl Fn(&FaultyDisk, &Path)) -> Recovered {
    check_spoilt(&["index"], &spoil);
    check_spoilt(&["timeindex"], &spoil);
    check_spoilt(&["index", "timeindex"], &spoil)
}

#[test]
fn an_index_is_a_hint() {
    assert_eq!(check_spoilt_indexes(|_, _| {}).indexes_rebuilt, 0);
    check_spoilt_indexes(|disk, path| disk.remove_file(path).unwrap());
    check_spoilt_indexes(|disk, path| write(disk, path, &[]));
    check_spoilt_indexes(|disk, path| write(disk, path, &vec![0; read_file(disk, path).unwrap().len()]));
    // As Kafka leaves the index of an active segment.
    let recovered = check_spoilt_indexes(|disk, path| {
        let bytes = [read_file(disk, path).unwrap(), vec![0; 10 << 10]].concat();
        write(disk, path, &bytes);
    });
    assert_eq!(recovered.indexes_rebuilt, 0);
    let recovered = check_spoilt_indexes(|disk, path| {
        let bytes = read_file(disk, path).unwrap();
        write(disk, path, &bytes[..bytes.len() / 24 * 8 + 3]);
    });
    assert_eq!(recovered.bytes_cut, 0);
    // The last entry is right, and those before it send whoever believes them too far.
    check_spoilt(&["timeindex"], |disk, path| {
        let mut bytes = read_file(disk, path).unwrap();
        let last: Vec<u8> = bytes[bytes.len() - 4..].to_vec();
        let front = bytes.len() - 12;
        bytes[..front]
            .chunks_exact_mut(12)
            .for_each(|entry| entry.copy_from_slice(&[&1i64.to_be_bytes()[..], &last].concat()));
        write(disk, path, &bytes);
    });
}

#[test]
fn each_index_may_have_lost_an_end_of_its_own() {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    // Time stands still after a batch that has no entry in the offset index, and then goes back.
    let batches: Vec<_> = (0..30).map(|i| Batch::new(i, &[if i > 25 { 3 } else { 1000 + i.min(19) }], 60)).collect();
    let (mut log, _) = open(&dir, 0);
    append(&mut log, &batches).unwrap();
    assert_eq!(log.close().unwrap(), Place { offset: 30, segment: 0, position: bytes_of(&batches).len() as u64 });
    let paths = ["index", "timeindex"].map(|extension| Path::new(DIR).join(format!("{:020}.{extension}", 0)));
    let whole = paths.clone().map(|path| read_file(&disk, &path).unwrap());
    for (offsets, times) in (0..=whole[0].len() / 8).flat_map(|o| (0..=whole[1].len() / 12).map(move |t| (o, t))) {
        write(&disk, &paths[0], &whole[0][..8 * offsets]);
        write(&disk, &paths[1], &whole[1][..12 * times]);
        let (log, _) = open(&dir, 30);
        check_lookups(&log.reader(), &batches);
        log.close().unwrap();
        assert_eq!(paths.clone().map(|path| read_file(&disk, &path).unwrap()), whole, "{offsets} and {times} entries");
    }
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
        harm in 0..7usize,
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
            // Whole and intact, but of elsewhere.
            4 => spoilt.extend_from_slice(&Batch::new(140, &[9999], 60).bytes),
            5 => spoilt.extend_from_slice(&Batch::new(base + (1 << 31), &[9999], 60).bytes),
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
    for torn in [0, 1, 2] {
        let (disk, dir, _, _) = closed_log();
        let path = files(&disk, &["log"]).swap_remove(torn);
        write(&disk, &path, &[read_file(&disk, &path).unwrap(), vec![7; 99]].concat());
        let all = || files(&disk, &["log"]).iter().map(|path| read_file(&disk, path).unwrap()).collect::<Vec<_>>();
        let before = all();
        disk.fail_next(Operation::Open, "recovery.tmp", ErrorKind::PermissionDenied);
        let opened = Log::open(&dir, "t-0", OPTIONS, Checkpointed::default());
        assert!(matches!(opened, Err(LogError::Io { .. })));
        assert!(all() == before);
        assert!(open(&dir, 0).1.bytes_cut >= 99);
    }
}

#[test]
fn a_log_that_must_be_whole_is_not_cut() {
    let spoil = |byte: fn(u64) -> u64| {
        let (disk, dir, _, end) = closed_log();
        let path = files(&disk, &["log"]).pop().unwrap();
        let mut bytes = read_file(&disk, &path).unwrap();
        let at = byte(bytes.len() as u64) as usize;
        bytes[at] ^= 1;
        write(&disk, &path, &bytes);
        let all = || files(&disk, &["log"]).iter().map(|path| read_file(&disk, path).unwrap()).collect::<Vec<_>>();
        let before = all();
        let opened = |kept| Log::open(&dir, "t-0", OPTIONS, Checkpointed { kept, ..Checkpointed::default() });
        let lost = opened(end).unwrap_err();
        assert!(matches!(&lost, LogError::Lost { path: p, kept, .. } if *p == path && *kept == end), "{lost}");
        assert!(all() == before, "it was changed");
        let LogError::Lost { offset, .. } = lost else { unreachable!() };
        assert!(opened(offset).is_ok(), "what was not synced is cut as ever");
    };
    spoil(|bytes| bytes - 1);
    spoil(|_| 100);
    let empty = Log::open(
        &log_dir(FaultyDisk::new(1)),
        "t-0",
        OPTIONS,
        Checkpointed { kept: 1, recovery_point: 1, ..Checkpointed::default() },
    );
    assert!(matches!(empty, Err(LogError::Lost { .. })));
}

/// What recovery has cut or removed stays away, though the log grows over the place where it was.
#[test]
fn what_was_cut_does_not_come_back() {
    for seed in 0..40 {
        let disk = FaultyDisk::new(seed);
        let dir = log_dir(disk.clone());
        let (mut log, _) = open(&dir, 0);
        append(&mut log, &singles(0, 60, 200)).unwrap();
        assert_eq!(log.close().unwrap().segment, 45);
        let first = files(&disk, &["log"]).swap_remove(0);
        let file = disk.open(&first, Open::Write).unwrap();
        file.set_size(disk.size_of(&first).unwrap() - 1).unwrap();
        file.sync_data().unwrap();
        // The fifteenth batch is torn. Another takes its place, and ends where the second segment began.
        let (mut log, recovered) = open(&dir, 5);
        assert_eq!((log.end().offset, recovered.segments_removed), (14, 3));
        let other = Batch::new(14, &[7], 100);
        append(&mut log, std::slice::from_ref(&other)).unwrap();
        log.reader().ask_flush();
        let flush =
            FlushOptions { flush_from_bytes: 1 << 29, dirty_ms_max: 1 << 30, write_back_bytes: nonzero(1 << 30) };
        assert!(Flusher::new(&dir, flush).run_once(Default::default(), &|| 0)[0].outcome.is_ok());
        disk.power_loss();
        let (log, _) = open(&log_dir(disk), 15);
        check_lookups(&log.reader(), &[singles(0, 14, 200), vec![other]].concat());
    }
}

#[test]
fn a_cut_tail_does_not_come_back() {
    for seed in 0..100 {
        let disk = FaultyDisk::new(seed);
        let dir = log_dir(disk.clone());
        let (mut log, _) = open(&dir, 0);
        let batches = singles(0, 10, 50);
        append(&mut log, &batches).unwrap();
        log.close().unwrap();
        let size = batches[0].bytes.len() as u64;
        let file = disk.open(&files(&disk, &["log"])[0], Open::Write).unwrap();
        file.write_vectored_at(&[std::io::IoSlice::new(&[0xff; 9])], 5 * size + 30).unwrap();
        file.sync_data().unwrap();
        // The sixth batch is spoilt, and the intact ones behind it are cut, too. Another takes its place.
        let (mut log, recovered) = open(&dir, 0);
        assert_eq!((log.end().offset, recovered.bytes_cut), (5, 5 * size));
        let other = Batch::new(5, &[7], 50);
        assert_eq!(other.bytes.len() as u64, size);
        append(&mut log, std::slice::from_ref(&other)).unwrap();
        disk.power_loss();
        let (log, _) = open(&log_dir(disk), 0);
        let all = [singles(0, 5, 50), vec![other]].concat();
        check_lookups(&log.reader(), &all[..log.end().offset as usize]);
    }
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
