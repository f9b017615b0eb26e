//! Making logs survive a power loss.
//!
//! A sync takes as long as the disk turns, so it happens nowhere near an append. There is one flusher for each log
//! directory. Who needs a flush asks for it and goes on; the flusher takes all that was asked at once, so that ten
//! producers who wait for one log share one sync. It also writes back what nobody asked for: early, because a kernel that
//! is left alone collects dirty pages until it stops whoever writes; and often, because what was synced need not be
//! checked after a crash.
//!
//! A log is flushed up to the end it had when the flush began. Its *recovery point* follows, once the indexes of the
//! segments before it are on the disk too.
//!
//! When a sync fails, the kernel forgets that the pages were dirty: the next sync succeeds and means nothing. So after a
//! failure the bytes in doubt are read and written once more before the next try.

use std::cmp::Reverse;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ottla_base::Now;

use crate::checkpoint::topic_id;
use crate::disk::{DiskFile, Open, Wait, read_full_at, write_all_at};
use crate::error::{Doing, LogError, Named};
use crate::reader::{Reader, Shared};
use crate::segment::Segment;
use crate::{LogDir, Place, lock};

/// Bytes that are read and written again at once after a failed sync.
const REWRITE_BYTES: usize = 256 << 10;

/// How far a log has come.
#[derive(Debug)]
pub(crate) struct Progress {
    /// First offset of the log.
    pub start: i64,
    pub end: Place,
    /// Bytes appended since the last flush began.
    pub dirty_bytes: u64,
    pub flushed: Place,
    pub recovery_point: i64,
    /// The flusher knows that this log is dirty.
    pub queued: bool,
    /// Files were made, renamed or removed since the directory was synced.
    pub names_changed: bool,
    /// The directory itself was made, and its parent not synced.
    pub dir_is_new: bool,
    /// A sync failed: what it was for must be written again.
    pub in_doubt: bool,
}

/// What waits to be flushed in one log directory.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    dirty_bytes: AtomicU64,
    /// All that flushes have covered so far.
    flushed_bytes: AtomicU64,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    dirty: Vec<Arc<Shared>>,
    asked: Vec<Arc<Shared>>,
}

#[derive(Clone, Copy, Debug)]
pub struct FlushOptions {
    /// Dirty bytes of the directory beyond which logs are flushed, the dirtiest first, until half of them are left.
    pub flush_from_bytes: u64,
    /// How long a log may stay dirty.
    pub dirty_ms_max: i64,
    /// Bytes that are written back at once, not waiting for a flush: of a file, from one multiple of this to the next, as
    /// soon as all of them are there.
    pub write_back_bytes: NonZeroU64,
}

/// What came of flushing one log.
#[derive(Debug)]
pub struct Flushed {
    pub log: Reader,
    /// What the log survives a power loss up to, or why it is not known.
    pub outcome: Result<Place, LogError>,
    /// Something had been appended since the flush before.
    pub had_more: bool,
    /// By the clock of who asked.
    pub began_us: i64,
    pub ended_us: i64,
}

/// Flushes the logs of one directory, whenever its owner calls. It has no thread and no clock.
#[derive(Debug)]
pub struct Flusher {
    dir: Arc<LogDir>,
    options: FlushOptions,
    dirty: Vec<Dirty>,
    to_write_back: Vec<WriteBack>,
}

#[derive(Debug)]
struct Dirty {
    log: Arc<Shared>,
    since_ms: i64,
    written_back: Place,
    /// Its last flush failed.
    has_failed: bool,
}

impl Backlog {
    /// Bytes of all logs of the directory that no flush has covered.
    pub fn dirty_bytes(&self) -> u64 {
        self.dirty_bytes.load(Ordering::Relaxed)
    }

    pub fn flushed_bytes(&self) -> u64 {
        self.flushed_bytes.load(Ordering::Relaxed)
    }

    pub fn add(&self, bytes: u64) {
        self.dirty_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn subtract(&self, bytes: u64) {
        self.dirty_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub fn is_dirty(&self, log: &Arc<Shared>) {
        lock(&self.queue).dirty.push(log.clone());
    }
}

impl Reader {
    /// Asks the flusher of the log's directory to flush it, up to the end it has by then. The owner of the flusher wants
    /// to be told, too.
    pub fn ask_flush(&self) {
        let mut queue = lock(&self.0.home.log_dir.backlog.queue);
        if !queue.asked.iter().any(|log| Arc::ptr_eq(log, &self.0)) {
            queue.asked.push(self.0.clone());
        }
    }

    /// Whether both read the same opened log.
    pub fn is_same(&self, other: &Reader) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Flusher {
    pub fn new(dir: &Arc<LogDir>, options: FlushOptions) -> Flusher {
        Flusher { dir: dir.clone(), options, dirty: Vec::new(), to_write_back: Vec::new() }
    }

    /// Flushes what was asked for, then what has been dirty for too long or is too much, and notes what else is to be
    /// written back. Blocks for as long as the disk takes. The owner calls it when a flush was asked for, and every second or so.
    /// `mono_us` is a clock that never goes back.
    pub fn run_once(&mut self, now: Now, mono_us: &dyn Fn() -> i64) -> Vec<Flushed> {
        let mut flushed = Vec::new();
        self.flush_asked(mono_us, &mut flushed);
        let newly = std::mem::take(&mut lock(&self.dir.backlog.queue).dirty);
        self.dirty.extend(newly.into_iter().map(|log| {
            let written_back = lock(&log.progress).flushed;
            Dirty { log, since_ms: now.mono_ms, written_back, has_failed: false }
        }));
        let too_much = self.dir.backlog.dirty_bytes() > self.options.flush_from_bytes;
        if too_much {
            self.dirty.sort_by_cached_key(|dirty| Reverse(lock(&dirty.log.progress).dirty_bytes));
        }
        for mut dirty in std::mem::take(&mut self.dirty) {
            if dirty.log.is_clean() {
                continue;
            }
            // One that fails is not tried again each time: it has much to write once more.
            let much =
                too_much && !dirty.has_failed && self.dir.backlog.dirty_bytes() > self.options.flush_from_bytes / 2;
            if much || now.mono_ms - dirty.since_ms >= self.options.dirty_ms_max {
                // Whoever waits does not wait for this as well.
                self.flush_asked(mono_us, &mut flushed);
                let outcome = flush(&dirty.log, mono_us);
                dirty.has_failed = outcome.outcome.is_err();
                flushed.push(outcome);
                dirty.since_ms = now.mono_ms;
            } else {
                self.to_write_back.extend(dirty.write_back(self.options.write_back_bytes));
            }
            if !dirty.log.is_clean() {
                self.dirty.push(dirty);
            }
        }
        flushed
    }

    /// What has come to be written back since this was asked last. The owner sees to it, beside what else it does.
    pub fn take_write_backs(&mut self) -> Vec<WriteBack> {
        std::mem::take(&mut self.to_write_back)
    }

    fn flush_asked(&self, mono_us: &dyn Fn() -> i64, flushed: &mut Vec<Flushed>) {
        let asked = std::mem::take(&mut lock(&self.dir.backlog.queue).asked);
        flushed.extend(asked.iter().map(|log| flush(log, mono_us)));
    }
}

fn flush(log: &Arc<Shared>, mono_us: &dyn Fn() -> i64) -> Flushed {
    let (began_us, had_more) = (mono_us(), log.has_more());
    let outcome = log.flush();
    Flushed { log: Reader(log.clone()), outcome, had_more, began_us, ended_us: mono_us() }
}

impl Dirty {
    fn write_back(&mut self, bytes: NonZeroU64) -> Option<WriteBack> {
        let active = self.log.active()?;
        let end = lock(&self.log.progress).end;
        let from = if self.written_back.segment == end.segment { self.written_back.position } else { 0 };
        let to = end.position - end.position % bytes;
        if active.base_offset != end.segment || to <= from {
            return None;
        }
        self.written_back = Place { position: to, ..end };
        let file = active.file().ok()?;
        Some(WriteBack { log: self.log.clone(), segment: end.segment, file, range: from..to, bytes })
    }
}

/// Bytes of a log that no flush was asked for. They are written back in steps, with a rest after each: to hand many
/// megabytes to the disk takes a kernel milliseconds, in which an append to the same file waits. The steps are not small
/// and do not overlap: each is a piece of the file that lies by itself on the disk, and what the file system does to join many of
/// them holds up appends for longer.
#[derive(Debug)]
pub struct WriteBack {
    log: Arc<Shared>,
    segment: i64,
    file: Arc<dyn DiskFile>,
    range: Range<u64>,
    bytes: NonZeroU64,
}

impl WriteBack {
    /// Starts to write back the next bytes. False where none are left, or need it no more.
    pub fn step(&mut self) -> bool {
        if self.is_needless() {
            return false;
        }
        let to = self.range.end.min((self.range.start / self.bytes + 1) * self.bytes.get());
        // A hint, as is its failure: the flush will tell.
        let _ = self.file.start_write_back(self.range.start..to);
        self.range.start = to;
        !self.range.is_empty()
    }

    /// Where steps fall behind, a flush has come first; and space is not free while a deleted file is held.
    fn is_needless(&self) -> bool {
        let flushed = lock(&self.log.progress).flushed;
        let is_flushed = (flushed.segment, flushed.position) >= (self.segment, self.range.end);
        is_flushed || self.log.home.deleted.load(Ordering::SeqCst)
    }
}

/// What a flush sets out to do.
struct Task {
    from: Place,
    to: Place,
    dirty_bytes: u64,
    names: bool,
    dir_is_new: bool,
    in_doubt: bool,
}

impl Shared {
    /// Makes everything that was appended before the call survive a power loss.
    pub fn flush(&self) -> Result<Place, LogError> {
        let _alone = lock(&self.home.naming);
        if self.home.deleted.load(Ordering::SeqCst) {
            return Err(LogError::Deleted);
        }
        let first = self.segments.read().expect("nothing panics while it holds this lock")[0].base_offset;
        let task = {
            let mut progress = lock(&self.progress);
            // An empty log has nothing to lose, and there may be thousands of them.
            let holds_any = progress.end.position > 0 || progress.end.segment > first;
            Task {
                from: progress.flushed,
                to: progress.end,
                dirty_bytes: progress.dirty_bytes,
                names: holds_any && std::mem::take(&mut progress.names_changed),
                dir_is_new: holds_any && std::mem::take(&mut progress.dir_is_new),
                in_doubt: progress.in_doubt,
            }
        };
        let synced = self.sync(&task);
        let recovery_point = if synced.is_ok() { self.settle_indexes(task.to) } else { 0 };
        let mut progress = lock(&self.progress);
        match synced {
            Ok(()) => {
                progress.flushed = task.to;
                progress.recovery_point = progress.recovery_point.max(recovery_point);
                progress.in_doubt = false;
                progress.dirty_bytes -= task.dirty_bytes;
                let backlog = &self.home.log_dir.backlog;
                backlog.subtract(task.dirty_bytes);
                backlog.flushed_bytes.fetch_add(task.dirty_bytes, Ordering::Relaxed);
                Ok(task.to)
            }
            Err(e) => {
                progress.in_doubt = true;
                progress.names_changed |= task.names;
                progress.dir_is_new |= task.dir_is_new;
                Err(e)
            }
        }
    }

    pub fn add_segments(&self, new: impl Iterator<Item = Arc<Segment>>) {
        self.segments.write().expect("nothing panics while it holds this lock").extend(new);
    }

    /// The segments as they are now.
    pub fn list(&self) -> Vec<Arc<Segment>> {
        self.segments.read().expect("nothing panics while it holds this lock").clone()
    }

    fn active(&self) -> Option<Arc<Segment>> {
        self.segments.read().expect("nothing panics while it holds this lock").last().cloned()
    }

    fn has_more(&self) -> bool {
        let progress = lock(&self.progress);
        progress.flushed != progress.end
    }

    /// Whether the flusher may forget this log until it is appended to again.
    fn is_clean(&self) -> bool {
        let mut progress = lock(&self.progress);
        let clean = self.home.deleted.load(Ordering::SeqCst)
            || (progress.flushed == progress.end && progress.recovery_point == progress.end.offset);
        progress.queued &= !clean;
        clean
    }

    fn sync(&self, task: &Task) -> Result<(), LogError> {
        let disk = &*self.home.log_dir.disk;
        if task.dir_is_new {
            topic_id::settle(disk, &self.home.dir)?;
        }
        for segment in self.segments_from(task.from.segment, task.to) {
            let start = if segment.base_offset == task.from.segment { task.from.position } else { 0 };
            let end = if segment.base_offset == task.to.segment { task.to.position } else { segment.size()? };
            if task.in_doubt {
                rewrite(&segment, start, end)?;
            }
            if end > start || task.in_doubt {
                segment.file()?.sync_data().doing("sync", &segment)?;
            }
        }
        if task.names {
            disk.sync_dir(&self.home.dir).doing("sync", &self.home.dir)?;
        }
        if task.dir_is_new {
            disk.sync_dir(&self.home.log_dir.path).doing("sync", &self.home.log_dir.path)?;
        }
        Ok(())
    }

    /// Brings the indexes to the disk, as far as it goes: the offset up to which log and indexes are safe.
    fn settle_indexes(&self, flushed: Place) -> i64 {
        // Of a segment that ends at the recovery point the index may not have been closed: it was active then.
        let before = lock(&self.progress).recovery_point - 1;
        for segment in self.segments_from(before, flushed) {
            if segment.base_offset == flushed.segment {
                // A hint: what is missing is found again by walking.
                let _ = segment.write_index();
            } else if segment.close_index().is_err() {
                return segment.base_offset;
            }
        }
        flushed.offset
    }

    /// The segment that holds `offset`, and those behind it up to that of `to`.
    fn segments_from(&self, offset: i64, to: Place) -> Vec<Arc<Segment>> {
        let segments = self.segments.read().expect("nothing panics while it holds this lock");
        let first = segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1);
        segments[first..].iter().filter(|segment| segment.base_offset <= to.segment).cloned().collect()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.home.log_dir.backlog.subtract(lock(&self.progress).dirty_bytes);
    }
}

/// Makes pages dirty again that a failed sync may have left clean and unwritten.
fn rewrite(segment: &Segment, start: u64, end: u64) -> Result<(), LogError> {
    let file = segment.disk().open(&segment.path(), Open::Write).doing("open", segment)?;
    let mut bytes = vec![0; REWRITE_BYTES];
    let mut position = start;
    while position < end {
        let some = REWRITE_BYTES.min(usize::try_from(end - position).unwrap_or(REWRITE_BYTES));
        let read = read_full_at(&*file, &mut bytes[..some], position, Wait::Yes).doing("read", segment)?;
        write_all_at(&*file, &bytes[..read], position).doing("write", segment)?;
        if read < some {
            return Err(segment.corrupt(position, "the file has become shorter"));
        }
        position += read as u64;
    }
    Ok(())
}
