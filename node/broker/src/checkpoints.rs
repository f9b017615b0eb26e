//! How far the logs have come, written down now and then, and when much was flushed: what a start after a crash need not read.
//!
//! The lines of Kafka's files name a log by topic and partition. When a topic is deleted and another one of its name is made,
//! a line that was left over would say of the new log that it is on the disk when it is not: its end would never be synced,
//! and torn batches would not be looked for. So a log is begun only when the files have no line for its name.
//!
//! Kafka writes down how far a log is compacted when that is long done. If it was killed in between there are gaps behind that
//! offset, where segments do not begin where the ones before end; and to repair such a log would be to remove what is behind
//! a gap. So where Kafka wrote a directory last, gaps are taken for its compaction, wherever they are. It has no line for the
//! metadata log, and we always have one, in every directory. The same holds for a log without a recovery point, if its topic
//! is compacted: somebody may have put it here, without its lines. A log that is opened with gaps has its recovery point
//! behind them at once, so they are found no second time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_config::TopicConfig;
use ottla_rt::{Rt, Stop};
use ottla_storage::checkpoint::offsets::{self, FIRST_DIRTY, HIGH_WATERMARKS, LOG_STARTS, RECOVERY_POINTS};
use ottla_storage::{Checkpointed, LogDir, LogError, Reader};
use tokio::sync::Notify;

use crate::control::opening;
use crate::directory::Directory;
use crate::partition::Partition;
use crate::topics::Published;

/// Bytes that may be flushed before the files are written, though their time has not come.
const UNWRITTEN_BYTES_MAX: u64 = 256 << 20;

/// The files of a log directory.
#[derive(Debug)]
pub struct Checkpoints {
    dir: Arc<LogDir>,
    written: Mutex<Written>,
    /// [`LogDir::flushed_bytes`] when the task was last woken for them.
    woken_at_bytes: AtomicU64,
    wake: Notify,
    gaps: Gaps,
}

/// Where segments of a log need not begin where the ones before end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gaps {
    /// Where the files say that it is compacted.
    Compacted,
    Anywhere,
}

#[derive(Debug)]
struct Written {
    offsets: Offsets,
    /// A write has failed: what is in the files is what was there before it, or after.
    in_doubt: bool,
}

/// What stands in the files, by the names of the logs' directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    recovery_points: BTreeMap<String, i64>,
    high_watermarks: BTreeMap<String, i64>,
    /// Of logs that do not begin at 0.
    log_starts: BTreeMap<String, i64>,
    /// Up to where logs are compacted.
    first_dirty: BTreeMap<String, i64>,
}

impl Offsets {
    /// Of the metadata log alone.
    pub fn new(directory: &Directory, metadata: &Reader) -> Offsets {
        let mut offsets = Offsets::default();
        offsets.recovery_points.insert(opening::DIR.to_owned(), metadata.recovery_point());
        if let start @ 1.. = metadata.start()
            && directory.is_metadata
        {
            offsets.log_starts.insert(opening::DIR.to_owned(), start);
        }
        offsets
    }

    pub fn add(&mut self, partition: &Partition) {
        let name = partition.directory();
        self.recovery_points.insert(name.clone(), partition.reader.recovery_point());
        self.high_watermarks.insert(name.clone(), partition.readable_end().offset);
        if let start @ 1.. = partition.reader.start() {
            self.log_starts.insert(name.clone(), start);
        }
        if let Some(first_dirty) = partition.first_dirty() {
            self.first_dirty.insert(name, first_dirty);
        }
    }

    /// Of all logs of a directory that are open.
    pub fn now(directory: &Arc<Directory>, published: &Published, metadata: &Reader) -> Offsets {
        let mut offsets = Offsets::new(directory, metadata);
        let all = published.topics.iter().flat_map(|topic| topic.partitions.iter().flatten());
        let here = all.filter(|partition| Arc::ptr_eq(&partition.home, directory) && partition.marks().is_ok());
        here.for_each(|partition| offsets.add(partition));
        offsets
    }

    /// Takes over what `old` says of logs that are not open: it still holds, and nobody else knows it.
    fn keep(&mut self, old: &Offsets, gaps: Gaps) {
        let Offsets { recovery_points: open, log_starts, first_dirty, .. } = self;
        let closed = |old: &BTreeMap<String, i64>| -> Vec<(String, i64)> {
            let closed = old.iter().filter(|(name, _)| !open.contains_key(*name));
            closed.map(|(name, offset)| (name.clone(), *offset)).collect()
        };
        log_starts.extend(closed(&old.log_starts));
        first_dirty.extend(closed(&old.first_dirty));
        if gaps == Gaps::Compacted {
            // Or gaps that Kafka has left would be damage from now on.
            let closed = closed(&old.recovery_points);
            open.extend(closed);
        }
    }

    fn known(&self, name: &str, gaps: Gaps) -> Checkpointed {
        let of = |lines: &BTreeMap<String, i64>| lines.get(name).copied().unwrap_or(0);
        let cleaned = match gaps {
            Gaps::Anywhere => i64::MAX,
            Gaps::Compacted => of(&self.first_dirty),
        };
        Checkpointed { recovery_point: of(&self.recovery_points), kept: 0, log_start: of(&self.log_starts), cleaned }
    }

    fn forget(&mut self, name: &str) -> bool {
        let Offsets { recovery_points, high_watermarks, log_starts, first_dirty } = self;
        let lines = [recovery_points, high_watermarks, log_starts, first_dirty];
        lines.map(|lines| lines.remove(name).is_some()).contains(&true)
    }
}

impl Checkpoints {
    pub fn load(dir: &Arc<LogDir>) -> Result<Checkpoints, LogError> {
        let load = |file| offsets::load(dir.disk(), dir.path(), file).map(Option::unwrap_or_default);
        let offsets = Offsets {
            recovery_points: load(RECOVERY_POINTS)?,
            high_watermarks: load(HIGH_WATERMARKS)?,
            log_starts: load(LOG_STARTS)?,
            first_dirty: load(FIRST_DIRTY)?,
        };
        let is_ours = offsets.recovery_points.contains_key(opening::DIR);
        let gaps = if is_ours { Gaps::Compacted } else { Gaps::Anywhere };
        let written = Mutex::new(Written { offsets, in_doubt: false });
        Ok(Checkpoints { dir: dir.clone(), written, woken_at_bytes: AtomicU64::new(0), wake: Notify::new(), gaps })
    }

    /// Something was flushed. Where it was much the files are written at once: what they do not say is read again after a
    /// crash.
    pub fn flushed(&self) {
        let flushed = self.dir.flushed_bytes();
        if flushed - self.woken_at_bytes.load(Ordering::Relaxed) >= UNWRITTEN_BYTES_MAX {
            self.woken_at_bytes.store(flushed, Ordering::Relaxed);
            self.wake.notify_one();
        }
    }

    /// What a replica's log needs to know to be opened.
    pub fn known(&self, name: &str, config: &TopicConfig) -> Checkpointed {
        let Written { offsets, .. } = &*self.written();
        let is_foreign = config.compact && !offsets.recovery_points.contains_key(name);
        let gaps = if is_foreign { Gaps::Anywhere } else { self.gaps };
        offsets.known(name, gaps)
    }

    /// The same for the metadata log, which is never compacted.
    pub fn known_of_metadata(&self) -> Checkpointed {
        self.written().offsets.known(opening::DIR, Gaps::Compacted)
    }

    /// Up to where the files say that a log is compacted.
    pub fn first_dirty(&self, name: &str) -> i64 {
        self.written().offsets.first_dirty.get(name).copied().unwrap_or(0)
    }

    /// Whether the files say that a log begins at `start` or later. Waits while they are being written.
    pub fn has_start(&self, name: &str, start: i64) -> bool {
        let Written { offsets, in_doubt } = &*self.written();
        !in_doubt && offsets.log_starts.get(name).copied().unwrap_or(0) >= start
    }

    /// Takes out what is said of a log that is not there any more.
    pub fn forget(&self, name: &str) -> Result<(), LogError> {
        let mut written = self.written();
        let mut offsets = written.offsets.clone();
        if offsets.forget(name) || written.in_doubt { self.store(&mut written, offsets) } else { Ok(()) }
    }

    /// Writes down what is known of a log that has come into the directory.
    pub fn adopt(&self, name: &str, known: &Checkpointed, high_watermark: i64) -> Result<(), LogError> {
        let mut written = self.written();
        let mut offsets = written.offsets.clone();
        offsets.forget(name);
        offsets.recovery_points.insert(name.to_owned(), known.recovery_point);
        offsets.high_watermarks.insert(name.to_owned(), high_watermark);
        let insert = |lines: &mut BTreeMap<String, i64>, offset| {
            if offset > 0 {
                lines.insert(name.to_owned(), offset);
            }
        };
        insert(&mut offsets.log_starts, known.log_start);
        insert(&mut offsets.first_dirty, known.cleaned);
        self.store(&mut written, offsets)
    }

    /// A log is deleted. Its lines go when the files are written next: before another has its name, in any case.
    pub fn is_gone(&self, name: &str) {
        let mut written = self.written();
        let had_lines = written.offsets.forget(name);
        written.in_doubt |= had_lines;
    }

    /// Writes the files that say something else.
    pub fn write(&self, offsets: impl FnOnce() -> Offsets) -> Result<(), LogError> {
        let mut written = self.written();
        // Asked for under the lock: what a log is forgotten for is not brought back by older news.
        let mut offsets = offsets();
        offsets.keep(&written.offsets, self.gaps);
        self.store(&mut written, offsets)
    }

    fn store(&self, written: &mut Written, new: Offsets) -> Result<(), LogError> {
        let Written { offsets: old, in_doubt } = written;
        let must = std::mem::replace(in_doubt, true);
        let store = |file, new: &BTreeMap<String, i64>, old: &BTreeMap<String, i64>| {
            if must || new != old { offsets::store(self.dir.disk(), self.dir.path(), file, new) } else { Ok(()) }
        };
        store(RECOVERY_POINTS, &new.recovery_points, &old.recovery_points)?;
        store(HIGH_WATERMARKS, &new.high_watermarks, &old.high_watermarks)?;
        store(LOG_STARTS, &new.log_starts, &old.log_starts)?;
        store(FIRST_DIRTY, &new.first_dirty, &old.first_dirty)?;
        *old = new;
        *in_doubt = false;
        Ok(())
    }

    /// Nothing panics while it is locked.
    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the files now and every `interval`, where something has changed. Runs until `stop`.
pub async fn run(
    rt: Rt,
    directory: Arc<Directory>,
    published: Arc<ArcSwap<Published>>,
    metadata: Reader,
    interval: Duration,
    mut stop: Stop,
) {
    let mut is_failing = false;
    while !directory.has_failed() {
        let (of, published, metadata) = (directory.clone(), published.clone(), metadata.clone());
        let write = move || of.checkpoints.write(|| Offsets::now(&of, &published.load(), &metadata));
        let written = rt.blocking(write).await;
        match &written {
            Err(error) => {
                directory.note(error);
                if !is_failing {
                    tracing::error!("cannot write the checkpoints: {error}");
                }
            }
            Ok(()) if is_failing => tracing::info!("the checkpoints can be written again"),
            _ => {}
        }
        is_failing = written.is_err();
        tokio::select! {
            biased;
            () = stop.told() => return,
            () = directory.checkpoints.wake.notified() => {}
            () = rt.sleep(interval) => {}
        }
    }
}
