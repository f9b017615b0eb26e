//! The real disk: the calls arrive, Kafka's files are understood, the lock is the one that Kafka takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ottla_records::BatchHeader;
use ottla_storage::disk::{Disk, LockError, Open, RealDisk, Wait, read_file, replace_file};
use ottla_storage::{Checkpointed, FlushOptions, Flusher, Log, LogDir, LogOptions};

use crate::support::*;

/// Tells a test that it was started by itself, to be the other process; its value is the path to lock.
const OTHER_PROCESS: &str = "OTTLA_TEST_LOCK";

fn dir_at(path: &Path) -> Arc<LogDir> {
    LogDir::open(Arc::new(RealDisk), path).unwrap()
}

#[test]
fn a_log_survives_its_process() {
    let temporary = tempfile::tempdir().unwrap();
    let batches = singles(0, 2000, 100);
    let dir = dir_at(&temporary.path().join("made/on/the/way"));
    let (mut log, _) = open(&dir, 0);
    append(&mut log, &batches[..1200]).unwrap();
    log.reader().ask_flush();
    drop(log);
    let (mut log, recovered) = open(&dir, 0);
    assert_eq!((log.end().offset, recovered.bytes_cut), (1200, 0));
    for some in batches[1200..].chunks(50) {
        append(&mut log, some).unwrap();
    }
    check_lookups(&log.reader(), &batches);
    let end = log.close().unwrap().offset;
    let (log, recovered) = open(&dir, end);
    assert!(recovered.bytes_read < 1000);
    check_lookups(&log.reader(), &batches);
    let gone = log.delete(ottla_base::Uuid([1; 16])).unwrap();
    dir.remove(&gone).unwrap();
    assert!(dir.list().unwrap().is_empty());
}

#[test]
fn files_are_written_read_cut_and_renamed() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("file");
    let disk = RealDisk;
    assert!(disk.open(&path, Open::Write).is_err());
    let file = disk.open(&path, Open::Create).unwrap();
    let slices = [b"one ".as_slice(), b"", b"two"].map(std::io::IoSlice::new);
    assert_eq!(file.write_vectored_at(&slices, 2).unwrap(), 7);
    file.allocate(0..1 << 20).unwrap();
    file.start_write_back(0..9).unwrap();
    file.sync_data().unwrap();
    assert_eq!((file.size().unwrap(), disk.size_of(&path).unwrap()), (9, 9));
    let mut bytes = [9; 20];
    assert_eq!(file.read_at(&mut bytes, 1, Wait::No).unwrap(), 8);
    assert_eq!(&bytes[..9], b"\0one two\x09");
    assert!(file.is_resident(0..9) && file.is_resident(3..3) && file.raw_fd().is_some());
    file.set_size(3).unwrap();
    replace_file(&disk, &path, b"other").unwrap();
    assert_eq!((file.size().unwrap(), read_file(&disk, &path).unwrap().as_slice()), (3, b"other".as_slice()));
    disk.create_dir(&temporary.path().join("dir")).unwrap();
    disk.create_dir(&temporary.path().join("dir")).unwrap();
    let names: Vec<_> = disk.list(temporary.path()).unwrap().into_iter().map(|e| (e.name, e.is_dir)).collect();
    assert_eq!(names, [("dir".to_owned(), true), ("file".to_owned(), false)]);
    disk.remove_dir(&temporary.path().join("dir")).unwrap();
    disk.sync_dir(temporary.path()).unwrap();
    assert!(disk.free_bytes(temporary.path()).unwrap() > 0);
}

#[test]
fn a_second_process_is_told_who_holds_the_lock() {
    if let Ok(path) = std::env::var(OTHER_PROCESS) {
        let holder = i32::try_from(std::os::unix::process::parent_id()).unwrap();
        let refused = RealDisk.lock(Path::new(&path));
        assert!(matches!(refused, Err(LockError::Held { pid, .. }) if pid == holder), "{refused:?}");
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let dir = dir_at(temporary.path());
    let path = temporary.path().join(".lock");
    let other = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "real::a_second_process_is_told_who_holds_the_lock"]).env(OTHER_PROCESS, &path);
        command.output().unwrap()
    };
    let refused = other();
    assert!(refused.status.success(), "{}", String::from_utf8_lossy(&refused.stdout));
    dir.remove_lock_file().unwrap();
    drop(dir);
    assert!(!path.exists());
    assert!(!other().status.success(), "nobody holds the lock, and yet it is refused");
}

/// The partition in `testdata/kafka-4.3.1`, and its batches.
fn from_kafka(to: &Path) -> (PathBuf, Vec<Batch>) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kafka-4.3.1/t-0");
    let replica = to.join("t-0");
    fs::create_dir(&replica).unwrap();
    let mut names: Vec<_> = fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let mut bytes = Vec::new();
    for name in names {
        fs::copy(from.join(&name), replica.join(&name)).unwrap();
        if name.to_string_lossy().ends_with(".log") {
            bytes.extend(fs::read(from.join(&name)).unwrap());
        }
    }
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        let header = BatchHeader::parse(&bytes).unwrap();
        let rest = bytes.split_off(header.size_bytes());
        batches.push(Batch { header, bytes });
        bytes = rest;
    }
    (replica, batches)
}

const KAFKA_OPTIONS: LogOptions = LogOptions { index_interval_bytes: 100, segment_ms: 1000, ..OPTIONS };

#[test]
fn a_log_of_kafka_is_read() {
    let temporary = tempfile::tempdir().unwrap();
    let (_, batches) = from_kafka(temporary.path());
    let read: String = batches.iter().flat_map(Batch::records).map(|(o, t)| format!("{o}\t{t}\n")).collect();
    assert_eq!(read, include_str!("../../testdata/kafka-4.3.1/records.tsv"));
    let dir = dir_at(temporary.path());
    for recovery_point in [60, 37, 0] {
        let known = Checkpointed { recovery_point, ..Checkpointed::default() };
        let (log, recovered) = Log::open(&dir, "t-0", KAFKA_OPTIONS, known).unwrap();
        assert_eq!((recovered.bytes_cut, recovered.indexes_rebuilt), (0, 0));
        check_lookups(&log.reader(), &batches);
    }
}

#[test]
fn indexes_and_segments_are_those_that_kafka_makes() {
    let temporary = tempfile::tempdir().unwrap();
    let (theirs, batches) = from_kafka(temporary.path());
    let dir = dir_at(&temporary.path().join("ours"));
    let (mut log, _) = Log::open(&dir, "t-0", KAFKA_OPTIONS, Checkpointed::default()).unwrap();
    for batch in &batches {
        append(&mut log, std::slice::from_ref(batch)).unwrap();
    }
    log.close().unwrap();
    let ours = dir.path().join("t-0");
    let files = |of: &Path| {
        let entries = RealDisk.list(of).unwrap().into_iter().map(|entry| entry.name);
        let log_files = entries.filter(|name| [".log", ".index", ".timeindex"].iter().any(|end| name.ends_with(end)));
        log_files.map(|name| (name.clone(), fs::read(of.join(name)).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(files(&ours), files(&theirs));
}

#[test]
fn a_bounded_number_of_files_is_open() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = dir_at(temporary.path());
    let options = LogOptions { segment_bytes: 1, ..OPTIONS };
    let (mut log, _) = Log::open(&dir, "t-0", options, Checkpointed::default()).unwrap();
    let batches = singles(0, 300, 10);
    append(&mut log, &batches).unwrap();
    let open_files = || {
        let targets = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        targets.filter(|target| target.starts_with(temporary.path())).count()
    };
    check_lookups(&log.reader(), &batches);
    assert!(open_files() <= 260, "{} files are open", open_files());
    let end = log.close().unwrap().offset;
    // Whom the appends have told of the log lets go of it.
    let flush = FlushOptions { flush_from_bytes: 0, dirty_ms_max: 0, write_back_bytes: nonzero(4096) };
    Flusher::new(&dir, flush).run_once(Default::default(), &|| 0);
    assert_eq!(open_files(), 1);
    let (log, _) =
        Log::open(&dir, "t-0", options, Checkpointed { recovery_point: end, ..Checkpointed::default() }).unwrap();
    assert!(open_files() <= 6);
    check_lookups(&log.reader(), &batches);
    assert!(open_files() <= 2 * 256 + 6, "{} files are open", open_files());
}

/// The log files below a directory that this process has open.
fn open_logs(dir: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    open.filter(|path| path.starts_with(dir) && path.extension().is_some_and(|extension| extension == "log")).count()
}

#[test]
fn a_log_that_rests_keeps_no_file_open() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = dir_at(temporary.path());
    let batches = singles(0, 30, 100);
    let (mut log, _) = open(&dir, 0);
    append(&mut log, &batches[..10]).unwrap();
    log.rest();
    assert_eq!(open_logs(temporary.path()), 1, "what is not flushed stays open");
    log.flush().unwrap();
    log.rest();
    assert_eq!(open_logs(temporary.path()), 0);
    append(&mut log, &batches[10..20]).unwrap();
    log.flush().unwrap();
    log.rest();
    // Reading opens it, among others that are read.
    check_lookups(&log.reader(), &batches[..20]);
    append(&mut log, &batches[20..]).unwrap();
    check_lookups(&log.reader(), &batches);
    log.close().unwrap();
}
