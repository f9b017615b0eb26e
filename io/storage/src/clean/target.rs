//! The segment that is written in place of others: `<base offset>.log.cleaned` and its indexes.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_records::BatchHeader;

use super::{CleanError, Pace};
use crate::disk::{DiskFile, Open, missing, write_all_at};
use crate::error::{Doing, LogError};
use crate::index::{Entries, IndexEntry};
use crate::indexing::{Index, Indexing};
use crate::lock;
use crate::segment::{Home, Segment, path};

/// Files that compaction makes. The log is the first of them to get another name.
pub(super) const MADE: [&str; 3] = ["log", "index", "timeindex"];

pub(super) struct Target {
    home: Arc<Home>,
    base_offset: i64,
    file: Arc<dyn DiskFile>,
    /// What is not written yet.
    buffer: Vec<u8>,
    buffer_bytes: usize,
    written: u64,
    indexing: Indexing,
    index: Index,
}

impl Target {
    pub fn create(home: &Arc<Home>, base_offset: i64, buffer_bytes: usize) -> Result<Target, LogError> {
        // Once the directory has another name, the old one may be that of another log.
        let _naming = lock(&home.naming);
        if home.deleted.load(Ordering::SeqCst) {
            return Err(LogError::Deleted);
        }
        let file = create(home, base_offset, "log")?;
        Ok(Target {
            home: home.clone(),
            base_offset,
            file,
            buffer: Vec::new(),
            buffer_bytes,
            written: 0,
            indexing: Indexing::new(base_offset, home.index_interval_bytes()),
            index: Index::in_memory(),
        })
    }

    /// Appends a batch.
    pub fn push(&mut self, batch: &[u8], pace: &mut Pace<'_>) -> Result<(), CleanError> {
        let header = BatchHeader::parse(batch).expect("a batch that was read, or made");
        if !self.buffer.is_empty() && self.buffer.len() + batch.len() > self.buffer_bytes {
            self.write(pace)?;
        }
        let position = self.written + self.buffer.len() as u64;
        if i32::try_from(position + batch.len() as u64).is_err() {
            // Packed again, records may take more than before.
            let (path, what) = (self.path("log"), "what stays of these segments is more than one can hold");
            return Err(LogError::Corrupt { path, position, what }.into());
        }
        if let Some(entries) = self.indexing.add(&header, position) {
            self.index.add(entries);
        }
        self.buffer.extend_from_slice(batch);
        Ok(())
    }

    /// Writes the rest and the indexes, and makes it all survive a power loss. `group` are the segments that it is made of:
    /// the file looks as old as the last of them, as by Kafka.
    pub fn finish(&mut self, group: &[Arc<Segment>], pace: &mut Pace<'_>) -> Result<Arc<Segment>, CleanError> {
        self.write(pace)?;
        if let Some(last) = group.last() {
            self.file.set_modified_ms(last.modified_ms()?).doing("stamp", &self.path("log"))?;
        }
        self.file.sync_data().doing("sync", &self.path("log"))?;
        if let Some(entry) = self.indexing.time_entry() {
            self.index.times.push(entry);
        }
        self.write_index("index", &self.index.offsets)?;
        self.write_index("timeindex", &self.index.times)?;
        Ok(Segment::cleaned(&self.home, self.base_offset, self.written, self.indexing.largest))
    }

    /// Removes what was made.
    pub fn abandon(&self) -> Result<(), LogError> {
        let _naming = lock(&self.home.naming);
        if self.home.deleted.load(Ordering::SeqCst) {
            return Ok(());
        }
        for extension in MADE {
            let path = self.path(extension);
            missing(self.home.log_dir.disk.remove_file(&path)).doing("remove", &path)?;
        }
        Ok(())
    }

    fn write(&mut self, pace: &mut Pace<'_>) -> Result<(), CleanError> {
        let mut bytes = mem::take(&mut self.buffer);
        write_all_at(&*self.file, &bytes, self.written).doing("write", &self.path("log"))?;
        self.written += bytes.len() as u64;
        let written = bytes.len() as u64;
        bytes.clear();
        bytes.shrink_to(self.buffer_bytes);
        self.buffer = bytes;
        pace.spend(written)
    }

    fn write_index<E: IndexEntry>(&self, extension: &str, entries: &Entries<E>) -> Result<(), LogError> {
        let file = {
            let _naming = lock(&self.home.naming);
            if self.home.deleted.load(Ordering::SeqCst) {
                return Err(LogError::Deleted);
            }
            create(&self.home, self.base_offset, extension)?
        };
        let path = self.path(extension);
        entries.pending().write_to(&*file).doing("write", &path)?;
        file.sync_data().doing("sync", &path)
    }

    fn path(&self, extension: &str) -> PathBuf {
        draft(&self.home, self.base_offset, extension)
    }
}

pub(super) fn draft(home: &Home, base_offset: i64, extension: &str) -> PathBuf {
    path(home, base_offset, extension).with_added_extension("cleaned")
}

fn create(home: &Home, base_offset: i64, extension: &str) -> Result<Arc<dyn DiskFile>, LogError> {
    let path = draft(home, base_offset, extension);
    let file = home.log_dir.disk.open(&path, Open::Create).doing("create", &path)?;
    if file.size().doing("stat", &path)? > 0 {
        file.set_size(0).doing("cut", &path)?;
    }
    Ok(file)
}
