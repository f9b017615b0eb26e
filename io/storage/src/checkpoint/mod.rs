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
pub mod topic_id;

use std::path::Path;

use crate::LogError;
use crate::disk::{Disk, missing, read_file, replace_file};
use crate::error::Doing;

fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, LogError> {
    missing(read_file(disk, path)).doing("read", path)
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
