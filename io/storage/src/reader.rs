//! Reading a log while it is written.
//!
//! A reader must not wait for a writer that waits for the disk, so it never takes the lock that guards [`Log`]. It knows
//! the list of segments and what the active one's index says, each behind a lock of its own that no one holds across a
//! system call, and the caller tells it where the readable part ends. Everything before that place is written and does
//! not change.
//!
//! [`Log`]: crate::Log

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use ottla_records::{BatchHeader, Scratch, Sought, find_timestamp};

use crate::Place;
use crate::disk::{DiskFile, Wait, read_full_at};
use crate::error::{Doing, LogError};
use crate::flush::Progress;
use crate::lock;
use crate::segment::{Home, Segment};
use crate::walk::{Found, Step, Walk};

/// What a log's appender, readers and flusher share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub home: Arc<Home>,
    /// By base offset; the last is active. Never empty.
    pub segments: RwLock<Vec<Arc<Segment>>>,
    /// How often segments have left the list. Moves while the list is locked.
    pub list_changes: AtomicU64,
    /// Some segment has aborted transactions.
    pub has_aborted: AtomicBool,
    pub progress: Mutex<Progress>,
}

/// Finds batches. Cheap to clone; usable while an append is in the middle of its write.
#[derive(Clone, Debug)]
pub struct Reader(pub(crate) Arc<Shared>);

/// What a fetch wants of one log.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    pub offset: i64,
    /// End of what may be read.
    pub limit: Place,
    pub bytes_max: u64,
    pub first: FirstBatch,
    pub wait: Wait,
}

/// What happens to a first batch that is larger than `bytes_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBatch {
    /// It is given whole, or its reader would never get past it.
    Whole,
    /// Nothing is given: a client cannot use a part of it.
    IfItFits,
}

/// Bytes of a segment's file, from the beginning of a batch on. The last batch may be cut, as Kafka's clients expect.
/// While it lives the file stays open, whatever becomes of its name.
#[derive(Clone, Debug)]
pub struct View {
    pub file: Arc<dyn DiskFile>,
    pub range: Range<u64>,
    /// Of the first batch, which may begin before the offset wanted.
    pub base_offset: i64,
    /// Bytes of the first batch.
    pub(crate) first_bytes: u64,
    /// The segment is not that of the limit: there is more than this stretch may hold.
    pub has_more_behind: bool,
}

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    pub offset: i64,
    pub timestamp: i64,
    pub leader_epoch: i32,
}

impl Reader {
    /// The stretch that begins with the batch holding `want.offset`, and ends with its segment or before; empty at
    /// `want.limit`.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] outside of the log's start and `want.limit`; [`LogError::Cold`] where `want.wait` forbids
    /// what it takes.
    pub fn view(&self, want: &Want) -> Result<View, LogError> {
        self.again(|| self.view_once(want).map(|(view, _)| view))
    }

    /// And the segment, unless the stretch is empty because the log ends there.
    pub(crate) fn view_once(&self, want: &Want) -> Result<(View, Option<Arc<Segment>>), LogError> {
        let Want { offset, limit, .. } = *want;
        let start = self.start();
        if offset > limit.offset || offset < start {
            return Err(LogError::OutOfRange { offset, start, end: limit.offset });
        }
        for segment in self.segments_from(offset, limit).take_while(|_| offset < limit.offset) {
            let end = end_in(&segment, limit)?;
            if let Some(found) = segment.find(offset, end, want.wait)? {
                if found.header.base_offset > offset && offset < self.start() {
                    // What was sought has just left the log.
                    return Err(LogError::OutOfRange { offset, start: self.start(), end: limit.offset });
                }
                let first = found.header.size_bytes() as u64;
                let bytes = match want.first {
                    FirstBatch::Whole => want.bytes_max.max(first),
                    FirstBatch::IfItFits if first > want.bytes_max => 0,
                    FirstBatch::IfItFits => want.bytes_max,
                };
                let to = end.min(found.position.saturating_add(bytes));
                let base_offset = found.header.base_offset;
                let has_more_behind = segment.base_offset != limit.segment;
                let (file, range) = (segment.file()?, found.position..to);
                let view = View { file, range, base_offset, first_bytes: first, has_more_behind };
                return Ok((view, Some(segment)));
            }
        }
        let active = self.segment(|segments| segments.len() - 1).expect("a log has a segment");
        let file = active.file()?;
        Ok((View { file, range: 0..0, base_offset: offset, first_bytes: 0, has_more_behind: false }, None))
    }

    /// The first record before `limit` with this timestamp or a later one.
    pub fn find_timestamp(&self, timestamp: i64, limit: Place, wait: Wait) -> Result<Option<Stamped>, LogError> {
        self.again(|| self.find_timestamp_once(timestamp, limit, wait))
    }

    fn find_timestamp_once(&self, timestamp: i64, limit: Place, wait: Wait) -> Result<Option<Stamped>, LogError> {
        for segment in self.segments_from(self.start(), limit) {
            if segment.largest(wait)?.timestamp < timestamp {
                continue;
            }
            let sought = Sought { timestamp, offset: self.start() };
            let from = segment.indexed_offset(timestamp, wait)?.max(sought.offset);
            let end = end_in(&segment, limit)?;
            let Some(start) = segment.find(from, end, wait)? else { continue };
            let file = segment.file()?;
            let mut walk = Walk::new(&*file, start.position, end, wait);
            while let Some(found) = next(&segment, &mut walk)? {
                if found.header.max_timestamp >= timestamp
                    && let Some(stamped) = record_in(&segment, &*file, &found, sought, wait)?
                {
                    return Ok(Some(stamped));
                }
            }
        }
        Ok(None)
    }

    /// The first of the records with the log's largest timestamp; `None` if none has a timestamp.
    pub fn max_timestamp(&self, wait: Wait) -> Result<Option<Stamped>, LogError> {
        self.again(|| self.max_timestamp_once(wait))
    }

    fn max_timestamp_once(&self, wait: Wait) -> Result<Option<Stamped>, LogError> {
        let mut best: Option<(Arc<Segment>, i64)> = None;
        for segment in self.segments_from(self.start(), self.end()) {
            let timestamp = segment.largest(wait)?.timestamp;
            if timestamp > best.as_ref().map_or(-1, |(_, best)| *best) {
                best = Some((segment, timestamp));
            }
        }
        let Some((segment, timestamp)) = best else { return Ok(None) };
        let largest = segment.largest(wait)?;
        let Some(found) = segment.find(largest.offset, segment.size()?, wait)? else { return Ok(None) };
        record_in(&segment, &*segment.file()?, &found, Sought { timestamp, offset: 0 }, wait)
    }

    /// The place of the batch that holds `offset`, or of the first behind it; `limit` if there is none before.
    pub fn place_of(&self, offset: i64, limit: Place, wait: Wait) -> Result<Place, LogError> {
        self.again(|| {
            for segment in self.segments_from(offset, limit) {
                if let Some(found) = segment.find(offset, end_in(&segment, limit)?, wait)? {
                    return Ok(Place { offset, segment: segment.base_offset, position: found.position });
                }
            }
            Ok(limit)
        })
    }

    /// Reports the batches from the one that holds `offset` to the end, with their bytes where they are of control records: what
    /// producers, transactions and epochs are rebuilt from.
    pub fn headers(&self, offset: i64, mut on_batch: impl FnMut(&BatchHeader, Option<&[u8]>)) -> Result<(), LogError> {
        let limit = self.end();
        for segment in self.segments_from(offset, limit) {
            let end = end_in(&segment, limit)?;
            let Some(start) = segment.find(offset, end, Wait::Yes)? else { continue };
            let file = segment.file()?;
            let mut walk = Walk::new(&*file, start.position, end, Wait::Yes);
            while let Some(found) = next(&segment, &mut walk)? {
                let control = if found.header.attributes.is_control() {
                    Some(control_batch(&segment, &mut walk, &found)?)
                } else {
                    None
                };
                on_batch(&found.header, control);
            }
        }
        Ok(())
    }

    /// The header of the batch that holds `offset`, if that is before `limit`.
    pub fn header_of(&self, offset: i64, limit: Place) -> Result<Option<BatchHeader>, LogError> {
        for segment in self.segments_from(offset, limit) {
            if let Some(found) = segment.find(offset, end_in(&segment, limit)?, Wait::Yes)? {
                return Ok(Some(found.header));
            }
        }
        Ok(None)
    }

    /// Runs `f` on the log's directory, which keeps its name meanwhile. `None` once the log is deleted: another may have the
    /// name.
    pub fn in_directory<T>(&self, f: impl FnOnce(&Path) -> T) -> Option<T> {
        let home = &self.0.home;
        let _naming = lock(&home.naming);
        (!home.deleted.load(Ordering::SeqCst)).then(|| f(&home.dir))
    }

    pub(crate) fn directory(&self) -> std::path::PathBuf {
        self.0.home.dir.clone()
    }

    /// How many segments there are, and their bytes. Cheap, once the sizes are known.
    pub fn segments_and_bytes(&self) -> Result<(usize, u64), LogError> {
        let segments = self.0.segments.read().expect("nothing panics while it holds this lock").clone();
        let mut bytes = 0;
        for segment in &segments {
            bytes += segment.size()?;
        }
        Ok((segments.len(), bytes))
    }

    /// First offset of the log.
    pub fn start(&self) -> i64 {
        lock(&self.0.progress).start
    }

    /// Where the next batch will lie.
    pub fn end(&self) -> Place {
        lock(&self.0.progress).end
    }

    /// Everything before this place survives a power loss.
    pub fn flushed(&self) -> Place {
        lock(&self.0.progress).flushed
    }

    /// Makes everything that is in the log now survive a power loss. Blocks; for those for whom the flusher comes too late.
    pub fn flush(&self) -> Result<Place, LogError> {
        self.0.flush()
    }

    /// What opening the log need not check.
    pub fn recovery_point(&self) -> i64 {
        lock(&self.0.progress).recovery_point
    }

    /// Asks once more where the answer is trouble with a segment that has left the log meanwhile, files and all.
    pub(crate) fn again<T>(&self, ask: impl Fn() -> Result<T, LogError>) -> Result<T, LogError> {
        loop {
            let changes = self.0.list_changes.load(Ordering::SeqCst);
            let answer = ask();
            if answer.is_ok() || changes == self.0.list_changes.load(Ordering::SeqCst) {
                return answer;
            }
        }
    }

    /// The segment that may hold `offset` and those behind it, up to that of `limit`.
    fn segments_from(&self, offset: i64, limit: Place) -> impl Iterator<Item = Arc<Segment>> {
        let first = self
            .segment(|segments| segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1));
        std::iter::successors(first, |before| self.after(before))
            .take_while(move |segment| segment.base_offset <= limit.segment)
    }

    /// The segment behind this one.
    pub(crate) fn after(&self, before: &Arc<Segment>) -> Option<Arc<Segment>> {
        let base_offset = before.base_offset;
        self.segment(|segments| {
            let next = segments.partition_point(|segment| segment.base_offset <= base_offset);
            // Where another segment has taken its place, that one may hold what follows.
            let is_replaced = next > 0 && !Arc::ptr_eq(&segments[next - 1], before);
            if is_replaced { next - 1 } else { next }
        })
    }

    fn segment(&self, pick: impl FnOnce(&[Arc<Segment>]) -> usize) -> Option<Arc<Segment>> {
        let segments = self.0.segments.read().expect("nothing panics while it holds this lock");
        segments.get(pick(&segments)).cloned()
    }
}

/// Where the readable part of a segment ends.
fn end_in(segment: &Segment, limit: Place) -> Result<u64, LogError> {
    let size = segment.size()?;
    // The place may be of a segment that a cleaned one has taken the place of: all of that may be read.
    let is_inside = segment.base_offset == limit.segment && !segment.is_cleaned();
    Ok(if is_inside { limit.position } else { size })
}

pub(crate) fn next(segment: &Segment, walk: &mut Walk<'_>) -> Result<Option<Found>, LogError> {
    match walk.next().doing("read", segment)? {
        Step::Batch(found) => Ok(Some(found)),
        Step::End => Ok(None),
        Step::Broken { position, what } => Err(segment.corrupt(position, what)),
    }
}

/// The bytes of a batch of control records, which are few and small.
pub(crate) fn control_batch<'w>(
    segment: &Segment,
    walk: &'w mut Walk<'_>,
    found: &Found,
) -> Result<&'w [u8], LogError> {
    let bytes = walk.small(found).doing("read", segment)?;
    bytes.ok_or_else(|| segment.corrupt(found.position, "a batch of control records is too large"))
}

/// The record that is sought, if the batch has it.
fn record_in(
    segment: &Segment,
    file: &dyn DiskFile,
    found: &Found,
    sought: Sought,
    wait: Wait,
) -> Result<Option<Stamped>, LogError> {
    let mut batch = vec![0; found.header.size_bytes()];
    let read = read_full_at(file, &mut batch, found.position, wait).doing("read", segment)?;
    let record = find_timestamp(&batch[..read], sought, &mut Scratch::new())
        .map_err(|_| segment.corrupt(found.position, "the records of the batch cannot be read"))?;
    let leader_epoch = found.header.leader_epoch;
    Ok(record.map(|record| Stamped { offset: record.offset, timestamp: record.timestamp, leader_epoch }))
}
