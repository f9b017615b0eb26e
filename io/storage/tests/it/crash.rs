//! A log on a disk that fails, and machines that stop at any operation.
//!
//! Whatever happens, an opened log holds a prefix of what was appended to it, whole batches only, with all that was
//! flushed; after kill -9 with all that an append returned from. And it answers look-ups like a list does.

use std::sync::Arc;

use crate::support::*;
use ottla_base::Now;
use ottla_storage::disk::{FaultyDisk, Odds};
use ottla_storage::{FlushOptions, Flusher, Log, LogDir, LogOptions, Place};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// Batches with so many records, of so many bytes each.
    Append(Vec<(usize, usize)>),
    Flush,
    /// The flusher's own pace: now and then.
    RunFlusher,
    Close,
    /// Nothing is appended for a while.
    Rest,
    /// The disk is well again.
    Heal,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Kill,
    PowerLoss,
}

fn step() -> impl Strategy<Value = Step> {
    let batches = prop::collection::vec((1..4usize, prop_oneof![0..200usize, 0..200usize, 1000..9000usize]), 1..6);
    prop_oneof![6 => batches.prop_map(Step::Append), 2 => Just(Step::Flush), 1 => Just(Step::RunFlusher), 1 => Just(Step::Close), 1 => Just(Step::Rest)]
}

fn life() -> impl Strategy<Value = (Vec<Step>, u64, End)> {
    let end = prop_oneof![Just(End::Kill), Just(End::PowerLoss)];
    (prop::collection::vec(step(), 1..25), 1..150u64, end)
}

/// What is known of the log between two lives of its machine.
struct Known {
    options: LogOptions,
    /// All that may be in the log, in order.
    appended: Vec<Batch>,
    /// So many of them an append has returned from.
    returned: usize,
    /// Offset before which all was flushed, and the recovery point that a checkpoint tells.
    flushed: i64,
    checkpointed: i64,
}

impl Known {
    /// Of a disk without files. Segments of a page, or of some.
    fn nothing(seed: u64) -> Known {
        let options = LogOptions { segment_bytes: (4 << 10) << (seed % 3), ..OPTIONS };
        Known { options, appended: Vec::new(), returned: 0, flushed: 0, checkpointed: 0 }
    }

    fn next_offset(&self) -> i64 {
        self.appended[..self.returned].last().map_or(0, |batch| batch.header.next_offset())
    }

    /// Opens the log and compares it; what it holds is known to be in it from then on.
    fn reopen(&mut self, dir: &Arc<LogDir>, end: End) -> Log {
        let (log, recovered) = open_with(dir, self.options, self.checkpointed);
        let offset = log.end().offset;
        assert_eq!(recovered.synced_offsets_lost, 0);
        assert!(offset >= self.flushed, "{offset} is before {}, which was flushed", self.flushed);
        if let End::Kill = end {
            assert!(offset >= self.next_offset(), "kill -9 lost what was in the page cache");
        }
        self.appended.retain(|batch| batch.header.base_offset < offset);
        self.returned = self.appended.len();
        assert_eq!(self.next_offset(), offset);
        assert!(read(&log.reader(), 0, log.end(), 3000) == bytes_of(&self.appended), "other bytes than appended");
        check_lookups(&log.reader(), &self.appended);
        log
    }

    /// Runs until the machine stops.
    fn live(&mut self, disk: &FaultyDisk, dir: &Arc<LogDir>, mut log: Log, steps: &[Step]) {
        let options = FlushOptions { flush_from_bytes: 1 << 19, dirty_ms_max: 10, write_back_bytes: nonzero(2000) };
        let mut flusher = Flusher::new(dir, options);
        let mut now = Now::default();
        for step in steps {
            match step {
                Step::Append(sizes) => {
                    self.appended.truncate(self.returned);
                    let mut offset = self.next_offset();
                    for &(records, bytes) in sizes {
                        let times: Vec<_> = (offset..).take(records).map(|at| 1000 + at * 7 % 500 + at).collect();
                        self.appended.push(Batch::new(offset, &times, bytes));
                        offset += records as i64;
                    }
                    match append(&mut log, &self.appended[self.returned..]) {
                        Ok(end) => {
                            assert_eq!(end.offset, offset);
                            self.returned = self.appended.len();
                        }
                        // It may be in the log that the stopped machine leaves.
                        Err(_) if disk.has_stopped() => return,
                        Err(_) => assert_eq!(log.end().offset, self.next_offset()),
                    }
                }
                Step::Rest => log.rest(),
                Step::Flush | Step::RunFlusher => {
                    if let Step::Flush = step {
                        log.reader().ask_flush();
                    }
                    now.mono_ms += 7;
                    for flushed in flusher.run_once(now, &|| 0) {
                        if let Ok(Place { offset, .. }) = flushed.outcome {
                            self.flushed = self.flushed.max(offset);
                        }
                    }
                    flusher.take_write_backs().iter_mut().for_each(|back| while back.step() {});
                    self.checkpointed = log.reader().recovery_point();
                    assert!(self.checkpointed <= self.flushed);
                }
                Step::Heal => {
                    disk.draw_errors(Odds::default());
                    disk.set_capacity(None);
                }
                Step::Close => {
                    let Ok(end) = log.close() else { return };
                    self.flushed = end.offset;
                    self.checkpointed = end.offset;
                    return;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_flushed_is_lost(seed: u64, lives in prop::collection::vec(life(), 1..5)) {
        let disk = FaultyDisk::new(seed);
        let mut known = Known::nothing(seed);
        let mut end = End::Kill;
        for (steps, stop_after, next_end) in lives {
            let dir = log_dir(disk.clone());
            let log = known.reopen(&dir, end);
            disk.stop_at(disk.operations() + stop_after);
            known.live(&disk, &dir, log, &steps);
            end = next_end;
            match end {
                End::Kill => disk.kill(),
                End::PowerLoss => disk.power_loss(),
            }
        }
        known.reopen(&log_dir(disk), end);
    }

    #[test]
    fn a_failing_disk_spoils_nothing(seed: u64, steps in prop::collection::vec(step(), 1..40), capacity in 5_000..60_000u64, flushes: bool) {
        let disk = FaultyDisk::new(seed);
        let mut known = Known::nothing(seed);
        let dir = log_dir(disk.clone());
        let log = known.reopen(&dir, End::Kill);
        disk.set_capacity(Some(capacity));
        disk.draw_errors(Odds { errors_per_mille: 60, short_writes_per_mille: 100, ..Odds::default() });
        let steps: Vec<_> = steps.into_iter().filter(|step| !matches!(step, Step::Close)).collect();
        let last = [Step::Heal, Step::Append(vec![(1, 10)]), Step::Flush];
        known.live(&disk, &dir, log, &[&steps[..], &last[..if flushes { 3 } else { 2 }]].concat());
        assert!(!flushes || known.flushed == known.next_offset());
        // Nothing that was refused is in the log.
        known.appended.truncate(known.returned);
        disk.power_loss();
        known.reopen(&log_dir(disk), End::PowerLoss);
    }
}
