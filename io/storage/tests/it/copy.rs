//! A log becomes a copy of another.

use std::io::IoSlice;
use std::path::Path;

use ottla_storage::disk::{Disk, FaultyDisk, Open};
use ottla_storage::{Checkpointed, Log, LogError};

use crate::support::*;

/// Copies all there is, and gives what a reader finds in the copy.
fn copy(from: &Log, to: &mut Log) -> Result<Vec<u8>, LogError> {
    let mut buffer = Vec::new();
    while to.copy(&from.reader(), from.end(), &mut buffer)?.bytes > 0 {}
    Ok(read(&to.reader(), to.reader().segments().unwrap()[0].base_offset, to.end(), 3000))
}

#[test]
fn it_holds_what_the_other_holds_whatever_the_other_goes_through() {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk);
    let batches = singles(0, 300, 100);
    let (mut log, _) = open(&dir, 0);
    append(&mut log, &batches[..100]).unwrap();
    let known = Checkpointed { log_start: 0, ..Checkpointed::default() };
    let (mut future, _) = Log::open(&dir, "t-0.x-future", OPTIONS, known).unwrap();
    assert_eq!(copy(&log, &mut future).unwrap(), bytes_of(&batches[..100]));
    assert_eq!(copy(&log, &mut future).unwrap(), bytes_of(&batches[..100]), "there is nothing more");
    // The other goes on, and loses its beginning behind the end of the copy.
    append(&mut log, &batches[100..200]).unwrap();
    log.flush().unwrap();
    let removed = log.advance_start(180);
    removed.set_aside().unwrap();
    removed.remove().unwrap();
    append(&mut log, &batches[200..]).unwrap();
    let start = log.reader().segments().unwrap()[0].base_offset;
    assert!((101..=180).contains(&start));
    let expected = [&batches[..100], &batches[180..]].concat();
    assert_eq!(copy(&log, &mut future).unwrap(), bytes_of(&expected));
    let end = future.close().unwrap();
    let known = Checkpointed { recovery_point: end.offset, log_start: 180, ..Checkpointed::default() };
    let (again, _) = Log::open(&dir, "t-0.x-future", OPTIONS, known).unwrap();
    check_lookups(&again.reader(), &batches[180..]);
}

#[test]
fn what_is_damaged_is_not_copied() {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let batches = singles(0, 20, 100);
    let (mut log, _) = open(&dir, 0);
    append(&mut log, &batches).unwrap();
    let position = batches[..10].iter().map(|batch| batch.bytes.len()).sum::<usize>() as u64;
    let file = disk.open(Path::new("/data/t-0/00000000000000000000.log"), Open::Write).unwrap();
    file.write_vectored_at(&[IoSlice::new(b"!")], position + 70).unwrap();
    let (mut future, _) = Log::open(&dir, "t-0.x-future", OPTIONS, Checkpointed::default()).unwrap();
    let error = copy(&log, &mut future).unwrap_err();
    let expected = format!("/data/t-0 is damaged at byte {position}: its checksum is wrong");
    assert_eq!(error.to_string(), expected);
    assert_eq!(future.end().offset, 0);
}

#[test]
fn a_batch_whose_offset_is_damaged_is_not_copied_nor_what_is_behind_it() {
    // In the middle of the log, before the end of another segment, and at the end.
    for (nth, offset) in [(10, 13_i64), (10, 1 << 40), (10, 5), (19, 25), (19, i64::MAX)] {
        let disk = FaultyDisk::new(1);
        let dir = log_dir(disk.clone());
        let batches = singles(0, 20, 100);
        let (mut log, _) = open(&dir, 0);
        append(&mut log, &batches).unwrap();
        let position = batches[..nth].iter().map(|batch| batch.bytes.len()).sum::<usize>() as u64;
        let file = disk.open(Path::new("/data/t-0/00000000000000000000.log"), Open::Write).unwrap();
        file.write_vectored_at(&[IoSlice::new(&offset.to_be_bytes())], position).unwrap();
        let (mut future, _) = Log::open(&dir, "t-0.x-future", OPTIONS, Checkpointed::default()).unwrap();
        let error = copy(&log, &mut future).unwrap_err();
        assert!(matches!(error, LogError::Corrupt { .. }), "{nth} {offset}: {error}");
        assert_eq!(future.end().offset, 0, "{nth} {offset}");
    }
}
