//! `<base offset>.timeindex`: from a time to an offset.
//!
//! An entry (12 bytes: timestamp i64, relative offset i32) says: the largest timestamp up to here is this one, first
//! reached by the batch with this last offset. One is added beside an entry of the offset index if the largest timestamp
//! has risen, and a last one when the segment is closed, so that the file's end tells the segment's largest timestamp.

use crate::index::IndexEntry;
use crate::offset_index::be32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub timestamp: i64,
    /// Last offset of the batch, less the segment's base offset.
    pub relative: u32,
}

impl IndexEntry for TimeEntry {
    const BYTES: usize = 12;

    fn read(bytes: &[u8]) -> TimeEntry {
        let (timestamp, relative) = bytes.split_at(8);
        let mut field = [0; 8];
        field.copy_from_slice(timestamp);
        TimeEntry { timestamp: i64::from_be_bytes(field), relative: be32(relative) }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.timestamp.to_be_bytes());
        bytes.extend_from_slice(&self.relative.to_be_bytes());
    }

    fn follows(&self, before: &TimeEntry) -> bool {
        self.timestamp > before.timestamp && self.relative > before.relative
    }
}
