//! Appending to a log.
//!
//! All batches of a call go to the file in one vectored write, unless the segment is full in between. Nothing of a call
//! is told to readers, flusher or indexes before all of it is written: if a write fails in the middle, the file is cut
//! back to where the call began, segments it had started are removed, and the log is what it was before. If that fails
//! too it is tried again before the next append, which is refused until then. So a disk that was full costs the appends
//! that met it, and nothing else.

use std::io::IoSlice;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_base::Uuid;
use ottla_records::BatchHeader;

use crate::disk::{DiskFile, Open, missing, write_slices_at};
use crate::error::{Doing, LogError, Named};
use crate::index::IndexEntry;
use crate::offset_index::OffsetEntry;
use crate::reader::{Reader, Shared};
use crate::recovery::{self, Checkpointed, Recovered};
use crate::segment::{Home, Index, Indexing, Segment};
use crate::time_index::TimeEntry;
use crate::{LogDir, Place, lock};

#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// `segment.bytes`
    pub segment_bytes: u64,
    /// `segment.ms`, less the jitter drawn for this log.
    pub segment_ms: i64,
    /// `segment.index.bytes`
    pub index_bytes: u64,
    /// `index.interval.bytes`
    pub index_interval_bytes: u64,
    /// Room taken on the disk ahead of the end, so that the log can still be written when the disk is full. 0: none.
    pub reserve_bytes: u64,
}

/// A batch to be appended, in two parts, because its first bytes are the leader's and the rest is the producer's.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    pub head: &'a [u8],
    pub body: &'a [u8],
    /// What `head` and `body` say, with the batch's own offset and epoch.
    pub header: BatchHeader,
}

/// Where the batches of one append lie: from `start` to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub start: Place,
    pub end: Place,
}

/// The appending end of a log. One owner, one append at a time.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
    options: LogOptions,
    active: Active,
    leftovers: Option<Leftovers>,
    /// Kept for its allocation.
    slices: Vec<IoSlice<'static>>,
}

/// What a failed append has left behind, beside bytes behind the active segment's end.
#[derive(Debug)]
struct Leftovers {
    /// Segments that it had started.
    started: Vec<Arc<Segment>>,
    /// The active segment was cut, and not synced.
    is_cut: bool,
}

/// The segment that is appended to.
#[derive(Debug)]
pub(crate) struct Active {
    pub segment: Arc<Segment>,
    pub file: Arc<dyn DiskFile>,
    pub state: State,
    /// Index entries of the append that is going on.
    staged: Vec<(OffsetEntry, Option<TimeEntry>)>,
    reserved: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub indexing: Indexing,
    pub position: u64,
    pub next_offset: i64,
    /// Largest timestamp of the first batch, which the segment's age is counted from.
    pub first_timestamp: Option<i64>,
    pub offset_entries: u64,
    pub time_entries: u64,
}

impl Log {
    /// Opens the log in the directory `name`, made if it is not there, and repairs what a crash has left.
    ///
    /// # Errors
    /// Nothing has been changed where the directory cannot be written.
    pub fn open(
        dir: &Arc<LogDir>,
        name: &str,
        options: LogOptions,
        known: Checkpointed,
    ) -> Result<(Log, Recovered), LogError> {
        let (shared, active, recovered) = recovery::open(dir, name, &options, known)?;
        let mut log = Log { shared, options, active, leftovers: None, slices: Vec::new() };
        log.active.reserve(options.reserve_bytes);
        Ok((log, recovered))
    }

    /// Appends batches that follow one another and the log's end. All are in the log, or none.
    ///
    /// # Panics
    /// If an offset lies before the end of the log, or a piece is not as long as its header says.
    pub fn append(&mut self, pieces: &[Piece<'_>]) -> Result<Appended, LogError> {
        if pieces.is_empty() {
            return Ok(Appended { start: self.end(), end: self.end() });
        }
        self.remove_leftovers()?;
        let before = self.active.state;
        let start = self.active.end();
        let mut rolled = Vec::new();
        match self.write(pieces, &mut rolled) {
            Ok(bytes) => {
                self.publish(rolled, bytes);
                self.active.reserve(self.options.reserve_bytes);
                Ok(Appended { start, end: self.active.end() })
            }
            Err(e) => {
                self.undo(before, rolled);
                Err(e)
            }
        }
    }

    pub fn end(&self) -> Place {
        self.active.end()
    }

    pub fn reader(&self) -> Reader {
        Reader(self.shared.clone())
    }

    /// Makes the log survive a power loss, here and now. For who opens one; afterwards there is the flusher.
    pub fn flush(&self) -> Result<Place, LogError> {
        self.shared.flush()
    }

    /// Flushes the log and leaves its files as Kafka does when it stops.
    ///
    /// # Errors
    /// The log is not to be called cleanly closed.
    pub fn close(mut self) -> Result<Place, LogError> {
        self.remove_leftovers()?;
        self.active.end_index();
        let end = self.shared.flush()?;
        let _naming = lock(&self.shared.home.naming);
        self.active.segment.write_index_files()?;
        Ok(end)
    }

    /// Gives the directory the name under which Kafka keeps what is to be removed, and returns that name. The files go
    /// with [`LogDir::remove`].
    ///
    /// # Errors
    /// The directory keeps its name, and the log is closed all the same.
    pub fn delete(self, id: Uuid) -> Result<String, LogError> {
        let home = &self.shared.home;
        let _naming = lock(&home.naming);
        home.deleted.store(true, Ordering::SeqCst);
        let old = home.dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        home.log_dir.set_to_be_removed(old, id)
    }

    /// Writes the pieces, rolling where it must; returns their bytes. The segments that were active before go to `rolled`.
    fn write(&mut self, pieces: &[Piece<'_>], rolled: &mut Vec<Active>) -> Result<u64, LogError> {
        let mut bytes = 0;
        let mut rest = pieces;
        while let Some(first) = rest.first() {
            if self.active.state.is_full_for(&first.header, &self.options) {
                let base_offset = self.active.state.base_for(&first.header);
                let new = Active::create(&self.shared.home, base_offset)?;
                rolled.push(mem::replace(&mut self.active, new));
            }
            let position = self.active.state.position;
            let count = self.active.stage(rest, &self.options);
            let (now, later) = rest.split_at(count);
            let mut slices = recycle(mem::take(&mut self.slices));
            slices.extend(now.iter().flat_map(|piece| [IoSlice::new(piece.head), IoSlice::new(piece.body)]));
            let written = write_slices_at(&*self.active.file, &mut slices, position);
            self.slices = recycle(slices);
            written.doing("write", &self.active.segment)?;
            bytes += self.active.state.position - position;
            rest = later;
        }
        Ok(bytes)
    }

    /// Tells everybody of what was written.
    fn publish(&mut self, mut rolled: Vec<Active>, bytes: u64) {
        let has_rolled = !rolled.is_empty();
        for old in &mut rolled {
            old.publish();
            old.end_index();
        }
        self.active.publish();
        if has_rolled {
            let new = rolled.iter().skip(1).chain([&self.active]);
            self.shared.add_segments(new.map(|active| active.segment.clone()));
            rolled.iter().for_each(|old| old.segment.unpin());
        }
        let backlog = &self.shared.home.log_dir.backlog;
        // Before the flusher can see what it will take away.
        backlog.add(bytes);
        let mut progress = lock(&self.shared.progress);
        progress.end = self.active.end();
        progress.dirty_bytes += bytes;
        progress.names_changed |= has_rolled;
        let newly_dirty = !mem::replace(&mut progress.queued, true);
        drop(progress);
        if newly_dirty {
            backlog.is_dirty(&self.shared);
        }
    }

    /// Goes back to before a failed append.
    fn undo(&mut self, before: State, rolled: Vec<Active>) {
        let mut started = Vec::new();
        for old in rolled.into_iter().rev() {
            started.push(mem::replace(&mut self.active, old).segment);
        }
        started.reverse();
        self.active.state = before;
        self.active.staged.clear();
        self.leftovers = Some(Leftovers { started, is_cut: false });
        // If it fails now, it is tried again before the next append.
        let _ = self.remove_leftovers();
    }

    fn remove_leftovers(&mut self) -> Result<(), LogError> {
        let Some(leftovers) = &mut self.leftovers else { return Ok(()) };
        let home = &self.shared.home;
        for segment in &leftovers.started {
            let path = segment.path();
            missing(home.log_dir.disk.remove_file(&path)).doing("remove", &path)?;
        }
        if !leftovers.started.is_empty() {
            // Or they could be there again after a power loss, in the middle of the log by then.
            home.log_dir.disk.sync_dir(&home.dir).doing("sync", &home.dir)?;
        }
        leftovers.is_cut |= self.active.cut()?;
        if leftovers.is_cut
            && let Err(e) = self.active.sync()
        {
            // It was also for bytes that are to stay.
            lock(&self.shared.progress).in_doubt = true;
            return Err(e);
        }
        self.leftovers = None;
        Ok(())
    }
}

impl Active {
    pub fn new(segment: Arc<Segment>, file: Arc<dyn DiskFile>, state: State) -> Active {
        segment.pin(file.clone());
        Active { segment, file, state, staged: Vec::new(), reserved: 0 }
    }

    /// Starts an empty segment.
    pub fn create(home: &Arc<Home>, base_offset: i64) -> Result<Active, LogError> {
        let segment = Segment::indexed(home, base_offset, 0, Index::in_memory());
        let path = segment.path();
        let file = home.log_dir.disk.open(&path, Open::Create).doing("create", &path)?;
        if file.size().doing("stat", &path)? > 0 {
            file.set_size(0).doing("cut", &path)?;
        }
        let indexing = Indexing::new(base_offset, home.index_interval_bytes);
        Ok(Active::new(segment, file, State::new(indexing, base_offset)))
    }

    pub fn end(&self) -> Place {
        let State { position, next_offset, .. } = self.state;
        Place { offset: next_offset, segment: self.segment.base_offset, position }
    }

    /// Takes as many of the pieces as the segment has room for, one at least, into its state and its staged entries.
    fn stage(&mut self, pieces: &[Piece<'_>], options: &LogOptions) -> usize {
        for (i, piece) in pieces.iter().enumerate() {
            let size = piece.header.size_bytes();
            assert_eq!(piece.head.len() + piece.body.len(), size, "a piece is not as long as its header says");
            assert!(piece.header.base_offset >= self.state.next_offset, "a batch lies before the end of the log");
            if i > 0 && self.state.is_full_for(&piece.header, options) {
                return i;
            }
            if let Some(entries) = self.state.add(&piece.header) {
                self.staged.push(entries);
            }
        }
        pieces.len()
    }

    fn publish(&mut self) {
        let mut index = lock(&self.segment.index);
        index.largest = Some(self.state.indexing.largest);
        for entries in self.staged.drain(..) {
            index.add(entries);
        }
        drop(index);
        self.segment.set_size(self.state.position);
    }

    /// Makes the segment's largest timestamp the last entry of its time index.
    fn end_index(&mut self) {
        if let Some(entry) = self.state.indexing.time_entry() {
            lock(&self.segment.index).times.push(entry);
        }
    }

    /// Ends the segment: it is no longer the last.
    pub fn close(mut self) -> Arc<Segment> {
        self.end_index();
        self.segment.unpin();
        self.segment
    }

    /// Removes what lies behind the end, and says whether there was anything. Until it is synced, it can come back with a
    /// power loss.
    pub fn cut(&mut self) -> Result<bool, LogError> {
        let is_longer = self.file.size().doing("stat", &self.segment)? != self.state.position;
        if is_longer {
            self.file.set_size(self.state.position).doing("cut", &self.segment)?;
            self.reserved = 0;
        }
        Ok(is_longer)
    }

    pub fn sync(&self) -> Result<(), LogError> {
        self.file.sync_data().doing("sync", &self.segment)
    }

    /// Takes more room ahead of the end, once half of it is used. On a full disk it does without.
    fn reserve(&mut self, bytes: u64) {
        let position = self.state.position;
        if bytes > 0 && self.reserved < position + bytes / 2 && self.file.allocate(position..position + bytes).is_ok() {
            self.reserved = position + bytes;
        }
    }
}

impl State {
    pub fn new(indexing: Indexing, next_offset: i64) -> State {
        State { indexing, position: 0, next_offset, first_timestamp: None, offset_entries: 0, time_entries: 0 }
    }

    /// Whether a batch must go to a new segment.
    fn is_full_for(&self, header: &BatchHeader, options: &LogOptions) -> bool {
        if i32::try_from(header.last_offset() - self.indexing.base_offset).is_err() {
            return true;
        }
        let position = self.position + header.size_bytes() as u64;
        let age_ms = self.first_timestamp.map_or(0, |first| header.max_timestamp.saturating_sub(first));
        self.position > 0
            && (position > options.segment_bytes.min(i32::MAX as u64)
                || age_ms > options.segment_ms
                || self.offset_entries >= (options.index_bytes / OffsetEntry::BYTES as u64).max(1)
                // One is left for the entry that closes the segment.
                || self.time_entries >= (options.index_bytes / TimeEntry::BYTES as u64).saturating_sub(1).max(1))
    }

    /// Base offset of the segment that this batch is the first of: the log's end, so that a missing tail of a segment
    /// cannot be taken for a gap; or, if that is too far off, the batch's own.
    fn base_for(&self, header: &BatchHeader) -> i64 {
        let fits = i32::try_from(header.last_offset() - self.next_offset).is_ok();
        if fits { self.next_offset } else { header.base_offset }
    }

    pub fn add(&mut self, header: &BatchHeader) -> Option<(OffsetEntry, Option<TimeEntry>)> {
        let entries = self.indexing.add(header, self.position);
        if let Some((_, time)) = &entries {
            self.offset_entries += 1;
            self.time_entries += u64::from(time.is_some());
        }
        self.first_timestamp = self.first_timestamp.or(Some(header.max_timestamp).filter(|&time| time >= 0));
        self.position += header.size_bytes() as u64;
        self.next_offset = header.next_offset();
        entries
    }
}

/// The same vector, empty, for slices of another life.
fn recycle<'a>(mut slices: Vec<IoSlice<'_>>) -> Vec<IoSlice<'a>> {
    slices.clear();
    slices.into_iter().map(|_| unreachable!("the vector is empty")).collect()
}
