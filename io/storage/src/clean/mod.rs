//! Compaction: a log keeps the newest record of each key.
//!
//! To know the newest offset of every key of a log of terabytes takes too much memory, and to rewrite the log for every record
//! too much time. As in Kafka, the log is clean up to some offset. Of a stretch behind it, the dirty part, the keys are put
//! into a map of a fixed size, as many as it takes ([`OffsetMap`]); then all of the log up to the end of that stretch is
//! copied without the records that the map knows newer ones of. What stays of a batch besides is decided in
//! [`ottla_records::Pass`].
//!
//! ```text
//! heads      over the heads of the dirty part: which transactions were aborted, and where one is still open
//! offsets    the map
//! source     reads batches, and compares their CRCs
//! groups     segments that together fill one
//! target     the file that is written, and its indexes
//! swap       puts it in the place of the segments it was made of
//! ```
//!
//! All of it reads and writes in pieces, and after each asks its owner whether to go on. The log goes on meanwhile: its owner
//! is not needed, and readers find old segments or new ones, whole. The last batch of a segment stays, if need be without
//! records, so that each segment goes on where the one before ends and no offset is given twice. (Kafka keeps the last one of
//! all.) Offsets, epochs, times and bytes of what stays are those of before.
//!
//! A batch whose records unpack to more than memory allows is kept whole, and its keys are not put into the map. Older records
//! of its keys then stay beside it, which costs room and nothing else: offsets tell which is newer. Newer ones do not remove
//! what is in it, which does no harm either, as long as they are there. A tombstone would not be for ever, and with it gone a
//! deleted value would be back: so behind such a batch no tombstone goes before the batch does.
//!
//! A segment of which everything stays is left alone. `.txnindex` is not made again: of an aborted transaction nothing stays.

mod groups;
mod heads;
mod job;
mod offsets;
mod source;
mod swap;
mod target;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_records::{
    Aborted, CompactBatch, Compacted, Fate, Keep, Pass, ReadError, Scratch, Transactions, control_type, records,
};

use self::groups::{Limits, Sizes, groups};
use self::heads::Heads;
use self::job::Pace;
pub use self::job::{CleanError, Cleaned, CleanerOptions, Cleaning, Job};
use self::offsets::OffsetMap;
use self::source::{Batch, Buffer, Source};
use self::target::Target;
use crate::LogError;
use crate::disk::Wait;
use crate::reader::Shared;
use crate::removed::Removed;
use crate::segment::Segment;

/// At that time no tombstone may go.
const BEFORE_ALL_HORIZONS: i64 = i64::MIN;

/// Compacts logs, one at a time. Reuses its memory.
#[derive(Debug)]
pub struct Cleaner {
    options: CleanerOptions,
    map: OffsetMap,
    buffer: Buffer,
    scratch: Scratch,
    /// A batch that has changed.
    changed: Vec<u8>,
}

impl Cleaner {
    /// # Panics
    /// If the map has no room for a key.
    pub fn new(options: CleanerOptions) -> Cleaner {
        Cleaner {
            options,
            map: OffsetMap::new(options.map_bytes, options.load_factor),
            buffer: Buffer::new(options.buffer_bytes),
            scratch: Scratch::new(),
            changed: Vec::new(),
        }
    }

    /// Compacts a log. Blocks for as long as it takes, and calls `pace` with every piece that was read or written.
    pub fn clean(&mut self, job: &Job<'_>, pace: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Cleaning {
        let mut removed = Removed::default();
        let start = job.log.start();
        let outcome = self.run(job, &mut Pace(pace), &mut removed);
        let has_changed = || job.log.start() > start || job.log.0.home.deleted.load(Ordering::SeqCst);
        let outcome = match outcome {
            Err(CleanError::Log(LogError::Deleted)) => Err(CleanError::Stopped),
            // A segment went away while it was read.
            Err(CleanError::Log(LogError::Io { .. })) if has_changed() => Err(CleanError::Stopped),
            outcome => outcome,
        };
        Cleaning { removed, outcome }
    }

    fn run(&mut self, job: &Job<'_>, pace: &mut Pace<'_>, removed: &mut Removed) -> Result<Cleaned, CleanError> {
        let shared = &job.log.0;
        swap::check(shared)?;
        if job.log.recovery_point() < job.bound {
            shared.flush()?;
        }
        let mut segments = closed(shared, job.bound);
        let Heads { aborted, dirty_records } = heads::read(job, &segments, &mut self.scratch, pace)?;
        if let Some(open) = aborted.first_open() {
            segments.retain(|closed| closed.next_offset <= open);
        }
        self.map.clear_for(dirty_records);
        let known_to = self.fill_map(job, &segments, &aborted, pace)?;
        let mut cleaned = Cleaned { first_dirty: known_to, map_use: self.map.use_of_all(), ..Cleaned::default() };
        segments.retain(|closed| closed.segment.base_offset < known_to);
        let mut pass = Pass {
            now_wall_ms: job.now_wall_ms,
            delete_retention_ms: job.delete_retention_ms,
            known_to,
            last_batches: job.last_batches,
            aborted: &aborted,
            transactions: Transactions::default(),
        };
        let sizes = segments.iter().map(Closed::sizes).collect::<Result<Vec<_>, _>>()?;
        let limits = Limits { segment_bytes: job.segment_bytes, index_bytes: job.index_bytes };
        for group in groups(&sizes, &limits) {
            let group = &segments[group];
            let old: Vec<_> = group.iter().map(|closed| closed.segment.clone()).collect();
            let mut target = Target::create(&shared.home, old[0].base_offset, self.options.buffer_bytes)?;
            let replaced = match self.copy(group, &mut target, &mut pass, &mut cleaned, pace) {
                Ok(IsSame(true)) => Ok(Removed::default()),
                Ok(IsSame(false)) => {
                    let made = target.finish(&old, pace);
                    made.and_then(|new| swap::put_in_place(shared, &old, new))
                }
                Err(error) => Err(error),
            };
            if !shared.home.is_half_swapped.load(Ordering::SeqCst) {
                // What is left then is removed when the log is opened.
                let _ = target.abandon();
            }
            removed.add(replaced?);
        }
        Ok(cleaned)
    }

    /// Notes the newest offset of each key from the first dirty offset on. Gives the offset up to which that was done.
    fn fill_map(
        &mut self,
        job: &Job<'_>,
        segments: &[Closed],
        aborted: &Aborted,
        pace: &mut Pace<'_>,
    ) -> Result<i64, CleanError> {
        let mut known_to = job.first_dirty;
        for closed in segments.iter().filter(|closed| closed.next_offset > job.first_dirty) {
            let segment = &closed.segment;
            let start = segment.find(job.first_dirty, segment.size()?, Wait::Yes)?;
            let start = start.map_or(segment.size()?, |found| found.position);
            let mut source = Source::new(closed, start, &mut self.buffer)?;
            while let Some(Batch { header, bytes, position }) = source.next(pace)? {
                if header.attributes.is_control() || aborted.contains(&header) {
                    continue;
                }
                let unreadable = |error| unreadable(segment, position, error);
                let records = match records(bytes, self.options.unpacked_bytes_max, &mut self.scratch) {
                    Err(ReadError::TooLarge { .. }) => continue,
                    records => records.map_err(unreadable)?,
                };
                for record in records {
                    let record = record.map_err(|error| unreadable(error.into()))?;
                    let is_noted = match record.key {
                        Some(key) if record.offset >= job.first_dirty => self.map.put(key, record.offset),
                        _ => true,
                    };
                    if !is_noted {
                        return Ok(record.offset);
                    }
                }
            }
            known_to = closed.next_offset;
        }
        Ok(known_to)
    }

    /// Copies what stays of these segments, and says whether that is all.
    fn copy(
        &mut self,
        group: &[Closed],
        target: &mut Target,
        pass: &mut Pass<'_>,
        cleaned: &mut Cleaned,
        pace: &mut Pace<'_>,
    ) -> Result<IsSame, CleanError> {
        let keeping = Pass { now_wall_ms: BEFORE_ALL_HORIZONS, transactions: Transactions::default(), ..*pass };
        let mut is_same = group.len() == 1;
        for (i, closed) in group.iter().enumerate() {
            let segment = &closed.segment;
            let mut source = Source::new(closed, 0, &mut self.buffer)?;
            let end = segment.size()?;
            while let Some(Batch { header, bytes, position }) = source.next(pace)? {
                let unreadable = |error| unreadable(segment, position, error);
                let is_last = i + 1 == group.len() && position + bytes.len() as u64 == end;
                let marker = if header.attributes.is_control() {
                    control_type(bytes, &mut self.scratch).map_err(unreadable)?
                } else {
                    None
                };
                let verdict = pass.judge(&header, marker, if is_last { Keep::Always } else { Keep::WithRecords });
                let batch = CompactBatch { batch: bytes, verdict, unpacked_bytes_max: self.options.unpacked_bytes_max };
                let newest = |key: &[u8]| self.map.get(key);
                // Who has a horizon already gets none that counts from the time of the pass.
                let keeps_tombstones = cleaned.too_large.is_some() && header.delete_horizon().is_some();
                let by = if keeps_tombstones { &keeping } else { &*pass };
                let compacted = match by.compact(batch, newest, &mut self.scratch, &mut self.changed) {
                    Err(ReadError::TooLarge { .. }) => {
                        cleaned.too_large.get_or_insert(header.base_offset);
                        let records = u64::try_from(header.record_count).unwrap_or(0);
                        Compacted { fate: Fate::Same, records_read: records, records_kept: records }
                    }
                    compacted => compacted.map_err(unreadable)?,
                };
                cleaned.bytes_read += bytes.len() as u64;
                cleaned.records_read += compacted.records_read;
                cleaned.records_kept += compacted.records_kept;
                is_same &= compacted.fate == Fate::Same;
                let kept = match compacted.fate {
                    Fate::Gone => continue,
                    Fate::Same => bytes,
                    Fate::Changed => &self.changed,
                };
                cleaned.bytes_kept += kept.len() as u64;
                target.push(kept, pace)?;
            }
        }
        Ok(IsSame(is_same))
    }
}

/// Whether a copy is what it was made of.
struct IsSame(bool);

/// A segment that is not active.
#[derive(Debug)]
struct Closed {
    segment: Arc<Segment>,
    /// Where the next one begins.
    next_offset: i64,
}

impl Closed {
    fn sizes(&self) -> Result<Sizes, LogError> {
        let [index_bytes, time_index_bytes] = self.segment.index_bytes()?;
        Ok(Sizes {
            base_offset: self.segment.base_offset,
            next_offset: self.next_offset,
            bytes: self.segment.size()?,
            index_bytes,
            time_index_bytes,
        })
    }
}

/// The segments that end at `bound` or before.
fn closed(shared: &Shared, bound: i64) -> Vec<Closed> {
    let segments = shared.list();
    let with_next = segments.iter().zip(segments.iter().skip(1));
    let closed = with_next.map(|(segment, next)| Closed { segment: segment.clone(), next_offset: next.base_offset });
    closed.take_while(|closed| closed.next_offset <= bound).collect()
}

fn unreadable(segment: &Segment, position: u64, _: ReadError) -> CleanError {
    segment.corrupt(position, "the records of a batch cannot be read").into()
}
