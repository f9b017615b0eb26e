//! What a crash leaves of segments that were leaving a log, or taking the place of others.
//!
//! | Name ends in | What it was | What becomes of it |
//! | --- | --- | --- |
//! | `.deleted` | removed, and waiting for its delay | goes |
//! | `.cleaned` | compaction was writing it | goes |
//! | `.swap` | compaction had written it, and was putting it in the place of the segments of its offsets | those go, and it gets their name |
//!
//! The names are Kafka's, and so is the order in which compaction changes them: all files of the new segment become `.swap`,
//! the old ones `.deleted`, and the new ones lose the `.swap`, each time the log first. So where a segment has both a
//! `.cleaned` and a `.swap`, the old ones are all there, and the new one goes. Everything can be done again if this is
//! interrupted, too.

use std::path::Path;

use crate::disk::{Entry, Open, Wait, missing};
use crate::error::{Doing, LogError};
use crate::recovery::check_writable;
use crate::segment::{EXTENSIONS, Home};
use crate::walk::{Step, Walk};

/// A name as compaction and removal make it: `<base offset>.<extension>.<fate>`.
#[derive(Clone, Copy)]
struct Leftover<'a> {
    base_offset: i64,
    fate: &'a str,
    name: &'a str,
}

/// Settles what is left over, and gives the files that there are then.
pub(crate) fn settle(home: &Home, files: Vec<Entry>) -> Result<Vec<Entry>, LogError> {
    let leftovers: Vec<_> = files.iter().filter_map(|file| leftover(&file.name)).collect();
    let orphans: Vec<_> = files.iter().filter(|file| is_orphan(&file.name, &files)).map(|file| &*file.name).collect();
    if leftovers.is_empty() && orphans.is_empty() {
        return Ok(files);
    }
    let cleaned = with_fate(&leftovers, "cleaned");
    let first_cleaned = cleaned.iter().map(|leftover| leftover.base_offset).min().unwrap_or(i64::MAX);
    let (unfinished, mut swaps): (Vec<_>, Vec<_>) =
        with_fate(&leftovers, "swap").into_iter().partition(|swap| swap.base_offset >= first_cleaned);
    let replaced = replaced(home, &swaps, &files)?;
    check_writable(home)?;
    // The swaps before what shows that they are not finished.
    let gone = [unfinished, cleaned, with_fate(&leftovers, "deleted")].concat();
    for name in gone.iter().map(|leftover| leftover.name).chain(orphans).chain(replaced) {
        remove(home, name)?;
    }
    swaps.sort_by_key(|swap| !swap.name.ends_with(".log.swap"));
    for swap in swaps {
        let from = home.dir.join(swap.name);
        let disk = &home.log_dir.disk;
        disk.rename(&from, &from.with_extension("")).doing("rename", &from)?;
    }
    home.log_dir.disk.sync_dir(&home.dir).doing("sync", &home.dir)?;
    home.log_dir.disk.list(&home.dir).doing("list", &home.dir)
}

fn leftover(name: &str) -> Option<Leftover<'_>> {
    let (digits, rest) = name.split_at_checked(20)?;
    let (_, fate) = rest.strip_prefix('.')?.split_once('.')?;
    let is_one = matches!(fate, "deleted" | "cleaned" | "swap");
    Some(Leftover { base_offset: digits.parse().ok().filter(|_| is_one)?, fate, name })
}

fn with_fate<'a>(leftovers: &[Leftover<'a>], fate: &str) -> Vec<Leftover<'a>> {
    leftovers.iter().filter(|leftover| leftover.fate == fate).copied().collect()
}

/// Whether it is an index without its log.
fn is_orphan(name: &str, files: &[Entry]) -> bool {
    let Some((digits, extension)) = name.split_once('.') else { return false };
    digits.len() == 20 && EXTENSIONS[1..].contains(&extension) && {
        let log = format!("{digits}.log");
        files.binary_search_by(|file| file.name.cmp(&log)).is_err()
    }
}

/// The files of the segments whose place is taken.
fn replaced<'a>(home: &Home, swaps: &[Leftover<'_>], files: &'a [Entry]) -> Result<Vec<&'a str>, LogError> {
    let mut replaced = Vec::new();
    for swap in swaps.iter().filter(|swap| swap.name.ends_with(".log.swap")) {
        let offsets = swap.base_offset..next_offset(home, swap)?;
        replaced.extend(files.iter().map(|file| &*file.name).filter(|name| {
            let (digits, extension) = name.split_once('.').unwrap_or_default();
            EXTENSIONS.contains(&extension) && digits.parse().is_ok_and(|base| offsets.contains(&base))
        }));
    }
    // An index goes before its log, or it would be taken for one of the new segment.
    replaced.sort_by_key(|name| name.ends_with(".log"));
    Ok(replaced)
}

/// The offset behind the last batch of a segment that was written and synced before it got its name.
fn next_offset(home: &Home, swap: &Leftover<'_>) -> Result<i64, LogError> {
    let path = home.dir.join(swap.name);
    let file = home.log_dir.disk.open(&path, Open::Read).doing("open", &path)?;
    let end = file.size().doing("stat", &path)?;
    let mut walk = Walk::new(&*file, 0, end, Wait::Yes);
    // It takes the place of one segment at least.
    let mut next_offset = swap.base_offset + 1;
    loop {
        match walk.next().doing("read", &path)? {
            Step::Batch(found) => next_offset = found.header.next_offset(),
            Step::End => return Ok(next_offset),
            Step::Broken { position, what } => return Err(LogError::Corrupt { path, position, what }),
        }
    }
}

fn remove(home: &Home, name: &str) -> Result<(), LogError> {
    let path = home.dir.join(Path::new(name));
    missing(home.log_dir.disk.remove_file(&path)).doing("remove", &path).map(drop)
}
