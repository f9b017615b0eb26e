//! One segment of a log: `<base offset>.log` and its two indexes.
//!
//! The *active* segment is the last one. Its file is open and its index entries are in memory, where the appender adds
//! them and readers search them under a lock that is never held across a system call. When it is closed its entries stay
//! in memory until the flusher has put them into the files. From then on, and for every segment that was found on the
//! disk, the index is searched in its file, and what it says is looked at twice (`lookup.rs`).
//!
//! A segment that has left its log (`removed.rs`) can still be read by whoever got it before. Its files have other names by
//! then, and its old names may belong to another: so they are opened and renamed under one lock.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::aborted;
use crate::disk::{Disk, DiskFile, Open, missing};
use crate::error::{Doing, LogError, Named};
use crate::index::IndexEntry;
use crate::indexing::{Index, Kept, Largest};
use crate::lock;
use crate::log_dir::LogDir;
use crate::offset_index::OffsetEntry;
use crate::time_index::TimeEntry;

/// Not looked up yet.
const UNKNOWN: u64 = u64::MAX;

/// Entries that the active segment's index may keep from its file: 128 KiB of log at the usual interval, which is what a
/// crash leaves to be walked again.
pub(crate) const UNWRITTEN_ENTRIES_MAX: usize = 32;

/// Extensions of a segment's files. The log is the first to be renamed or removed: without it the others are nothing. The last
/// one is seldom there.
pub(crate) const EXTENSIONS: [&str; 4] = ["log", "index", "timeindex", aborted::EXTENSION];

/// What Kafka appends to the name of a file that is to be removed.
pub(crate) const DELETED: &str = "deleted";

/// Where the files of a log are.
#[derive(Debug)]
pub(crate) struct Home {
    pub log_dir: Arc<LogDir>,
    pub dir: PathBuf,
    /// The largest `index.interval.bytes` that segments were written with since the log was opened.
    pub index_interval_bytes: AtomicU64,
    /// The directory is about to be renamed, and another log may soon have its name.
    pub deleted: AtomicBool,
    /// Held by whoever makes files in the directory (but the appender), and while it gets another name.
    pub naming: Mutex<()>,
    /// A compacted segment was to take the place of others, and a rename has failed.
    pub is_half_swapped: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub home: Arc<Home>,
    pub base_offset: i64,
    /// Bytes of whole batches.
    size: AtomicU64,
    files: Mutex<Files>,
    /// So many of the [`EXTENSIONS`] have [`DELETED`] behind them. Held while a file is opened by its name, or gets another.
    set_aside: Mutex<usize>,
    /// It has left the log.
    retired: AtomicBool,
    /// Compaction made it, in place of others.
    is_cleaned: bool,
    /// Its markers have aborted transactions: the file that tells of them has entries.
    pub has_aborted: AtomicBool,
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

impl Home {
    pub fn index_interval_bytes(&self) -> u64 {
        self.index_interval_bytes.load(Ordering::Relaxed)
    }
}

impl Segment {
    /// A segment whose index is made, or was checked, by this process.
    pub fn indexed(home: &Arc<Home>, base_offset: i64, size: u64, index: Index) -> Arc<Segment> {
        Arc::new(Segment::new(home, base_offset, size, index))
    }

    /// A segment that compaction has made, indexes and all.
    pub fn cleaned(home: &Arc<Home>, base_offset: i64, size: u64, largest: Largest) -> Arc<Segment> {
        let index = Index { largest: Some(largest), ..Index::in_files() };
        Arc::new(Segment { is_cleaned: true, ..Segment::new(home, base_offset, size, index) })
    }

    fn new(home: &Arc<Home>, base_offset: i64, size: u64, index: Index) -> Segment {
        Segment {
            home: home.clone(),
            base_offset,
            size: AtomicU64::new(size),
            files: Mutex::default(),
            set_aside: Mutex::default(),
            retired: AtomicBool::new(false),
            is_cleaned: false,
            has_aborted: AtomicBool::new(false),
            index: Mutex::new(index),
            last_found: LastFound::default(),
        }
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
                let size = self.named("log", |path| self.disk().size_of(path).doing("stat", path))?;
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

    /// Closes the files until somebody needs them, and pins none.
    pub fn rest(&self) {
        *lock(&self.files) = Files::default();
    }

    pub fn unpin(self: &Arc<Self>) {
        lock(&self.files).pinned = false;
        self.home.log_dir.open_files.opened(self);
    }

    /// The log file, for reading.
    pub fn file(self: &Arc<Self>) -> Result<Arc<dyn DiskFile>, LogError> {
        self.open(|files| &mut files.log, "log")
    }

    /// The file of the offset index, for reading.
    pub fn index_file(self: &Arc<Self>) -> Result<Arc<dyn DiskFile>, LogError> {
        self.open(|files| &mut files.index, "index")
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

    /// Bytes of the two indexes.
    pub fn index_bytes(&self) -> Result<[u64; 2], LogError> {
        let in_memory = {
            let index = lock(&self.index);
            let bytes = [index.offsets.len() * OffsetEntry::BYTES, index.times.len() * TimeEntry::BYTES];
            (index.kept == Kept::InMemory).then(|| bytes.map(|bytes| bytes as u64))
        };
        let in_file = |extension| {
            let size = self.named(extension, |path| missing(self.disk().size_of(path)).doing("stat", path))?;
            Ok(size.unwrap_or(0))
        };
        in_memory.map_or_else(|| Ok([in_file("index")?, in_file("timeindex")?]), Ok)
    }

    /// When its file was last written: milliseconds since 1970.
    pub fn modified_ms(&self) -> Result<i64, LogError> {
        self.named("log", |path| self.disk().modified_ms(path).doing("stat", path))
    }

    /// It leaves the log.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    pub fn is_cleaned(&self) -> bool {
        self.is_cleaned
    }

    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Gives the files the names of files that are to be removed, unless they have them. Whoever calls holds
    /// [`Home::naming`].
    pub fn set_aside(&self) -> Result<(), LogError> {
        let mut set_aside = lock(&self.set_aside);
        while let Some(extension) = EXTENSIONS.get(*set_aside) {
            let path = path(&self.home, self.base_offset, extension);
            missing(self.disk().rename(&path, &path.with_added_extension(DELETED))).doing("rename", &path)?;
            *set_aside += 1;
        }
        Ok(())
    }

    /// Removes the files from the disk, which were set aside.
    pub fn remove_files(&self) -> Result<(), LogError> {
        for extension in EXTENSIONS {
            let path = path(&self.home, self.base_offset, extension).with_added_extension(DELETED);
            missing(self.disk().remove_file(&path)).doing("remove", &path)?;
        }
        Ok(())
    }

    pub fn open_for_reading(&self, extension: &str) -> Result<Arc<dyn DiskFile>, LogError> {
        let file = self.named(extension, |path| self.disk().open(path, Open::Read).doing("open", path))?;
        // Only now: were it asked before, the directory could change its name in between.
        if self.home.deleted.load(Ordering::SeqCst) { Err(LogError::Deleted) } else { Ok(file) }
    }

    pub fn disk(&self) -> &dyn Disk {
        &*self.home.log_dir.disk
    }

    fn open(
        self: &Arc<Self>,
        slot: impl Fn(&mut Files) -> &mut Option<Arc<dyn DiskFile>>,
        extension: &str,
    ) -> Result<Arc<dyn DiskFile>, LogError> {
        let mut files = lock(&self.files);
        files.used = true;
        if let Some(file) = slot(&mut files) {
            return Ok(file.clone());
        }
        let file = self.open_for_reading(extension)?;
        let first = files.log.is_none() && files.index.is_none();
        *slot(&mut files) = Some(file.clone());
        drop(files);
        if first {
            self.home.log_dir.open_files.opened(self);
        }
        Ok(file)
    }

    /// Works with a file by the name that it has and keeps meanwhile.
    fn named<T>(&self, extension: &str, work: impl FnOnce(&PathBuf) -> T) -> T {
        let set_aside = lock(&self.set_aside);
        let path = path(&self.home, self.base_offset, extension);
        if EXTENSIONS[..*set_aside].contains(&extension) {
            work(&path.with_added_extension(DELETED))
        } else {
            work(&path)
        }
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
