//! The segment that a log appends to, and when another must take its place.

use std::sync::Arc;

use ottla_records::BatchHeader;

use crate::disk::{DiskFile, Open};
use crate::error::{Doing, LogError, Named};
use crate::index::IndexEntry;
use crate::indexing::{Index, Indexing};
use crate::log::{LogOptions, Piece};
use crate::offset_index::OffsetEntry;
use crate::segment::{Home, Segment};
use crate::time_index::TimeEntry;
use crate::{Place, lock};

/// The segment that is appended to.
#[derive(Debug)]
pub(crate) struct Active {
    pub segment: Arc<Segment>,
    /// `None` while the log rests.
    file: Option<Arc<dyn DiskFile>>,
    pub state: State,
    /// Index entries of the append that is going on.
    pub staged: Vec<(OffsetEntry, Option<TimeEntry>)>,
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

impl Active {
    pub fn new(segment: Arc<Segment>, file: Arc<dyn DiskFile>, state: State) -> Active {
        segment.pin(file.clone());
        Active { segment, file: Some(file), state, staged: Vec::new(), reserved: 0 }
    }

    /// Starts an empty segment.
    pub fn create(home: &Arc<Home>, base_offset: i64, options: &LogOptions) -> Result<Active, LogError> {
        let segment = Segment::indexed(home, base_offset, 0, Index::in_memory());
        let path = segment.path();
        let file = home.log_dir.disk.open(&path, Open::Create).doing("create", &path)?;
        if file.size().doing("stat", &path)? > 0 {
            file.set_size(0).doing("cut", &path)?;
        }
        let indexing = Indexing::new(base_offset, options.index_interval_bytes);
        let mut active = Active::new(segment, file, State::new(indexing, base_offset));
        if options.preallocate && active.file()?.allocate(0..options.segment_bytes).is_ok() {
            active.reserved = options.segment_bytes;
        }
        Ok(active)
    }

    /// The file, for writing.
    pub fn file(&mut self) -> Result<&dyn DiskFile, LogError> {
        if self.file.is_none() {
            let path = self.segment.path();
            let file = self.segment.disk().open(&path, Open::Write).doing("open", &path)?;
            self.segment.pin(file.clone());
            self.file = Some(file);
        }
        Ok(self.file.as_deref().expect("it was opened"))
    }

    /// Closes the file until somebody needs it.
    pub fn rest(&mut self) {
        self.file = None;
        self.segment.rest();
    }

    pub fn end(&self) -> Place {
        let State { position, next_offset, .. } = self.state;
        Place { offset: next_offset, segment: self.segment.base_offset, position }
    }

    /// Takes as many of the pieces as the segment has room for, one at least, into its state and its staged entries.
    pub fn stage(&mut self, pieces: &[Piece<'_>], options: &LogOptions) -> usize {
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

    pub fn publish(&mut self) {
        let mut index = lock(&self.segment.index);
        index.largest = Some(self.state.indexing.largest);
        for entries in self.staged.drain(..) {
            index.add(entries);
        }
        drop(index);
        self.segment.set_size(self.state.position);
    }

    /// Makes the segment's largest timestamp the last entry of its time index.
    pub fn end_index(&mut self) {
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
        let position = self.state.position;
        let is_longer = self.file()?.size().doing("stat", &self.segment)? != position;
        if is_longer {
            self.file()?.set_size(position).doing("cut", &self.segment)?;
            self.reserved = 0;
        }
        Ok(is_longer)
    }

    pub fn sync(&mut self) -> Result<(), LogError> {
        self.file()?.sync_data().doing("sync", &self.segment)
    }

    /// Gives back the room that was taken behind the end. What this does not succeed in is lost until the file is removed.
    pub fn give_room_back(&mut self) {
        let position = self.state.position;
        if self.reserved > position && self.file().is_ok_and(|file| file.set_size(position).is_ok()) {
            self.reserved = 0;
        }
    }

    /// Takes more room ahead of the end, once half of it is used. On a full disk it does without.
    pub fn reserve(&mut self, bytes: u64) {
        let position = self.state.position;
        let is_short = bytes > 0 && self.reserved < position + bytes / 2;
        if is_short && self.file().is_ok_and(|file| file.allocate(position..position + bytes).is_ok()) {
            self.reserved = position + bytes;
        }
    }
}

impl State {
    pub fn new(indexing: Indexing, next_offset: i64) -> State {
        State { indexing, position: 0, next_offset, first_timestamp: None, offset_entries: 0, time_entries: 0 }
    }

    /// Whether a batch must go to a new segment.
    pub fn is_full_for(&self, header: &BatchHeader, options: &LogOptions) -> bool {
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
    pub fn base_for(&self, header: &BatchHeader) -> i64 {
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
