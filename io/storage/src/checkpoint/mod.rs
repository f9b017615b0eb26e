//! The small files beside the logs: how far they have come, whose they are, who produced.
//!
//! Each is one of Kafka's, with a module for its bytes. They are replaced as a whole (`<name>.tmp`, sync, rename, sync of
//! the directory). What they say can be found out again from the logs, at the price of reading them; so a file that is
//! missing or spoilt reads as `None`, and only trouble with the disk is an error. Those that hold an id that nobody can find
//! again ([`meta`]) are the exception.

pub mod clean;
pub mod epochs;
pub mod meta;
pub mod offsets;
pub mod producers;
pub mod quorum;
pub mod snapshot;
pub mod topic_id;

use std::path::Path;

use crate::LogError;
use crate::disk::{Disk, Open, missing, read_file, replace_file, write_all_at};
use crate::error::Doing;

fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, LogError> {
    missing(read_file(disk, path)).doing("read", path)
}

/// Replaces a file of a replica without waiting for the disk, as opening ten thousand replicas must not sync twenty thousand
/// files. After a loss of power the file may have its old content, or be missing or spoilt.
fn write_lazily(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let draft = path.with_added_extension("tmp");
    let file = disk.open(&draft, Open::Create).doing("create", &draft)?;
    file.set_size(0).and_then(|()| write_all_at(&*file, bytes, 0)).doing("write", &draft)?;
    disk.rename(&draft, path).doing("rename", &draft)
}

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    replace_file(disk, path, bytes).doing("write", path)
}

/// The lines of Kafka's checkpoint files: version 0, a count, and so many lines, each given to `line`.
fn parse_lines<T>(bytes: &[u8], line: impl FnMut(&str) -> Option<T>) -> Option<Vec<T>> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    if lines.next()? != "0" {
        return None;
    }
    let count: usize = lines.next()?.parse().ok()?;
    let parsed: Vec<T> = lines.map(line).collect::<Option<_>>()?;
    (parsed.len() == count).then_some(parsed)
}

fn format_lines(lines: impl ExactSizeIterator<Item = String>) -> String {
    let mut text = format!("0\n{}\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}
