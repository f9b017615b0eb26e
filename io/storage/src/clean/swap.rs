//! Putting a compacted segment in the place of those that it was made of.
//!
//! On the disk this takes a number of renames, and a crash may come after each. The names tell how far it was (`leftovers.rs`),
//! so that opening the log goes on from there or takes it back. In memory it is one step. A reader that got one of the old
//! segments before goes on with it, under its new name.
//!
//! If a rename fails and the process goes on, memory still has the old segments, which is right, and the directory has both.
//! Then the log is not compacted again until it was opened anew.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::CleanError;
use super::target::{MADE, draft};
use crate::error::{Doing, LogError};
use crate::lock;
use crate::reader::Shared;
use crate::removed::Removed;
use crate::segment::{Segment, path};

/// Whether the log may be compacted.
pub(super) fn check(shared: &Shared) -> Result<(), LogError> {
    if !shared.home.is_half_swapped.load(Ordering::SeqCst) {
        return Ok(());
    }
    let what = "a compaction could not be finished; it will be when the log is opened again";
    Err(LogError::Corrupt { path: shared.home.dir.clone(), position: 0, what })
}

/// Gives the segments whose place is taken.
pub(super) fn put_in_place(shared: &Shared, group: &[Arc<Segment>], new: Arc<Segment>) -> Result<Removed, CleanError> {
    let (home, base_offset) = (&shared.home, new.base_offset);
    let disk = &*home.log_dir.disk;
    let _naming = lock(&home.naming);
    if home.deleted.load(Ordering::SeqCst) || !shared.holds(group) {
        return Err(CleanError::Stopped);
    }
    let own = |extension| path(home, base_offset, extension);
    home.is_half_swapped.store(true, Ordering::SeqCst);
    for extension in MADE {
        let from = draft(home, base_offset, extension);
        disk.rename(&from, &own(extension).with_added_extension("swap")).doing("rename", &from)?;
    }
    for old in group {
        old.set_aside()?;
    }
    for extension in MADE {
        let from = own(extension).with_added_extension("swap");
        disk.rename(&from, &own(extension)).doing("rename", &from)?;
    }
    disk.sync_dir(&home.dir).doing("sync", &home.dir)?;
    home.is_half_swapped.store(false, Ordering::SeqCst);
    Ok(shared.replace(group, new))
}

impl Shared {
    fn holds(&self, group: &[Arc<Segment>]) -> bool {
        let list = self.list();
        group.iter().all(|old| list.iter().any(|segment| Arc::ptr_eq(segment, old)))
    }

    /// The start of the log may have moved meanwhile: what has left it does not come back.
    fn replace(&self, group: &[Arc<Segment>], new: Arc<Segment>) -> Removed {
        let is_old = |segment: &Arc<Segment>| group.iter().any(|old| Arc::ptr_eq(old, segment));
        let mut list = self.segments.write().expect("nothing panics while it holds this lock");
        let Some(first) = list.iter().position(is_old) else { return Removed::new(vec![new]) };
        let count = list[first..].iter().take_while(|segment| is_old(segment)).count();
        let removed = Removed::new(list.splice(first..first + count, [new]).collect());
        self.list_changes.fetch_add(1, Ordering::SeqCst);
        removed
    }
}
