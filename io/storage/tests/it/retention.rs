//! The beginning of a log: it moves, segments leave, their files go; and a crash may come between any two operations.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::*;
use ottla_storage::disk::{Disk, FaultyDisk, Open, Operation, Wait, replace_file};
use ottla_storage::{Checkpointed, FirstBatch, Log, LogDir, LogError, LogOptions, Removed, Want};
use proptest::prelude::*;

const DIR: &str = "/data/t-0";

fn names(disk: &FaultyDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect()
}

fn logs(disk: &FaultyDisk) -> Vec<i64> {
    names(disk).iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect()
}

fn view(log: &Log, offset: i64) -> Result<i64, LogError> {
    let want = Want { offset, limit: log.end(), bytes_max: 1, first: FirstBatch::Whole, wait: Wait::Yes };
    log.reader().view(&want).map(|view| view.base_offset)
}

fn open_at(dir: &Arc<LogDir>, recovery_point: i64, log_start: i64) -> Log {
    Log::open(dir, "t-0", OPTIONS, Checkpointed { recovery_point, log_start, ..Checkpointed::default() }).unwrap().0
}

/// A log of ten segments with ten batches of two records each, closed cleanly.
fn ten_segments() -> (FaultyDisk, Arc<LogDir>, Log, Vec<Batch>) {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let batches: Vec<_> = (0..100).map(|i| Batch::new(i * 2, &[1000 + i, 1001 + i], 80)).collect();
    let options = LogOptions { segment_bytes: 10 * batches[0].bytes.len() as u64, ..OPTIONS };
    let (mut log, _) = open_with(&dir, options, 0);
    append(&mut log, &batches).unwrap();
    log.close().unwrap();
    let (log, _) = open_with(&dir, options, 200);
    assert_eq!(logs(&disk).len(), 10);
    (disk, dir, log, batches)
}

#[test]
fn the_start_moves_in_memory_and_the_files_follow() {
    let (disk, dir, mut log, batches) = ten_segments();
    for offset in [0, 20, 80] {
        replace_file(&disk, &Path::new(DIR).join(format!("{offset:020}.snapshot")), b"").unwrap();
    }
    let operations = disk.operations();
    let removed = log.advance_start(47);
    assert_eq!(disk.operations(), operations, "the disk was asked for something");
    assert_eq!((log.reader().start(), removed.segments()), (47, 2));
    for offset in [0, 39, 40, 46] {
        assert!(matches!(view(&log, offset), Err(LogError::OutOfRange { start: 47, .. })), "{offset}");
    }
    assert_eq!(view(&log, 47).unwrap(), 46);
    check_lookups_from(&log.reader(), &batches, 47);
    assert!(log.advance_start(30).is_empty(), "it never moves back");
    assert_eq!(log.reader().start(), 47);

    removed.set_aside().unwrap();
    removed.set_aside().unwrap();
    let is_deleted = |name: &String| name.ends_with(".deleted");
    let expected = |base: i64| {
        ["index", "log", "snapshot", "timeindex"].map(|extension| format!("{base:020}.{extension}.deleted"))
    };
    assert_eq!(names(&disk).into_iter().filter(is_deleted).collect::<Vec<_>>(), [expected(0), expected(20)].concat());
    removed.remove().unwrap();
    removed.remove().unwrap();
    assert!(!names(&disk).iter().any(is_deleted));
    assert_eq!(logs(&disk)[0], 40);
    log.close().unwrap();

    let log = open_at(&dir, 200, 47);
    assert_eq!(log.reader().start(), 47);
    check_lookups_from(&log.reader(), &batches, 47);
    assert_eq!(open_at(&dir, 200, 0).reader().start(), 40, "no checkpoint: the first segment's");
}

#[test]
fn what_was_to_go_goes_when_the_log_is_opened() {
    let (disk, dir, mut log, batches) = ten_segments();
    drop(log.advance_start(47));
    assert_eq!(logs(&disk)[0], 0);
    log.close().unwrap();
    check_lookups_from(&open_at(&dir, 200, 47).reader(), &batches, 47);
    assert_eq!(logs(&disk)[0], 40);
    assert!(names(&disk).iter().all(|name| &name[..20] >= "00000000000000000040"));
}

#[test]
fn the_newest_snapshot_stays_though_its_segment_goes() {
    let (disk, _, mut log, _) = ten_segments();
    for offset in [0, 20] {
        replace_file(&disk, &Path::new(DIR).join(format!("{offset:020}.snapshot")), b"").unwrap();
    }
    let removed = log.advance_start(60);
    removed.set_aside().unwrap();
    removed.remove().unwrap();
    let snapshots: Vec<_> = names(&disk).into_iter().filter(|name| name.contains("snapshot")).collect();
    assert_eq!(snapshots, ["00000000000000000020.snapshot"]);
}

#[test]
fn all_goes_after_a_roll() {
    let (disk, dir, mut log, _) = ten_segments();
    let all = log.advance_start(200);
    assert_eq!((all.segments(), log.reader().start()), (9, 200), "the active one stays");
    let end = log.roll().unwrap();
    assert_eq!((end.offset, end.segment, end.position), (200, 200, 0));
    assert_eq!(log.roll().unwrap(), end, "an empty one is not rolled");
    let mut rest = log.advance_start(200);
    assert_eq!(rest.segments(), 1);
    rest.add(all);
    rest.set_aside().unwrap();
    rest.remove().unwrap();
    assert_eq!(logs(&disk), [200]);
    assert!(view(&log, 200).is_ok());
    let more = singles(200, 30, 100);
    append(&mut log, &more).unwrap();
    check_lookups_from(&log.reader(), &more, 200);
    drop(log);
    check_lookups_from(&open_at(&dir, 0, 200).reader(), &more, 200);
}

#[test]
fn whoever_reads_a_removed_segment_reads_on() {
    let (_, _, mut log, batches) = ten_segments();
    let want = Want { offset: 0, limit: log.end(), bytes_max: 1 << 20, first: FirstBatch::Whole, wait: Wait::Yes };
    let view = log.reader().view(&want).unwrap();
    let segments = log.reader().segments().unwrap();
    let removed = log.advance_start(100);
    // These were not open yet.
    assert_eq!(segments[1].largest_timestamp().unwrap(), 1020);
    removed.set_aside().unwrap();
    assert_eq!(segments[1].first_timestamp().unwrap(), Some(1011));
    assert_eq!(segments[2].first_timestamp().unwrap(), Some(1021));
    assert_eq!(segments[2].largest_timestamp().unwrap(), 1030);
    removed.remove().unwrap();
    let mut bytes = vec![0; (view.range.end - view.range.start) as usize];
    view.file.read_at(&mut bytes, 0, Wait::Yes).unwrap();
    assert!(bytes == bytes_of(&batches[..10]));
}

#[test]
fn segments_say_what_retention_asks() {
    let (disk, _, mut log, batches) = ten_segments();
    let size = batches[0].bytes.len() as u64;
    disk.set_time(77_000);
    append(&mut log, &[Batch::new(200, &[-1], 10)]).unwrap();
    log.roll().unwrap();
    append(&mut log, &[Batch::new(201, &[-1, -1], 10)]).unwrap();
    let segments = log.reader().segments().unwrap();
    let numbers: Vec<_> = segments.iter().map(|info| (info.base_offset, info.next_offset, info.bytes / size)).collect();
    let expected: Vec<_> = (0..10).map(|i| (i * 20, i * 20 + 20, 10)).chain([(200, 201, 0), (201, 203, 0)]).collect();
    assert_eq!(numbers, expected);
    let times: Vec<_> = segments.iter().map(|info| info.largest_timestamp().unwrap()).collect();
    assert_eq!(times[..3], [1010, 1020, 1030]);
    assert_eq!(times[10..], [77_000, 77_000], "no timestamps: the time of the file");
    assert_eq!(segments[10].first_timestamp().unwrap(), None);
}

#[test]
fn options_hold_from_the_next_append_on() {
    let (disk, _, mut log, _) = ten_segments();
    log.set_options(LogOptions { segment_bytes: 1, index_interval_bytes: 10_000, ..OPTIONS });
    append(&mut log, &singles(200, 3, 10)).unwrap();
    assert_eq!(logs(&disk)[10..], [200, 201, 202]);
    log.set_options(LogOptions { segment_bytes: 1 << 20, index_interval_bytes: 0, ..OPTIONS });
    append(&mut log, &singles(203, 30, 10)).unwrap();
    assert_eq!(logs(&disk).len(), 13);
    for offset in 0..233 {
        assert!(view(&log, offset).is_ok(), "{offset}");
    }
}

#[test]
fn room_is_taken_ahead_and_given_back() {
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    disk.set_capacity(Some(1 << 20));
    let options = LogOptions { segment_bytes: 100_000, preallocate: true, ..OPTIONS };
    let used = |disk: &FaultyDisk| (1 << 20) - disk.free_bytes(Path::new("/")).unwrap();
    let (mut log, _) = open_with(&dir, options, 0);
    assert_eq!(used(&disk), 100_000);
    let batches = singles(0, 10, 100);
    let end = append(&mut log, &batches).unwrap();
    assert_eq!(
        (used(&disk), disk.size_of(&PathBuf::from(DIR).join(format!("{:020}.log", 0))).unwrap()),
        (100_000, end.position)
    );
    log.roll().unwrap();
    assert_eq!(used(&disk), 100_000 + end.position);
    append(&mut log, &singles(10, 1, 100)).unwrap();
    log.close().unwrap();
    assert!(used(&disk) < 3000, "{}", used(&disk));
    // On a full disk it does without.
    disk.set_capacity(Some(50_000));
    let (mut log, _) = open_with(&dir, options, 11);
    log.roll().unwrap();
    append(&mut log, &singles(11, 1, 100)).unwrap();
    check_lookups(&log.reader(), &singles(0, 12, 100));
}

/// As Kafka leaves it, where it preallocates: zeros behind the end of the active segment, and of one that was just ended.
#[test]
fn zeros_behind_the_end_are_the_end() {
    for last_offset in [150, 180, 200] {
        let (disk, dir, log, batches) = ten_segments();
        drop(log);
        for base in logs(&disk).into_iter().filter(|base| *base >= last_offset - 40) {
            let path = PathBuf::from(DIR).join(format!("{base:020}.log"));
            let file = disk.open(&path, Open::Write).unwrap();
            file.set_size(file.size().unwrap() + 5000).unwrap();
        }
        let log = open_at(&dir, 0, 0);
        assert_eq!(log.end().offset, 200);
        check_lookups(&log.reader(), &batches);
    }
}

#[test]
fn gaps_between_segments_are_allowed_below_what_was_cleaned() {
    let (disk, dir, log, batches) = ten_segments();
    drop(log);
    for base in [20, 60, 100] {
        let path = PathBuf::from(DIR).join(format!("{base:020}.log"));
        let file = disk.open(&path, Open::Write).unwrap();
        file.set_size(batches[0].bytes.len() as u64 * 9).unwrap();
    }
    let end = |cleaned| {
        let known = Checkpointed { cleaned, ..Checkpointed::default() };
        Log::open(&dir, "t-0", OPTIONS, known).unwrap().0.end().offset
    };
    // Found once they are behind the recovery point, or not at all.
    disk.fail_next(Operation::Open, ".timeindex", ErrorKind::StorageFull);
    let known = Checkpointed { cleaned: 120, ..Checkpointed::default() };
    assert!(matches!(Log::open(&dir, "t-0", OPTIONS, known), Err(LogError::Gaps { .. })));
    let (log, recovered) = Log::open(&dir, "t-0", OPTIONS, known).unwrap();
    assert_eq!((log.reader().recovery_point(), recovered.has_gaps), (200, true));
    drop(log);
    assert_eq!(open_at(&dir, 200, 0).end().offset, 200);
    assert_eq!(end(120), 200);
    assert_eq!(end(119), 118);
    assert_eq!(end(80), 118);
    assert_eq!(end(79), 78);
    assert_eq!(end(0), 38);
}

#[test]
fn what_was_left_over_is_settled() {
    let (disk, dir, log, batches) = ten_segments();
    drop(log);
    let put = |name: &str| replace_file(&disk, &Path::new(DIR).join(name), b"x").unwrap();
    let file = |base: i64, rest: &str| format!("{base:020}.{rest}");
    for name in [
        file(0, "log.deleted"),
        file(7, "snapshot.deleted"),
        file(20, "log.cleaned"),
        file(20, "timeindex.cleaned"),
        file(20, "index.swap"),
        file(40, "log.swap"),
        file(3, "index"),
        file(3, "timeindex"),
    ] {
        put(&name);
    }
    put("00000000000000000007-0000000001.checkpoint.deleted");
    let log = open_at(&dir, 200, 0);
    check_lookups(&log.reader(), &batches);
    let left: Vec<_> = names(&disk).into_iter().filter(|name| name.split('.').count() > 2).collect();
    assert_eq!(left, ["00000000000000000007-0000000001.checkpoint.deleted"]);
    assert!(!names(&disk).contains(&file(3, "index")));
}

#[test]
fn where_nothing_can_be_written_nothing_is_removed() {
    let (disk, dir, log, _) = ten_segments();
    drop(log);
    replace_file(&disk, &Path::new(DIR).join("00000000000000000000.log.deleted"), b"x").unwrap();
    let before = names(&disk);
    disk.fail_next(Operation::Open, "recovery.tmp", ErrorKind::PermissionDenied);
    assert!(Log::open(&dir, "t-0", OPTIONS, Checkpointed::default()).is_err());
    assert_eq!(names(&disk), before);
    disk.remove_file(&Path::new(DIR).join("00000000000000000000.log.deleted")).unwrap();
    let before = names(&disk);
    disk.fail_next(Operation::Open, "recovery.tmp", ErrorKind::PermissionDenied);
    assert!(Log::open(&dir, "t-0", OPTIONS, Checkpointed { log_start: 50, ..Checkpointed::default() }).is_err());
    assert_eq!(names(&disk), before);
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(usize, usize)>),
    Flush,
    Roll,
    /// To so many hundredths of the way to the end.
    Advance(i64),
    SetAside,
    Remove,
    Checkpoint,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let batches = prop::collection::vec((1..4usize, prop_oneof![0..200usize, 1000..3000usize]), 1..6);
    prop_oneof![
        6 => batches.prop_map(Step::Append),
        1 => Just(Step::Flush),
        1 => Just(Step::Roll),
        3 => prop_oneof![(0..=100i64).boxed(), Just(100).boxed()].prop_map(Step::Advance),
        2 => Just(Step::SetAside),
        1 => Just(Step::Remove),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Close),
    ]
}

/// What is known of a log whose beginning moves.
#[derive(Default)]
struct Known {
    appended: Vec<Batch>,
    returned: usize,
    end: i64,
    flushed: i64,
    /// The start that was last asked for.
    start: i64,
    checkpointed: Checkpointed,
}

impl Known {
    fn reopen(&mut self, dir: &Arc<LogDir>, is_power_lost: bool) -> Log {
        let (log, _) = Log::open(dir, "t-0", OPTIONS, self.checkpointed).unwrap();
        let (start, end) = (log.reader().start(), log.end().offset);
        assert!(start >= self.checkpointed.log_start, "{start} is below the checkpoint");
        assert!(start <= self.start, "{start} was never asked for");
        assert!(end >= self.flushed && (is_power_lost || end >= self.end));
        self.appended.retain(|batch| batch.header.next_offset() <= end);
        self.returned = self.appended.len();
        self.end = end;
        // What was removed may be there again: the removal was not synced, nor the start in the checkpoint.
        let held = &self.appended[self.appended.partition_point(|batch| batch.header.last_offset() < start)..];
        assert_eq!(held.last().map_or(start, |batch| batch.header.next_offset()), end);
        assert!(read(&log.reader(), start, log.end(), 3000) == bytes_of(held), "other bytes than appended");
        check_lookups_from(&log.reader(), held, start);
        log
    }

    fn live(&mut self, mut log: Log, steps: &[Step]) -> Option<()> {
        let mut removed = Removed::default();
        for step in steps {
            match step {
                Step::Append(sizes) => {
                    self.appended.truncate(self.returned);
                    let mut offset = self.end;
                    for &(records, bytes) in sizes {
                        let times: Vec<_> = (offset..).take(records).map(|at| 1000 + at * 7 % 500 + at).collect();
                        self.appended.push(Batch::new(offset, &times, bytes));
                        offset += records as i64;
                    }
                    append(&mut log, &self.appended[self.returned..]).ok()?;
                    self.returned = self.appended.len();
                    self.end = offset;
                }
                Step::Flush => self.flushed = self.flushed.max(log.flush().ok()?.offset),
                Step::Roll => drop(log.roll().ok()?),
                Step::Advance(hundredths) => {
                    let start = log.reader().start();
                    let to = start + (self.end - start) * hundredths / 100;
                    self.start = self.start.max(to);
                    removed.add(log.advance_start(to));
                    assert_eq!(log.reader().start(), to);
                }
                Step::SetAside => removed.set_aside().ok()?,
                Step::Remove => {
                    removed.set_aside().ok()?;
                    std::mem::take(&mut removed).remove().ok()?;
                }
                Step::Checkpoint => {
                    let reader = log.reader();
                    let (recovery_point, log_start) = (reader.recovery_point(), reader.start());
                    self.checkpointed = Checkpointed { recovery_point, log_start, ..Checkpointed::default() };
                }
                Step::Close => {
                    self.flushed = log.close().ok()?.offset;
                    return Some(());
                }
            }
        }
        Some(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_finds_the_start_where_it_was_or_was_to_be(
        seed: u64,
        lives in prop::collection::vec((prop::collection::vec(step(), 1..30), 1..120u64, any::<bool>()), 1..5),
    ) {
        let disk = FaultyDisk::new(seed);
        let mut known = Known::default();
        let mut is_power_lost = false;
        for (steps, stop_after, next) in lives {
            let log = known.reopen(&log_dir(disk.clone()), is_power_lost);
            disk.stop_at(disk.operations() + stop_after);
            known.live(log, &steps);
            is_power_lost = next;
            if is_power_lost { disk.power_loss() } else { disk.kill() }
        }
        known.reopen(&log_dir(disk), is_power_lost);
    }
}
