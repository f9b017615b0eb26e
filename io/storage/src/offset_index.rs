//! `<base offset>.index`: from an offset to a position in the segment's file.
//!
//! An entry (8 bytes: relative offset i32, position i32) names the last offset of a batch and the position at which that
//! batch begins. There is one for the first batch that starts more than `index.interval.bytes` behind the batch of the
//! entry before, and none for the first batch of a segment.

use crate::index::IndexEntry;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    /// Last offset of the batch, less the segment's base offset.
    pub relative: u32,
    pub position: u32,
}

impl IndexEntry for OffsetEntry {
    const BYTES: usize = 8;

    fn read(bytes: &[u8]) -> OffsetEntry {
        let (relative, position) = bytes.split_at(4);
        OffsetEntry { relative: be32(relative), position: be32(position) }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.relative.to_be_bytes());
        bytes.extend_from_slice(&self.position.to_be_bytes());
    }

    fn follows(&self, before: &OffsetEntry) -> bool {
        self.relative > before.relative && self.position > before.position
    }
}

pub(crate) fn be32(bytes: &[u8]) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(bytes);
    u32::from_be_bytes(field)
}
