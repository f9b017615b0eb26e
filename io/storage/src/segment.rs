//! One segment of a log: `<base offset>.log` and its two indexes.
//!
//! The *active* segment is the last one. Its file is open and its index entries are in memory, where the appender adds
//! them and readers search them under a lock that is never held across a system call. When it is closed its entries stay
//! in memory until the flusher has put them into the files. From then on, and for every segment that was found on the
//! disk, the index is searched in its file, and what it says is looked at twice (`lookup.rs`).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ottla_records::{BatchHeader, NO_TIMESTAMP};

use crate::disk::{Disk, DiskFile, Open};
use crate::error::{Doing, LogError, Named};
use crate::index::Entries;
use crate::lock;
use crate::log_dir::LogDir;
use crate::offset_index::OffsetEntry;
use crate::time_index::TimeEntry;

/// Not looked up yet.
const UNKNOWN: u64 = u64::MAX;

/// Entries that the active segment's index may keep from its file: 128 KiB of log at the usual interval, which is what a
/// crash leaves to be walked again.
pub(crate) const UNWRITTEN_ENTRIES_MAX: usize = 32;

/// Where the files of a log are.
#[derive(Debug)]
pub(crate) struct Home {
    pub log_dir: Arc<LogDir>,
    pub dir: PathBuf,
    pub index_interval_bytes: u64,
    /// The directory is about to be renamed, and another log may soon have its name.
    pub deleted: AtomicBool,
    /// Held by whoever makes files in the directory (but the appender), and while it gets another name.
    pub naming: Mutex<()>,
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub home: Arc<Home>,
    pub base_offset: i64,
    /// Bytes of whole batches.
    size: AtomicU64,
    files: Mutex<Files>,
    pub index: Mutex<Index>,
    /// Where the last search ended: one that reads on need not look into the index.
    pub last_found: LastFound,
}

/// The end of the batch that a search found, which is where the next one begins: its offset above the segment's in the upper
/// half, its position in the lower. 0 is none.
#[derive(Debug, Default)]
pub(crate) struct LastFound(AtomicU64);

impl LastFound {
    pub fn note(&self, next_relative: i64, position: u64) {
        if let (Ok(relative), Ok(position)) = (u32::try_from(next_relative), u32::try_from(position)) {
            self.0.store(u64::from(relative) << 32 | u64::from(position), Ordering::Relaxed);
        }
    }

    /// Where the batch with this offset begins, if that was noted last.
    pub fn position_of(&self, relative: i64) -> Option<u64> {
        let noted = self.0.load(Ordering::Relaxed);
        (noted != 0 && i64::try_from(noted >> 32) == Ok(relative)).then_some(noted & u64::from(u32::MAX))
    }
}

#[derive(Debug, Default)]
struct Files {
    log: Option<Arc<dyn DiskFile>>,
    index: Option<Arc<dyn DiskFile>>,
    /// The active segment's files stay open.
    pinned: bool,
    used: bool,
}

#[derive(Debug)]
pub(crate) struct Index {
    pub kept: Kept,
    pub offsets: Entries<OffsetEntry>,
    pub times: Entries<TimeEntry>,
    /// `None`: not looked up yet.
    pub largest: Option<Largest>,
}

/// Where the entries of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In memory, all of them.
    InMemory,
    /// In the files. If there are any: until an entry is used, it is a rumour.
    InFiles,
}

/// The largest timestamp of a segment and the last offset of the first batch that has it; -1 and -1 if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Largest {
    pub timestamp: i64,
    pub offset: i64,
}

impl Largest {
    pub const NONE: Largest = Largest { timestamp: NO_TIMESTAMP, offset: -1 };
}

/// The rule by which batches get index entries, and its state between two batches of one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Indexing {
    pub base_offset: i64,
    interval_bytes: u64,
    /// Bytes from the batch of the last entry on.
    pub since_entry: u64,
    pub largest: Largest,
    /// Timestamp of the last time entry.
    pub indexed_timestamp: i64,
}

impl Indexing {
    pub fn new(base_offset: i64, interval_bytes: u64) -> Indexing {
        let largest = Largest::NONE;
        Indexing { base_offset, interval_bytes, since_entry: 0, largest, indexed_timestamp: NO_TIMESTAMP }
    }

    /// The entries that a batch at `position` brings.
    pub fn add(&mut self, header: &BatchHeader, position: u64) -> Option<(OffsetEntry, Option<TimeEntry>)> {
        if header.max_timestamp > self.largest.timestamp {
            self.largest = Largest { timestamp: header.max_timestamp, offset: header.last_offset() };
        }
        let due = self.since_entry > self.interval_bytes;
        if due {
            self.since_entry = 0;
        }
        self.since_entry += header.size_bytes() as u64;
        due.then(|| {
            let relative = self.relative(header.last_offset());
            let position = u32::try_from(position).expect("a segment is shorter than 2 GiB");
            (OffsetEntry { relative, position }, self.time_entry())
        })
    }

    /// The entry for the largest timestamp so far, unless it has one.
    pub fn time_entry(&mut self) -> Option<TimeEntry> {
        let Largest { timestamp, offset } = self.largest;
        (timestamp > self.indexed_timestamp).then(|| {
            self.indexed_timestamp = timestamp;
            TimeEntry { timestamp, relative: self.relative(offset) }
        })
    }

    fn relative(&self, offset: i64) -> u32 {
        u32::try_from(offset - self.base_offset).expect("a segment holds fewer than 2^31 offsets")
    }
}

impl Index {
    pub fn in_memory() -> Index {
        let (offsets, times) = (Entries::default(), Entries::default());
        Index { kept: Kept::InMemory, offsets, times, largest: Some(Largest::NONE) }
    }

    pub fn in_files() -> Index {
        Index { kept: Kept::InFiles, largest: None, ..Index::in_memory() }
    }

    pub fn add(&mut self, (offset, time): (OffsetEntry, Option<TimeEntry>)) {
        self.offsets.push(offset);
        if let Some(time) = time {
            self.times.push(time);
        }
    }
}

impl Segment {
    /// A segment whose index is made, or was checked, by this process.
    pub fn indexed(home: &Arc<Home>, base_offset: i64, size: u64, index: Index) -> Arc<Segment> {
        let (home, files) = (home.clone(), Mutex::default());
        let (size, index) = (AtomicU64::new(size), Mutex::new(index));
        Arc::new(Segment { home, base_offset, size, files, index, last_found: LastFound::default() })
    }

    /// A closed segment of which nothing is known yet.
    pub fn found(home: &Arc<Home>, base_offset: i64) -> Arc<Segment> {
        Segment::indexed(home, base_offset, UNKNOWN, Index::in_files())
    }

    pub fn index_path(&self) -> PathBuf {
        path(&self.home, self.base_offset, "index")
    }

    pub fn time_index_path(&self) -> PathBuf {
        path(&self.home, self.base_offset, "timeindex")
    }

    pub fn size(&self) -> Result<u64, LogError> {
        match self.size.load(Ordering::Acquire) {
            UNKNOWN => {
                let size = self.disk().size_of(&self.path()).doing("stat", self)?;
                self.size.store(size, Ordering::Release);
                Ok(size)
            }
            size => Ok(size),
        }
    }

    pub fn set_size(&self, size: u64) {
        self.size.store(size, Ordering::Release);
    }

    /// Keeps this file open until [`Segment::unpin`].
    pub fn pin(&self, file: Arc<dyn DiskFile>) {
        *lock(&self.files) = Files { log: Some(file), pinned: true, ..Files::default() };
    }

    pub fn unpin(self: &Arc<Self>) {
        lock(&self.files).pinned = false;
        self.home.log_dir.open_files.opened(self);
    }

    /// The log file, for reading.
    pub fn file(self: &Arc<Self>) -> Result<Arc<dyn DiskFile>, LogError> {
        self.open(|files| &mut files.log, Segment::path)
    }

    /// The file of the offset index, for reading.
    pub fn index_file(self: &Arc<Self>) -> Result<Arc<dyn DiskFile>, LogError> {
        self.open(|files| &mut files.index, Segment::index_path)
    }

    /// Closes the files if nobody has used them since the last call. `true`: there is nothing left to close.
    pub fn close_unless_used(&self) -> bool {
        // Whoever holds the lock is opening a file of it, and may have to wait for the disk.
        let Ok(mut files) = self.files.try_lock() else { return false };
        if files.pinned {
            return true;
        }
        let used = std::mem::take(&mut files.used);
        if !used {
            *files = Files::default();
        }
        !used
    }

    /// Writes index entries of the active segment once they are many. The file is not synced: after a crash whatever it
    /// holds is checked.
    pub fn write_index(&self) -> Result<(), LogError> {
        if lock(&self.index).offsets.unwritten() < UNWRITTEN_ENTRIES_MAX {
            return Ok(());
        }
        self.write_index_files().map(drop)
    }

    /// Writes and syncs the indexes of a closed segment, and lets go of the entries.
    pub fn close_index(&self) -> Result<(), LogError> {
        if lock(&self.index).kept != Kept::InMemory {
            return Ok(());
        }
        for file in self.write_index_files()? {
            // One that fails leaves zeros, should it come to a power loss: nobody believes those.
            file.sync_data().doing("sync", &self.index_path())?;
        }
        let mut index = lock(&self.index);
        *index = Index { largest: index.largest, ..Index::in_files() };
        Ok(())
    }

    /// Brings both index files, made if need be, up to the entries in memory.
    pub fn write_index_files(&self) -> Result<[Arc<dyn DiskFile>; 2], LogError> {
        let (offsets, times) = {
            let index = lock(&self.index);
            (index.offsets.pending(), index.times.pending())
        };
        let path = self.index_path();
        let offset_file = self.disk().open(&path, Open::Create).doing("open", &path)?;
        offsets.write_to(&*offset_file).doing("write", &path)?;
        let path = self.time_index_path();
        let time_file = self.disk().open(&path, Open::Create).doing("open", &path)?;
        times.write_to(&*time_file).doing("write", &path)?;
        let mut index = lock(&self.index);
        index.offsets.written(&offsets);
        index.times.written(&times);
        Ok([offset_file, time_file])
    }

    pub fn open_for_reading(&self, path: &Path) -> Result<Arc<dyn DiskFile>, LogError> {
        let file = self.disk().open(path, Open::Read).doing("open", path)?;
        // Only now: were it asked before, the directory could change its name in between.
        if self.home.deleted.load(Ordering::SeqCst) { Err(LogError::Deleted) } else { Ok(file) }
    }

    pub fn disk(&self) -> &dyn Disk {
        &*self.home.log_dir.disk
    }

    fn open(
        self: &Arc<Self>,
        slot: impl Fn(&mut Files) -> &mut Option<Arc<dyn DiskFile>>,
        path: impl Fn(&Segment) -> PathBuf,
    ) -> Result<Arc<dyn DiskFile>, LogError> {
        let mut files = lock(&self.files);
        files.used = true;
        if let Some(file) = slot(&mut files) {
            return Ok(file.clone());
        }
        let file = self.open_for_reading(&path(self))?;
        let first = files.log.is_none() && files.index.is_none();
        *slot(&mut files) = Some(file.clone());
        drop(files);
        if first {
            self.home.log_dir.open_files.opened(self);
        }
        Ok(file)
    }
}

impl Named for Segment {
    fn path(&self) -> PathBuf {
        path(&self.home, self.base_offset, "log")
    }
}

/// The file of the segment with this base offset: Kafka pads offsets to 20 digits.
pub(crate) fn path(home: &Home, base_offset: i64, extension: &str) -> PathBuf {
    home.dir.join(format!("{base_offset:020}.{extension}"))
}
