//! Segments that have left a log, on their way off the disk.
//!
//! To unlink a file of a gigabyte takes a while, and whoever has just found a batch in it is about to read it. So segments
//! leave in three steps. The log forgets them in memory, which is all that happens under its owner's lock. Then their files
//! get the names that Kafka gives to what is to be removed, and after `file.delete.delay.ms` they go. The later steps wait for
//! the disk, and for nothing of the log but a flush of it.
//!
//! When the process ends in between, opening the log finishes it: files with such names are removed, and segments below the
//! start that the caller's checkpoint tells. Without a checkpoint the log begins with the first segment that is there, which
//! after a power loss may be one that was removed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::checkpoint::producers;
use crate::disk::missing;
use crate::error::{Doing, LogError};
use crate::lock;
use crate::reader::Shared;
use crate::segment::{DELETED, Segment, path};

/// Extension of the producers as of a segment's beginning: of no use without the segment, except for the newest.
const SNAPSHOT: &str = "snapshot";

/// Segments that are no longer in their log. Dropped too early, their files stay until the log is opened again.
#[derive(Debug, Default)]
#[must_use]
pub struct Removed {
    segments: Vec<Arc<Segment>>,
}

impl Removed {
    pub(crate) fn new(segments: Vec<Arc<Segment>>) -> Removed {
        segments.iter().for_each(|segment| segment.retire());
        Removed { segments }
    }

    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Takes in what else is to go.
    pub fn add(&mut self, other: Removed) {
        self.segments.extend(other.segments);
    }

    /// Gives the files the names of what is to be removed. Blocks for as long as the disk takes; the log goes on.
    ///
    /// # Errors
    /// Some may have their old names. It may be tried again.
    pub fn set_aside(&self) -> Result<(), LogError> {
        let Some(first) = self.segments.first() else { return Ok(()) };
        let _naming = lock(&first.home.naming);
        if first.home.deleted.load(Ordering::SeqCst) {
            // Gone with the directory.
            return Ok(());
        }
        let home = &first.home;
        let newest = producers::offsets(&*home.log_dir.disk, &home.dir)?.pop();
        // The oldest first: what a crash leaves is a log.
        for segment in &self.segments {
            segment.set_aside()?;
            if newest != Some(segment.base_offset) {
                let snapshot = path(home, segment.base_offset, SNAPSHOT);
                let renamed = home.log_dir.disk.rename(&snapshot, &snapshot.with_added_extension(DELETED));
                missing(renamed).doing("rename", &snapshot)?;
            }
        }
        Ok(())
    }

    /// Removes the files from the disk, once [`Removed::set_aside`] has succeeded. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// Some are left. It may be tried again.
    pub fn remove(&self) -> Result<(), LogError> {
        for segment in &self.segments {
            let _naming = lock(&segment.home.naming);
            if !segment.home.deleted.load(Ordering::SeqCst) {
                segment.remove_files()?;
                let snapshot = path(&segment.home, segment.base_offset, SNAPSHOT).with_added_extension(DELETED);
                missing(segment.disk().remove_file(&snapshot)).doing("remove", &snapshot)?;
            }
        }
        Ok(())
    }
}

impl Shared {
    /// See [`Log::advance_start`](crate::Log::advance_start).
    pub fn advance_start(&self, offset: i64) -> Removed {
        let gone_to = {
            let mut progress = lock(&self.progress);
            progress.start = progress.start.max(offset);
            // What is not on the disk yet does not leave: after a power loss the log could end before it, and give its offsets
            // once more.
            progress.start.min(progress.flushed.offset)
        };
        let mut segments = self.segments.write().expect("nothing panics while it holds this lock");
        let gone = segments[1..].partition_point(|next| next.base_offset <= gone_to);
        let removed = Removed::new(segments.drain(..gone).collect());
        if !removed.is_empty() {
            self.list_changes.fetch_add(1, Ordering::SeqCst);
        }
        removed
    }
}
