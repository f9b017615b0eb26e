//! `<base offset>.txnindex`: the transactions that markers of this segment aborted.
//!
//! ```text
//! version i16 = 0 · producer id i64 · first offset i64 · marker's offset i64 · last stable offset that the marker led to i64
//! ```
//!
//! An entry (34 bytes) is added with the marker, so they stand in order of their markers. A reader of committed records must be
//! told of every transaction that has records in what it gets and was aborted, perhaps by a marker segments later: so the files
//! are read from that of its first record on, up to an entry whose last stable offset says that no later one reaches back so far.
//!
//! The records lie in the log and say nothing of their fate; that is here alone, and the log tells it again only to who reads it
//! from before the transaction. So these files are no hints, as the other indexes are: they are looked through when the log is
//! opened, and where they cannot be relied on, behind the recovery point or because they are damaged, whoever follows the
//! producers through the log sets them right ([`Log::set_aborted`]). Most logs have none, and a read of one asks a flag.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_base::AbortedTransaction;

use crate::disk::{Entry, Open, Wait, missing, read_file, replace_file};
use crate::error::{Doing, LogError};
use crate::index::{FileEntries, IndexEntry};
use crate::lock;
use crate::log::Log;
use crate::offset_index::OffsetEntry;
use crate::reader::{Reader, Shared, View, Want};
use crate::recovery::offset_in_name;
use crate::segment::{Segment, path};
use crate::walk::{Step, Walk};

pub(crate) const EXTENSION: &str = "txnindex";

/// So many are told of one stretch of a log. Where it holds more, the stretch is made shorter, but for its first batch.
pub const ABORTED_MAX: usize = 50_000;

const VERSION: i16 = 0;

/// As it stands in a file: only an entry of version 0 says anything.
#[derive(Clone, Copy, Debug)]
struct Line {
    version: i16,
    aborted: AbortedTransaction,
}

impl IndexEntry for Line {
    const BYTES: usize = 34;

    fn read(bytes: &[u8]) -> Line {
        let number = |at: usize| {
            let mut field = [0; 8];
            field.copy_from_slice(&bytes[at..at + 8]);
            i64::from_be_bytes(field)
        };
        let aborted = AbortedTransaction {
            producer_id: number(2),
            first_offset: number(10),
            last_offset: number(18),
            last_stable: number(26),
        };
        Line { version: i16::from_be_bytes([bytes[0], bytes[1]]), aborted }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let AbortedTransaction { producer_id, first_offset, last_offset, last_stable } = self.aborted;
        bytes.extend_from_slice(&self.version.to_be_bytes());
        [producer_id, first_offset, last_offset, last_stable]
            .iter()
            .for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
    }

    fn follows(&self, before: &Line) -> bool {
        self.aborted.last_offset > before.aborted.last_offset
    }
}

/// What a log that is being opened knows of itself.
pub(crate) struct Found<'a> {
    pub files: &'a [Entry],
    pub end: i64,
    pub recovery_point: i64,
    /// First offset of a control batch behind the recovery point.
    pub first_marker: Option<i64>,
}

/// Looks through the files that there are. Gives the offset from which on they cannot be relied on.
pub(crate) fn look_through(segments: &[Arc<Segment>], found: &Found<'_>) -> Result<Option<i64>, LogError> {
    let mut doubtful = found.first_marker.map(|_| found.recovery_point.min(found.end));
    for base_offset in found.files.iter().filter_map(|file| offset_in_name(file, ".txnindex")) {
        let Ok(at) = segments.binary_search_by_key(&base_offset, |segment| segment.base_offset) else { continue };
        let segment = &segments[at];
        let next_offset = segments.get(at + 1).map_or(found.end, |next| next.base_offset);
        let last = last_of_whole(segment)?;
        let is_whole = last.is_some_and(|last| last < next_offset);
        segment.has_aborted.store(is_whole, Ordering::Relaxed);
        let from = match last {
            // An empty file says what none says.
            Some(-1) => continue,
            _ if !is_whole => base_offset,
            // Kafka has written the entry, and no sync has covered it.
            Some(last) if last >= found.recovery_point => found.recovery_point,
            _ => continue,
        };
        doubtful = Some(doubtful.unwrap_or(i64::MAX).min(from));
    }
    Ok(doubtful)
}

/// Offset of the last marker in the file, -1 if it is empty or gone; `None` if it is damaged.
fn last_of_whole(segment: &Segment) -> Result<Option<i64>, LogError> {
    let path = path(&segment.home, segment.base_offset, EXTENSION);
    let Some(file) = missing(segment.disk().open(&path, Open::Read)).doing("open", &path)? else { return Ok(Some(-1)) };
    let bytes = file.size().doing("stat", &path)?;
    let mut lines = FileEntries::<Line>::new(&*file, Wait::Yes).doing("read", &path)?;
    let mut last = segment.base_offset - 1;
    for i in 0..lines.len() {
        let Line { version, aborted } = lines.get(i).doing("read", &path)?;
        let AbortedTransaction { first_offset, last_offset, last_stable, .. } = aborted;
        let can_be = version == VERSION
            && (0..last_offset).contains(&first_offset)
            && last_offset > last
            && (0..=last_offset + 1).contains(&last_stable);
        if !can_be {
            return Ok(None);
        }
        last = last_offset;
    }
    let is_whole = bytes % Line::BYTES as u64 == 0;
    Ok(is_whole.then_some(if lines.len() == 0 { -1 } else { last }))
}

impl Log {
    /// Sets the files right from `from` on: these are the transactions that markers from there on have aborted, in order.
    ///
    /// To be called where opening the log gives [`Recovered::aborted_from`](crate::Recovered::aborted_from), before it is read.
    pub fn set_aborted(&self, from: i64, aborted: &[AbortedTransaction]) -> Result<(), LogError> {
        let shared = self.shared();
        let segments = shared.list();
        let _naming = lock(&shared.home.naming);
        for (i, segment) in segments.iter().enumerate() {
            let next_offset = segments.get(i + 1).map_or(i64::MAX, |next| next.base_offset);
            if next_offset > from {
                let first = aborted.partition_point(|one| one.last_offset < segment.base_offset);
                let end = aborted.partition_point(|one| one.last_offset < next_offset);
                segment.set_aborted(from, &aborted[first..end])?;
            }
        }
        shared.note_aborted();
        Ok(())
    }

    /// Takes over the lists of a log that this one is a copy of.
    pub fn copy_aborted(&self, from: &Reader) -> Result<(), LogError> {
        if !from.0.has_aborted.load(Ordering::Relaxed) {
            return Ok(());
        }
        let everything = Reach { offset: 0, end: i64::MAX, count_max: usize::MAX, wait: Wait::Yes };
        let mut aborted = Vec::new();
        for segment in from.0.list() {
            segment.aborted(&everything, &mut aborted)?;
        }
        self.set_aborted(0, &aborted)
    }
}

impl Segment {
    /// The caller holds [`Home::naming`](crate::segment::Home::naming).
    fn set_aborted(&self, from: i64, aborted: &[AbortedTransaction]) -> Result<(), LogError> {
        let path = path(&self.home, self.base_offset, EXTENSION);
        let found = missing(read_file(self.disk(), &path)).doing("read", &path)?.unwrap_or_default();
        let kept = found
            .chunks_exact(Line::BYTES)
            .take_while(|line| self.base_offset < from && Line::read(line).aborted.last_offset < from)
            .count();
        let mut wanted = found[..kept * Line::BYTES].to_vec();
        for &aborted in aborted {
            Line { version: VERSION, aborted }.write(&mut wanted);
        }
        if wanted.is_empty() {
            missing(self.disk().remove_file(&path)).doing("remove", &path)?;
        } else if wanted != found {
            replace_file(self.disk(), &path, &wanted).doing("write", &path)?;
        }
        self.has_aborted.store(!wanted.is_empty(), Ordering::Relaxed);
        Ok(())
    }

    /// Adds the transactions that were aborted by markers of this segment at `range.start` or behind, and began before its
    /// end. Whether there can be more in later segments.
    fn aborted(&self, reach: &Reach, aborted: &mut Vec<AbortedTransaction>) -> Result<Search, LogError> {
        if !self.has_aborted.load(Ordering::Relaxed) {
            return Ok(Search::GoesOn);
        }
        let path = path(&self.home, self.base_offset, EXTENSION);
        let file = self.open_for_reading(EXTENSION)?;
        let mut lines = FileEntries::<Line>::new(&*file, reach.wait).doing("read", &path)?;
        let first = lines.first(|line| line.aborted.last_offset >= reach.offset).doing("read", &path)?;
        for i in first..lines.len() {
            let one = lines.get(i).doing("read", &path)?.aborted;
            if one.first_offset < reach.end {
                aborted.push(one);
            }
            if one.last_stable >= reach.end || aborted.len() > reach.count_max {
                return Ok(Search::IsOver);
            }
        }
        Ok(Search::GoesOn)
    }
}

/// The offsets that a reader may get: nothing before `offset`, nothing from `end` on.
struct Reach {
    offset: i64,
    end: i64,
    /// Where there are more than so many, nobody wants to know of all.
    count_max: usize,
    wait: Wait,
}

enum Search {
    GoesOn,
    IsOver,
}

impl Reader {
    /// As [`Reader::view`], for who reads committed records: with the transactions among these records that were aborted, and
    /// perhaps some that begin soon behind. (Kafka gives the same ones.)
    pub fn view_committed(&self, want: &Want) -> Result<(View, Vec<AbortedTransaction>), LogError> {
        if !self.0.has_aborted.load(Ordering::Relaxed) {
            return self.view(want).map(|view| (view, Vec::new()));
        }
        loop {
            // The file of a segment that compaction has replaced in between may hold what only the old segments tell of.
            let changes = self.0.list_changes.load(Ordering::SeqCst);
            let answer = self.view_committed_once(want);
            if changes == self.0.list_changes.load(Ordering::SeqCst) {
                return answer;
            }
        }
    }

    fn view_committed_once(&self, want: &Want) -> Result<(View, Vec<AbortedTransaction>), LogError> {
        let (mut view, segment) = self.view_once(want)?;
        let Some(segment) = segment.filter(|_| !view.range.is_empty()) else { return Ok((view, Vec::new())) };
        let mut aborted = Vec::new();
        loop {
            let bytes = view.range.end - view.range.start;
            let fewer = (bytes / 2).max(view.first_bytes);
            let count_max = if fewer < bytes { ABORTED_MAX } else { usize::MAX };
            let end = self.offset_behind(&segment, view.range.end, want.wait)?;
            let reach = Reach { offset: want.offset, end, count_max, wait: want.wait };
            for segment in std::iter::successors(Some(segment.clone()), |before| self.after(before)) {
                if let Search::IsOver = segment.aborted(&reach, &mut aborted)? {
                    break;
                }
            }
            if aborted.len() <= count_max {
                return Ok((view, aborted));
            }
            view.range.end = view.range.start + fewer;
            aborted.clear();
        }
    }

    /// An offset that lies behind every record before `position` of a segment, and not far: that of the next batch in the
    /// index; else where the next segment begins, or the log ends.
    fn offset_behind(&self, segment: &Arc<Segment>, position: u64, wait: Wait) -> Result<i64, LogError> {
        if let Some(OffsetEntry { relative, position }) = segment.next_entry(position, wait)? {
            let offset = segment.base_offset + i64::from(relative);
            let file = segment.file()?;
            // An index is a hint.
            let mut walk = Walk::new(&*file, position.into(), segment.size()?, wait);
            if let Step::Batch(found) = walk.next().doing("read", segment)?
                && found.header.last_offset() == offset
            {
                return Ok(offset);
            }
        }
        Ok(self.after(segment).map_or_else(|| self.end().offset, |next| next.base_offset))
    }
}

impl Shared {
    /// Notes whether any of the segments has an entry.
    pub fn note_aborted(&self) {
        let has_aborted = self.list().iter().any(|segment| segment.has_aborted.load(Ordering::Relaxed));
        self.has_aborted.store(has_aborted, Ordering::Relaxed);
    }
}
