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

use crate::active::{Active, State};
use crate::disk::{missing, write_slices_at};
use crate::error::{Doing, LogError, Named};
use crate::reader::{Reader, Shared};
use crate::recovery::{self, Checkpointed, Recovered};
use crate::removed::Removed;
use crate::segment::Segment;
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
    /// `preallocate`: room for `segment.bytes` is taken on the disk when a segment begins, and what is left of it given back
    /// when it ends. The file is as long as the log all the while. (Kafka lengthens it with zeros, which take no room.)
    pub preallocate: bool,
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

impl Log {
    /// Opens the log in the directory `name`, made if it is not there, and repairs what a crash has left.
    ///
    /// Where segments do not begin where the ones before end, and may ([`Checkpointed::cleaned`]), all is flushed, so that the
    /// next start finds that before the recovery point, where nobody takes it for damage.
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
        if recovered.has_gaps {
            let end = log.flush()?;
            if log.reader().recovery_point() < end.offset {
                return Err(LogError::Gaps { path: log.shared.home.dir.clone() });
            }
        }
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

    /// Other options, which hold from the next append on.
    pub fn set_options(&mut self, options: LogOptions) {
        self.active.state.indexing.interval_bytes = options.index_interval_bytes;
        self.shared.home.index_interval_bytes.fetch_max(options.index_interval_bytes, Ordering::Relaxed);
        self.options = options;
    }

    /// Ends the active segment, if there is anything in it, and begins another at the end of the log.
    ///
    /// # Errors
    /// Nothing has changed.
    pub fn roll(&mut self) -> Result<Place, LogError> {
        self.remove_leftovers()?;
        if self.active.state.position > 0 {
            let new = Active::create(&self.shared.home, self.active.state.next_offset, &self.options)?;
            let old = mem::replace(&mut self.active, new);
            self.publish(vec![old], 0);
        }
        Ok(self.end())
    }

    /// The log begins at `offset`, or where it begins if that is later. Segments that lie wholly below leave it, but for those
    /// that were not flushed yet: they leave when this is called again. The active one never does, so to be rid of everything,
    /// [`Log::roll`] first. Happens in memory: see [`Removed`] for the files.
    ///
    /// # Panics
    /// If `offset` lies behind the end.
    pub fn advance_start(&mut self, offset: i64) -> Removed {
        let end = self.end().offset;
        assert!(offset <= end, "the log cannot begin at {offset}, it ends at {end}");
        self.shared.advance_start(offset)
    }

    /// Closes the active segment's file until there is something to append: thousands of idle logs would need thousands of
    /// descriptors. Not if a flush has yet to come, which is to hear of what went wrong since the file was opened.
    pub fn rest(&mut self) {
        let is_flushed = lock(&self.shared.progress).flushed == self.end();
        if is_flushed && self.leftovers.is_none() {
            self.active.rest();
        }
    }

    pub fn end(&self) -> Place {
        self.active.end()
    }

    pub fn reader(&self) -> Reader {
        Reader(self.shared.clone())
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
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
        let closed = self.leave_files();
        self.let_go();
        closed
    }

    fn leave_files(&mut self) -> Result<Place, LogError> {
        self.remove_leftovers()?;
        self.active.end_index();
        self.active.give_room_back();
        let end = self.shared.flush()?;
        let _naming = lock(&self.shared.home.naming);
        self.active.segment.write_index_files()?;
        Ok(end)
    }

    /// Drops it, and waits for a flush that is going on: for who gives the directory another name, or removes what is in it.
    pub fn let_go(self) {
        let shared = self.shared.clone();
        drop(self);
        drop(lock(&shared.home.naming));
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
                let new = Active::create(&self.shared.home, base_offset, &self.options)?;
                rolled.push(mem::replace(&mut self.active, new));
            }
            let position = self.active.state.position;
            let count = self.active.stage(rest, &self.options);
            let (now, later) = rest.split_at(count);
            let mut slices = recycle(mem::take(&mut self.slices));
            slices.extend(now.iter().flat_map(|piece| [IoSlice::new(piece.head), IoSlice::new(piece.body)]));
            let written = self.active.file().map(|file| write_slices_at(file, &mut slices, position));
            self.slices = recycle(slices);
            written?.doing("write", &self.active.segment)?;
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
            old.give_room_back();
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

/// Whoever drops a log has given up its directory: it may be opened again. So the flusher, which may still know the log, does
/// not begin to flush it, and nobody makes files there.
impl Drop for Log {
    fn drop(&mut self) {
        self.shared.home.deleted.store(true, Ordering::SeqCst);
    }
}

/// The same vector, empty, for slices of another life.
fn recycle<'a>(mut slices: Vec<IoSlice<'_>>) -> Vec<IoSlice<'a>> {
    slices.clear();
    slices.into_iter().map(|_| unreachable!("the vector is empty")).collect()
}
