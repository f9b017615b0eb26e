//! From an offset to a batch inside one segment.
//!
//! The index names a batch at or before the one sought, and from there the walk is at most one index interval. That is
//! true of an index this process made. Of one that was found on the disk Kafka believes it too, after a clean stop, and
//! answers nonsense when the file is damaged. Here an index is a hint and the log is the truth: the batch an entry
//! points at must be there and must not lie behind the offset sought, and the walk from it must be as short as the
//! index's own rule says. Where it is not so, the index is made again from the log, and the question asked again.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_records::NO_TIMESTAMP;

use crate::disk::Wait;
use crate::error::{Doing, LogError, Named};
use crate::index::FileEntries;
use crate::indexing::{Index, Indexing, Kept, Largest};
use crate::lock;
use crate::offset_index::OffsetEntry;
use crate::segment::Segment;
use crate::time_index::TimeEntry;
use crate::walk::{Found, Step, Walk};

/// What an index says, or that what it says cannot be.
enum Claim<T> {
    Said(T),
    Nonsense,
}

use Claim::{Nonsense, Said};

impl Segment {
    /// The batch that holds `offset`, else the first behind it, among the batches before the position `end`.
    pub fn find(self: &Arc<Self>, offset: i64, end: u64, wait: Wait) -> Result<Option<Found>, LogError> {
        let found = match self.find_next(offset, end, wait)? {
            Some(found) => Some(found),
            None => self.ask(wait, || self.find_by_index(offset, end, wait))?,
        };
        if let Some(found) = &found {
            self.last_found.note(found.header.next_offset() - self.base_offset, found.end());
        }
        Ok(found)
    }

    /// The largest timestamp of the segment.
    pub fn largest(self: &Arc<Self>, wait: Wait) -> Result<Largest, LogError> {
        self.ask(wait, || {
            if let Some(largest) = lock(&self.index).largest {
                return Ok(Said(largest));
            }
            let claim = self.last_time_entry(wait)?;
            if let Said(largest) = claim {
                lock(&self.index).largest = Some(largest);
            }
            Ok(claim)
        })
    }

    /// Offset of a batch before which no batch has a larger timestamp than `timestamp`.
    pub fn indexed_offset(self: &Arc<Self>, timestamp: i64, wait: Wait) -> Result<i64, LogError> {
        let beyond = |entry: &TimeEntry| entry.timestamp > timestamp;
        let offset_of = |entry: Option<TimeEntry>| entry.map_or(self.base_offset, |entry| self.offset_of(entry));
        self.ask(wait, || {
            if let Some(entry) = self.in_memory(|index| index.times.floor(beyond)) {
                return Ok(Said(offset_of(entry)));
            }
            match self.time_entries_in_file(wait, |times| times.floor(beyond))? {
                Said(Some(entry)) if !self.holds(entry, wait)? => Ok(Nonsense),
                Said(entry) => Ok(Said(offset_of(entry))),
                Nonsense => Ok(Nonsense),
            }
        })
    }

    /// The first entry of the offset index at or behind a position of the segment. `None` if the index knows of none.
    pub fn next_entry(self: &Arc<Self>, position: u64, wait: Wait) -> Result<Option<OffsetEntry>, LogError> {
        let is_behind = |entry: &OffsetEntry| u64::from(entry.position) >= position;
        let in_memory = self.in_memory(|index| {
            let first = index.offsets.first(is_behind);
            (first < index.offsets.len()).then(|| index.offsets.get(first))
        });
        if let Some(entry) = in_memory {
            return Ok(entry);
        }
        let Some(file) = if_there(self.index_file())? else { return Ok(None) };
        let mut entries = FileEntries::new(&*file, wait).doing("read", &IndexOf(self))?;
        let first = entries.first(is_behind).doing("read", &IndexOf(self))?;
        (first < entries.len()).then(|| entries.get(first).doing("read", &IndexOf(self))).transpose()
    }

    /// Whether the batch that a time entry names has the timestamp that it says.
    pub fn holds(self: &Arc<Self>, entry: TimeEntry, wait: Wait) -> Result<bool, LogError> {
        let offset = self.offset_of(entry);
        let found = self.find(offset, self.size()?, wait)?;
        Ok(found.is_some_and(|f| f.header.base_offset <= offset && f.header.max_timestamp == entry.timestamp))
    }

    /// Whether a batch of this segment can have these offsets, and lie there.
    pub fn may_hold(&self, found: &Found) -> bool {
        let last = found.header.last_offset() - self.base_offset;
        let fits = i32::try_from(last).is_ok() && i32::try_from(found.position).is_ok();
        fits && found.header.base_offset >= self.base_offset
    }

    pub fn corrupt(&self, position: u64, what: &'static str) -> LogError {
        LogError::Corrupt { path: self.path(), position, what }
    }

    /// Asks the index; if it talks nonsense, makes it again from the log and asks once more.
    fn ask<T>(self: &Arc<Self>, wait: Wait, question: impl Fn() -> Result<Claim<T>, LogError>) -> Result<T, LogError> {
        if let Said(answer) = question()? {
            return Ok(answer);
        }
        self.rebuild_index(wait)?;
        match question()? {
            Said(answer) => Ok(answer),
            Nonsense => Err(self.corrupt(0, "the log does not agree with an index just made from it")),
        }
    }

    /// Makes the index again from the log, in memory and, where that can be done, in the files.
    fn rebuild_index(self: &Arc<Self>, wait: Wait) -> Result<(), LogError> {
        if wait == Wait::No {
            return Err(LogError::Cold);
        }
        let mut index = Index::in_memory();
        let mut indexing = Indexing::new(self.base_offset, self.home.index_interval_bytes());
        let file = self.file()?;
        let mut walk = Walk::new(&*file, 0, self.size()?, wait);
        loop {
            match walk.next().doing("read", self)? {
                Step::Batch(found) if self.may_hold(&found) => {
                    if let Some(entries) = indexing.add(&found.header, found.position) {
                        index.add(entries);
                    }
                }
                Step::Batch(found) => return Err(self.corrupt(found.position, "the batch has offsets of elsewhere")),
                Step::Broken { position, what } => return Err(self.corrupt(position, what)),
                Step::End => break,
            }
        }
        if let Some(entry) = indexing.time_entry() {
            index.times.push(entry);
        }
        index.largest = Some(indexing.largest);
        *lock(&self.index) = index;
        let _naming = lock(&self.home.naming);
        if !self.home.deleted.load(Ordering::SeqCst) && !self.is_retired() {
            // A hint that cannot be written is still one: it stays in memory.
            let _ = self.close_index();
        }
        Ok(())
    }

    /// The batch that follows the one found last, if that is what is sought.
    fn find_next(self: &Arc<Self>, offset: i64, end: u64, wait: Wait) -> Result<Option<Found>, LogError> {
        let Some(position) = self.last_found.position_of(offset - self.base_offset) else { return Ok(None) };
        match self.walk(position, offset, end, wait)? {
            Walked::To(found) => Ok(Some(found)),
            Walked::TooFar(_) | Walked::Beyond | Walked::Astray(..) => Ok(None),
        }
    }

    fn find_by_index(self: &Arc<Self>, offset: i64, end: u64, wait: Wait) -> Result<Claim<Option<Found>>, LogError> {
        let relative = offset.saturating_sub(self.base_offset);
        let beyond = |entry: &OffsetEntry| i64::from(entry.relative) > relative;
        let position_of = |entry: Option<OffsetEntry>| entry.map_or(0, |entry| u64::from(entry.position));
        if let Some(entry) = self.in_memory(|index| index.offsets.floor(beyond)) {
            return match self.walk(position_of(entry), offset, end, wait)? {
                Walked::To(found) | Walked::TooFar(found) => Ok(Said(Some(found))),
                Walked::Beyond => Ok(Said(None)),
                Walked::Astray(position, what) => Err(self.corrupt(position, what)),
            };
        }
        let Some(file) = if_there(self.index_file())? else { return Ok(Nonsense) };
        let mut entries = FileEntries::new(&*file, wait).doing("read", &IndexOf(self))?;
        let position = position_of(entries.floor(beyond).doing("read", &IndexOf(self))?);
        match self.walk(position, offset, end, wait)? {
            Walked::To(found) => Ok(Said(Some(found))),
            Walked::Beyond => Ok(Said(None)),
            Walked::TooFar(_) | Walked::Astray(..) => Ok(Nonsense),
        }
    }

    /// Walks from a batch at `from` to the first that ends at or behind `offset`.
    fn walk(self: &Arc<Self>, from: u64, offset: i64, end: u64, wait: Wait) -> Result<Walked, LogError> {
        if from > end {
            return Ok(Walked::Astray(from, "an index entry leads behind the end"));
        }
        let file = self.file()?;
        let mut walk = Walk::new(&*file, from, end, wait);
        let mut before = from;
        loop {
            let found = match walk.next().doing("read", self)? {
                Step::Batch(found) => found,
                Step::Broken { position, what } => return Ok(Walked::Astray(position, what)),
                Step::End => return Ok(Walked::Beyond),
            };
            let passed = found.position == from && from > 0 && found.header.base_offset > offset;
            if passed || !self.may_hold(&found) {
                return Ok(Walked::Astray(found.position, "the batch has offsets of elsewhere"));
            }
            if found.header.last_offset() >= offset {
                let too_far = before - from > self.home.index_interval_bytes();
                return Ok(if too_far { Walked::TooFar(found) } else { Walked::To(found) });
            }
            before = found.position;
        }
    }

    /// `None`: the index is in its files.
    fn in_memory<T>(&self, ask: impl FnOnce(&Index) -> T) -> Option<T> {
        let index = lock(&self.index);
        (index.kept == Kept::InMemory).then(|| ask(&index))
    }

    /// What the last entry of the time index says, if the log agrees: the batch is there, and none of the last interval
    /// is later, as it would be where the index has lost its end.
    fn last_time_entry(self: &Arc<Self>, wait: Wait) -> Result<Claim<Largest>, LogError> {
        if self.size()? == 0 {
            return Ok(Said(Largest::NONE));
        }
        let Said(Some(entry)) = self.time_entries_in_file(wait, |times| times.last())? else {
            return Ok(Nonsense);
        };
        let largest = Largest { timestamp: entry.timestamp, offset: self.offset_of(entry) };
        let is_confirmed = self.holds(entry, wait)?
            && matches!(self.largest_of_tail(wait)?, Said(timestamp) if timestamp <= entry.timestamp);
        Ok(if is_confirmed { Said(largest) } else { Nonsense })
    }

    /// The largest timestamp from the last entry of the offset index on.
    fn largest_of_tail(self: &Arc<Self>, wait: Wait) -> Result<Claim<i64>, LogError> {
        let last = match self.in_memory(|index| index.offsets.last()) {
            Some(last) => last,
            None => {
                let Some(file) = if_there(self.index_file())? else { return Ok(Nonsense) };
                let entries = FileEntries::<OffsetEntry>::new(&*file, wait);
                entries.and_then(|mut entries| entries.last()).doing("read", &self.index_path())?
            }
        };
        let (from, end) = (last.map_or(0, |entry| u64::from(entry.position)), self.size()?);
        let file = self.file()?;
        let mut walk = Walk::new(&*file, from.min(end), end, wait);
        let mut timestamp = NO_TIMESTAMP;
        let mut before = from;
        loop {
            match walk.next().doing("read", self)? {
                Step::Batch(found) if before.saturating_sub(from) <= self.home.index_interval_bytes() => {
                    timestamp = timestamp.max(found.header.max_timestamp);
                    before = found.position;
                }
                Step::End => return Ok(Said(timestamp)),
                Step::Batch(_) | Step::Broken { .. } => return Ok(Nonsense),
            }
        }
    }

    fn time_entries_in_file<T>(
        &self,
        wait: Wait,
        ask: impl FnOnce(&mut FileEntries<'_, TimeEntry>) -> io::Result<T>,
    ) -> Result<Claim<T>, LogError> {
        let path = self.time_index_path();
        let Some(file) = if_there(self.open_for_reading("timeindex"))? else { return Ok(Nonsense) };
        let mut entries = FileEntries::new(&*file, wait).doing("read", &path)?;
        ask(&mut entries).doing("read", &path).map(Said)
    }

    fn offset_of(&self, entry: TimeEntry) -> i64 {
        self.base_offset + i64::from(entry.relative)
    }
}

/// Names the file of a segment's offset index.
struct IndexOf<'a>(&'a Segment);

impl Named for IndexOf<'_> {
    fn path(&self) -> PathBuf {
        self.0.index_path()
    }
}

/// Where a walk from an index entry ended.
enum Walked {
    To(Found),
    /// Farther than one interval: an entry is missing.
    TooFar(Found),
    Beyond,
    Astray(u64, &'static str),
}

fn if_there<T>(opened: Result<T, LogError>) -> Result<Option<T>, LogError> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(LogError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
