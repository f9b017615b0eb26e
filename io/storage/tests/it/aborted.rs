//! Aborted transactions: who reads committed records sees those and no others, wherever he begins, and whatever becomes of the log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_base::AbortedTransaction;
use ottla_records::{
    Attributes, BatchBuilder, BatchHeader, BatchOptions, ControlType, NewRecord, Scratch, control_type,
};
use ottla_storage::disk::{Disk, FaultyDisk, Open, Operation, Wait, read_file};
use ottla_storage::{ABORTED_MAX, Checkpointed, FirstBatch, Log, LogDir, LogOptions, Reader, Recovered, Want};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::keyed::{clean, cleaner, job_of};
use crate::support::*;

const DIR: &str = "/data/t-0";

/// Segments of some batches.
const SMALL: LogOptions = LogOptions { segment_bytes: 600, index_interval_bytes: 150, ..OPTIONS };

#[derive(Clone, Copy, Debug)]
enum Next {
    /// Of no transaction.
    Plain(u8),
    /// Records with these keys, from this one on.
    Data(u8, u8),
    End(ControlType),
}

/// A log that was written elsewhere.
#[derive(Clone, Debug, Default)]
struct Story {
    batches: Vec<Batch>,
    aborted: Vec<AbortedTransaction>,
    /// Key of each record that counts, by offset.
    committed: BTreeMap<i64, u8>,
    /// Producers whose transaction is open: its first offset, and its records.
    open: BTreeMap<i64, (i64, BTreeMap<i64, u8>)>,
}

impl Story {
    fn of(steps: &[(i64, Next)]) -> Story {
        let mut story = Story::default();
        steps.iter().for_each(|step| story.add(*step));
        story
    }

    fn end(&self) -> i64 {
        self.batches.last().map_or(0, |batch| batch.header.next_offset())
    }

    fn last_stable(&self) -> i64 {
        self.open.values().map(|(first, _)| *first).min().unwrap_or(self.end())
    }

    fn add(&mut self, (producer_id, next): (i64, Next)) {
        let base_offset = self.end();
        let keys = |first: u8, count: u8| (base_offset..).zip(first..first + count);
        match next {
            Next::Plain(key) => {
                self.push(-1, Attributes::default(), &[&[key]]);
                self.committed.extend(keys(key, 1));
            }
            Next::Data(first, count) => {
                let all: Vec<_> = (first..first + count).map(|key| [key]).collect();
                let slices: Vec<&[u8]> = all.iter().map(|key| &key[..]).collect();
                self.push(producer_id, Attributes::default().with_transactional(), &slices);
                self.open.entry(producer_id).or_insert((base_offset, BTreeMap::new())).1.extend(keys(first, count));
            }
            Next::End(kind) => {
                self.push(producer_id, Attributes::default().with_transactional().with_control(), &[&kind.key()]);
                let Some((first_offset, records)) = self.open.remove(&producer_id) else { return };
                if kind == ControlType::Commit {
                    self.committed.extend(records);
                } else {
                    let (last_offset, last_stable) = (base_offset, self.last_stable());
                    self.aborted.push(AbortedTransaction { producer_id, first_offset, last_offset, last_stable });
                }
            }
        }
    }

    fn push(&mut self, producer_id: i64, attributes: Attributes, keys: &[&[u8]]) {
        let producer_epoch = if producer_id < 0 { -1 } else { 0 };
        let options =
            BatchOptions { base_offset: self.end(), attributes, producer_id, producer_epoch, ..Default::default() };
        let mut builder = BatchBuilder::new(options);
        for key in keys {
            builder.push(&NewRecord { timestamp: self.end(), key: Some(key), value: Some(&[0; 6]), headers: &[] });
        }
        let bytes = builder.finish();
        self.batches.push(Batch { header: BatchHeader::parse(&bytes).unwrap(), bytes });
    }

    /// The log, as it is left when its process is killed: what is aborted is known to nobody.
    fn write(&self, dir: &Arc<LogDir>) -> (Log, Recovered) {
        let (mut log, _) = open_with(dir, SMALL, 0);
        for batch in &self.batches {
            append(&mut log, std::slice::from_ref(batch)).unwrap();
        }
        drop(log);
        open_with(dir, SMALL, 0)
    }

    /// The same, once it is known.
    fn opened(&self, dir: &Arc<LogDir>) -> Log {
        let (log, recovered) = self.write(dir);
        assert_eq!(
            recovered.aborted_from.is_some(),
            self.batches.iter().any(|batch| batch.header.attributes.is_control())
        );
        log.set_aborted(recovered.aborted_from.unwrap_or(0), &self.aborted).unwrap();
        log
    }

    /// Whoever begins at `offset` sees what counts, and nothing else.
    fn check(&self, reader: &Reader, offset: i64, bytes_max: u64) {
        let expected: Vec<_> =
            self.committed.range(offset..self.last_stable().max(offset)).map(|(offset, _)| *offset).collect();
        assert_eq!(consumed(reader, offset, self.last_stable(), bytes_max), expected, "from {offset} by {bytes_max}");
    }
}

/// Offsets of the records that a consumer gives to its application, as Kafka's does it: it knows of each answer what was aborted.
fn consumed(reader: &Reader, mut offset: i64, last_stable: i64, bytes_max: u64) -> Vec<i64> {
    let (wait, first) = (Wait::Yes, FirstBatch::Whole);
    let limit = reader.place_of(last_stable, reader.end(), wait).unwrap();
    assert_eq!(limit.offset, last_stable);
    let mut seen = Vec::new();
    while offset < last_stable {
        let (view, aborted) = reader.view_committed(&Want { offset, limit, bytes_max, first, wait }).unwrap();
        let mut bytes = vec![0; (view.range.end - view.range.start) as usize];
        view.file.read_at(&mut bytes, view.range.start, wait).unwrap();
        let mut to_come: BTreeSet<_> = aborted.iter().map(|one| (one.first_offset, one.producer_id)).collect();
        assert_eq!(to_come.len(), aborted.len(), "told twice");
        let mut skipped = BTreeSet::new();
        let (mut rest, from) = (&bytes[..], offset);
        while let Ok(header) = BatchHeader::parse(rest)
            && let Some((batch, behind)) = rest.split_at_checked(header.size_bytes())
        {
            rest = behind;
            while to_come.first().is_some_and(|(first, _)| *first <= header.last_offset()) {
                skipped.extend(to_come.pop_first().map(|(_, producer)| producer));
            }
            if header.attributes.is_control() {
                if control_type(batch, &mut Scratch::new()) == Ok(Some(ControlType::Abort)) {
                    skipped.remove(&header.producer_id);
                }
            } else if !header.attributes.is_transactional() || !skipped.contains(&header.producer_id) {
                let records = ottla_records::records(batch, usize::MAX, &mut Scratch::new()).unwrap().count();
                assert!(records == 0 || records as i32 == header.last_offset_delta + 1 || header.record_count > 0);
                let whole = Batch { header, bytes: batch.to_vec() };
                seen.extend(whole.records().into_iter().map(|(at, _)| at).filter(|at| *at >= from));
            }
            offset = header.next_offset();
        }
        assert!(offset > from, "an answer that does not go on");
    }
    seen
}

fn any_steps() -> impl Strategy<Value = Vec<(i64, Next)>> {
    let next = prop_oneof![
        2 => (0..9u8).prop_map(Next::Plain),
        5 => (0..9u8, 1..4u8).prop_map(|(first, count)| Next::Data(first, count)),
        2 => Just(Next::End(ControlType::Abort)),
        2 => Just(Next::End(ControlType::Commit)),
    ];
    vec((0..3i64, next), 1..80)
}

fn lists(disk: &FaultyDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let names = disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name);
    let paths = names.filter(|name| name.ends_with(".txnindex")).map(|name| Path::new(DIR).join(name));
    paths.map(|path| (path.clone(), read_file(disk, &path).unwrap())).collect()
}

proptest! {
    #[test]
    fn what_counts_is_seen_and_nothing_else(
        steps in any_steps(),
        starts in vec((any::<prop::sample::Index>(), prop_oneof![Just(1u64), 1..2000u64]), 10),
    ) {
        let story = Story::of(&steps);
        let dir = log_dir(FaultyDisk::new(1));
        let log = story.opened(&dir);
        for (start, bytes_max) in starts {
            story.check(&log.reader(), start.index(story.end() as usize + 1) as i64, bytes_max);
        }
    }

    /// What is told of a stretch is what has records in it, and may be what begins soon behind, in the order of the markers.
    #[test]
    fn no_more_is_told_than_need_be(steps in any_steps(), at in any::<prop::sample::Index>(), bytes_max in 1..1000u64) {
        let story = Story::of(&steps);
        let dir = log_dir(FaultyDisk::new(1));
        let log = story.opened(&dir);
        let (offset, limit) = (at.index(story.end() as usize) as i64, log.end());
        let want = Want { offset, limit, bytes_max, first: FirstBatch::Whole, wait: Wait::Yes };
        let (view, told) = log.reader().view_committed(&want).unwrap();
        let mut bytes = 0;
        let inside = story.batches.iter().skip_while(|batch| batch.header.base_offset < view.base_offset);
        let inside: Vec<_> = inside
            .take_while(|batch| {
                bytes += batch.bytes.len() as u64;
                bytes <= view.range.end - view.range.start
            })
            .collect();
        let next_offset = inside.last().map_or(view.base_offset, |batch| batch.header.next_offset());
        let needed: Vec<_> = story
            .aborted
            .iter()
            .filter(|one| one.last_offset >= offset && one.first_offset < next_offset)
            .copied()
            .collect();
        let of_those: Vec<_> = told.iter().filter(|one| one.first_offset < next_offset).copied().collect();
        prop_assert_eq!(of_those, needed);
        // A segment is as long as the uncertainty may be.
        let far = next_offset + 40;
        prop_assert!(told.iter().all(|one| one.first_offset < far && one.last_offset >= offset));
    }

    #[test]
    fn the_lists_are_found_again_wherever_the_recovery_point_is(
        steps in any_steps(),
        at in any::<prop::sample::Index>(),
        is_lost in any::<bool>(),
    ) {
        let story = Story::of(&steps);
        let disk = FaultyDisk::new(1);
        let dir = log_dir(disk.clone());
        drop(story.opened(&dir));
        let before = lists(&disk);
        let recovery_point = at.index(story.end() as usize + 1) as i64;
        // What was synced is there; of the rest nothing, or all.
        for (path, bytes) in before.iter().filter(|_| is_lost) {
            let synced = bytes.chunks(34).take_while(|line| i64::from_be_bytes(line[18..26].try_into().unwrap()) < recovery_point);
            let synced = synced.flatten().copied().collect::<Vec<_>>();
            let file = disk.open(path, Open::Write).unwrap();
            file.set_size(synced.len() as u64).unwrap();
        }
        let (log, recovered) = open_with(&dir, SMALL, recovery_point);
        if let Some(from) = recovered.aborted_from {
            let later: Vec<_> = story.aborted.iter().filter(|one| one.last_offset >= from).copied().collect();
            log.set_aborted(from, &later).unwrap();
        }
        let empty = |all: Vec<(PathBuf, Vec<u8>)>| all.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect::<Vec<_>>();
        prop_assert_eq!(empty(lists(&disk)), empty(before));
        story.check(&log.reader(), 0, 300);
    }

    /// Of what was aborted nothing is left, so that nothing has to be told.
    #[test]
    fn compaction_leaves_what_counts(steps in any_steps(), bytes_max in 1..2000u64) {
        let story = Story::of(&steps);
        let dir = log_dir(FaultyDisk::new(1));
        let log = story.opened(&dir);
        let reader = log.reader();
        let bound = reader.segments().unwrap().iter().map(|segment| segment.base_offset)
            .filter(|base| *base <= story.last_stable()).max().unwrap();
        let mut job = job_of(reader.clone(), 0, 0, &[]);
        (job.bound, job.last_stable) = (bound, story.last_stable());
        let (removed, cleaned) = clean(&mut cleaner(100), &job);
        let clean_to = cleaned.unwrap().first_dirty;
        removed.set_aside().unwrap();
        removed.remove().unwrap();
        let seen = consumed(&reader, 0, story.last_stable(), bytes_max);
        let newest: BTreeMap<u8, i64> =
            story.committed.range(..clean_to).map(|(offset, key)| (*key, *offset)).collect();
        let kept = |offset: &i64, key: &u8| *offset >= clean_to || newest.get(key) == Some(offset);
        let expected: Vec<_> = story.committed.range(..story.last_stable())
            .filter(|(offset, key)| kept(offset, key)).map(|(offset, _)| *offset).collect();
        prop_assert_eq!(&seen, &expected);
        drop(log);
        let (log, recovered) = open_with(&dir, SMALL, story.end());
        prop_assert_eq!(recovered.aborted_from, None);
        prop_assert_eq!(consumed(&log.reader(), 0, story.last_stable(), bytes_max), seen);
    }
}

/// Ten transactions, every other one aborted, each in a segment of its own with its marker in the next.
fn ten() -> Story {
    let kind = |i: i64| if i % 2 == 0 { ControlType::Abort } else { ControlType::Commit };
    let steps = (0..10).flat_map(|i| [(i, Next::Data(0, 9)), (9, Next::Plain(1)), (i, Next::End(kind(i)))]);
    Story::of(&steps.collect::<Vec<_>>())
}

#[test]
fn a_log_without_markers_is_not_looked_at() {
    let story = Story::of(&[(1, Next::Plain(0)), (1, Next::Data(0, 3)), (2, Next::Plain(0))]);
    let dir = log_dir(FaultyDisk::new(1));
    let (log, recovered) = story.write(&dir);
    assert_eq!(recovered.aborted_from, None);
    assert_eq!(consumed(&log.reader(), 0, 1, 100), [0]);
}

#[test]
fn lists_leave_with_their_segments() {
    let story = ten();
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let mut log = story.opened(&dir);
    log.flush().unwrap();
    let before = lists(&disk);
    let start = story.aborted[2].last_offset + 1;
    let removed = log.advance_start(start);
    removed.set_aside().unwrap();
    removed.remove().unwrap();
    let left = lists(&disk);
    let first = log.reader().segments().unwrap()[0].base_offset;
    let is_left = |(path, _): &&(PathBuf, Vec<u8>)| path.to_str().unwrap() >= &format!("{DIR}/{first:020}.txnindex");
    assert!(left.len() < before.len());
    assert_eq!(left, before.iter().filter(is_left).cloned().collect::<Vec<_>>());
    story.check(&log.reader(), start, 500);
    // One that a crash has left without its log goes too.
    disk.remove_file(&left[0].0.with_extension("log")).unwrap();
    let later = log.reader().segments().unwrap()[1].base_offset;
    drop(log);
    Log::open(&dir, "t-0", SMALL, Checkpointed { recovery_point: story.end(), log_start: later, ..Default::default() })
        .unwrap();
    assert_eq!(lists(&disk), left[1..]);
}

#[test]
fn damage_to_a_list_is_noticed() {
    let story = ten();
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let end = story.opened(&dir).close().unwrap().offset;
    let good = lists(&disk);
    let (path, bytes) = &good[1];
    let base = story.aborted[1].last_offset;
    for at in 0..=bytes.len() {
        let mut bad = bytes.clone();
        match bad.get_mut(at) {
            Some(byte) => *byte ^= 0x80,
            None => bad.push(0),
        }
        let file = disk.open(path, Open::Create).unwrap();
        file.set_size(0).unwrap();
        file.write_vectored_at(&[std::io::IoSlice::new(&bad)], 0).unwrap();
        let (log, recovered) = open_with(&dir, SMALL, end);
        // A producer's id is a number like any other.
        if (2..10).contains(&at) {
            assert_eq!(recovered.aborted_from, None, "byte {at}");
        } else {
            let from = recovered.aborted_from.unwrap_or_else(|| panic!("byte {at} was not missed"));
            assert!(from <= base, "byte {at}");
            let later: Vec<_> = story.aborted.iter().filter(|one| one.last_offset >= from).copied().collect();
            log.set_aborted(from, &later).unwrap();
            assert_eq!(lists(&disk), good, "byte {at}");
            story.check(&log.reader(), 0, 500);
        }
    }
}

#[test]
fn a_crash_while_lists_are_written_leaves_what_can_be_done_again() {
    let story = ten();
    let operations = |disk: &FaultyDisk, stop_at: u64| {
        let dir = log_dir(disk.clone());
        let (log, recovered) = story.write(&dir);
        let before = disk.operations();
        disk.stop_at(before + stop_at);
        let set = log.set_aborted(recovered.aborted_from.unwrap(), &story.aborted);
        (disk.operations() - before, set.is_ok())
    };
    let (all, done) = operations(&FaultyDisk::new(1), u64::MAX / 2);
    assert!(done && all > 20);
    for stop_at in 1..=all {
        for is_power_loss in [false, true] {
            let disk = FaultyDisk::new(stop_at);
            operations(&disk, stop_at);
            match is_power_loss {
                true => disk.power_loss(),
                false => disk.kill(),
            }
            let dir = log_dir(disk.clone());
            let (log, recovered) = open_with(&dir, SMALL, 0);
            let end = log.end().offset;
            let told: Vec<_> = story.aborted.iter().filter(|one| one.last_offset < end).copied().collect();
            if let Some(from) = recovered.aborted_from {
                assert_eq!(from, 0);
                log.set_aborted(from, &told).unwrap();
            }
            if end == story.end() {
                story.check(&log.reader(), 0, 500);
            }
        }
    }
}

#[test]
fn a_list_that_cannot_be_read_is_an_error() {
    let story = ten();
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let log = story.opened(&dir);
    disk.fail_all(Operation::Read, "txnindex", std::io::ErrorKind::Other);
    let want = Want { offset: 0, limit: log.end(), bytes_max: 100, first: FirstBatch::Whole, wait: Wait::Yes };
    assert!(log.reader().view_committed(&want).is_err());
    disk.mend();
    // The first records have nothing to do with the last marker.
    let (last, _) = lists(&disk).pop().unwrap();
    disk.fail_all(Operation::Read, last.to_str().unwrap(), std::io::ErrorKind::Other);
    assert_eq!(log.reader().view_committed(&want).unwrap().1, story.aborted[..1]);
    let offset = story.aborted.last().unwrap().first_offset;
    assert!(log.reader().view_committed(&Want { offset, ..want }).is_err());
    assert!(log.reader().view(&want).is_ok());
    disk.mend();
    story.check(&log.reader(), 0, 500);
}

/// What an index says of where an answer ends is looked at.
#[test]
fn an_index_that_lies_hides_nothing() {
    let steps = (0..40).flat_map(|_| [(1, Next::Data(0, 3)), (1, Next::End(ControlType::Abort)), (2, Next::Plain(1))]);
    let story = Story::of(&steps.collect::<Vec<_>>());
    let disk = FaultyDisk::new(1);
    let dir = log_dir(disk.clone());
    let end = story.opened(&dir).close().unwrap().offset;
    for entry in disk.list(Path::new(DIR)).unwrap().into_iter().filter(|entry| entry.name.ends_with(".index")) {
        let path = Path::new(DIR).join(entry.name);
        let mut bytes = read_file(&disk, &path).unwrap();
        for (relative, entry) in (1u32..).zip(bytes.chunks_exact_mut(8)) {
            entry[..4].copy_from_slice(&relative.to_be_bytes());
        }
        disk.open(&path, Open::Write).unwrap().write_vectored_at(&[std::io::IoSlice::new(&bytes)], 0).unwrap();
    }
    let (log, _) = open_with(&dir, SMALL, end);
    let bases: Vec<_> = log.reader().segments().unwrap().iter().map(|segment| segment.base_offset).collect();
    for base in bases {
        for bytes_max in [1, 200, 400, 600] {
            story.check(&log.reader(), base, bytes_max);
        }
    }
}

/// An answer has a limited number of aborted transactions, and so many records as go with that.
#[test]
fn a_stretch_of_many_aborted_transactions_is_made_shorter() {
    let count = ABORTED_MAX + ABORTED_MAX / 2;
    let mut story = Story::default();
    for producer in 0..count as i64 {
        story.add((producer, Next::Data(0, 1)));
        story.add((producer, Next::End(ControlType::Abort)));
    }
    let dir = log_dir(FaultyDisk::new(1));
    let options = LogOptions { segment_bytes: 1 << 30, ..OPTIONS };
    let (mut log, _) = open_with(&dir, options, 0);
    append(&mut log, &story.batches).unwrap();
    log.set_aborted(0, &story.aborted).unwrap();
    let want = Want { offset: 0, limit: log.end(), bytes_max: u64::MAX, first: FirstBatch::Whole, wait: Wait::Yes };
    let (view, aborted) = log.reader().view_committed(&want).unwrap();
    assert!((ABORTED_MAX / 4..=ABORTED_MAX).contains(&aborted.len()), "{}", aborted.len());
    assert!(view.range.end < log.end().position);
    let told = aborted.last().unwrap();
    assert!(view.range.end <= (told.last_offset as u64 + 50) * 100);

    // As many that all have something in the first batch's place: it goes out with all of them.
    let mut story = Story::default();
    for producer in 0..count as i64 {
        story.add((producer, Next::Data(0, 1)));
    }
    let at = story.end();
    for (producer_id, (first_offset, _)) in std::mem::take(&mut story.open) {
        let last_offset = story.end();
        story.add((producer_id, Next::End(ControlType::Abort)));
        let last_stable = if first_offset + 1 < at { first_offset + 1 } else { last_offset + 1 };
        story.aborted.push(AbortedTransaction { producer_id, first_offset, last_offset, last_stable });
    }
    let dir = log_dir(FaultyDisk::new(1));
    let (mut log, _) = open_with(&dir, options, 0);
    append(&mut log, &story.batches).unwrap();
    log.set_aborted(0, &story.aborted).unwrap();
    let want = Want { offset: at - 1, limit: log.end(), ..want };
    let (view, aborted) = log.reader().view_committed(&want).unwrap();
    assert_eq!((aborted.len(), view.base_offset), (count, at - 1));
    assert!(view.range.end - view.range.start < 200);
}
