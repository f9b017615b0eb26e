//! Reading the batches of a segment whole, in a buffer that is used again.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use ottla_records::{BatchHeader, HEADER_BYTES, crc_of};

use super::{CleanError, Closed, Pace};
use crate::LogError;
use crate::disk::{DiskFile, Wait, read_full_at};
use crate::error::Doing;
use crate::segment::Segment;
use crate::walk::Found;

#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// What is read at once. Only a batch that is larger makes the buffer larger, until the next read.
    read_bytes: usize,
}

impl Buffer {
    pub fn new(bytes: usize) -> Buffer {
        Buffer { bytes: Vec::new(), read_bytes: bytes.max(HEADER_BYTES) }
    }
}

/// A batch that is what it was when it was written.
pub(super) struct Batch<'a> {
    pub header: BatchHeader,
    pub bytes: &'a [u8],
    pub position: u64,
}

/// The batches of a segment, from a position on.
pub(super) struct Source<'a> {
    segment: &'a Arc<Segment>,
    file: Arc<dyn DiskFile>,
    position: u64,
    end: u64,
    /// Those that the next batch may have.
    offsets: Range<i64>,
    buffer: &'a mut Buffer,
    /// Position of the buffer's first byte, and how many there are.
    at: u64,
    filled: usize,
}

impl<'a> Source<'a> {
    pub fn new(closed: &'a Closed, position: u64, buffer: &'a mut Buffer) -> Result<Source<'a>, LogError> {
        let segment = &closed.segment;
        let (file, end) = (segment.file()?, segment.size()?);
        let offsets = segment.base_offset..closed.next_offset;
        Ok(Source { segment, file, position, end, offsets, buffer, at: position, filled: 0 })
    }

    pub fn next(&mut self, pace: &mut Pace<'_>) -> Result<Option<Batch<'_>>, CleanError> {
        let (segment, position) = (self.segment, self.position);
        if position == self.end {
            return Ok(None);
        }
        let Ok(header) = BatchHeader::parse(self.bytes_at(position, HEADER_BYTES, pace)?) else {
            return Err(segment.corrupt(position, "no batch begins here").into());
        };
        let size = header.size_bytes();
        let follows = header.last_offset_delta >= 0
            && header.base_offset >= self.offsets.start
            && header.next_offset() <= self.offsets.end;
        if size as u64 > self.end - position || !follows || !segment.may_hold(&Found { position, header }) {
            return Err(segment.corrupt(position, "the batch is not whole, or of elsewhere").into());
        }
        self.position += size as u64;
        self.offsets.start = header.next_offset();
        let bytes = self.bytes_at(position, size, pace)?;
        if crc_of(bytes) != header.crc {
            return Err(segment.corrupt(position, "the batch has another CRC").into());
        }
        Ok(Some(Batch { header, bytes, position }))
    }

    /// So many bytes from here on, or fewer at the end.
    fn bytes_at(&mut self, position: u64, bytes: usize, pace: &mut Pace<'_>) -> Result<&[u8], CleanError> {
        let left = usize::try_from(self.end - position).unwrap_or(usize::MAX);
        let bytes = bytes.min(left);
        let from = usize::try_from(position - self.at).unwrap_or(usize::MAX);
        if from.saturating_add(bytes) > self.filled {
            let wanted = self.buffer.read_bytes.max(bytes).min(left);
            let buffer = &mut self.buffer.bytes;
            if buffer.capacity() > self.buffer.read_bytes.max(wanted) {
                // Some large batch was here.
                drop(mem::take(buffer));
            }
            buffer.resize(wanted, 0);
            self.filled = read_full_at(&*self.file, buffer, position, Wait::Yes).doing("read", self.segment)?;
            self.at = position;
            if self.filled < wanted {
                return Err(self.segment.corrupt(position, "the file has become shorter").into());
            }
            pace.spend(wanted as u64)?;
        }
        let from = usize::try_from(position - self.at).unwrap_or(usize::MAX);
        Ok(&self.buffer.bytes[from..from + bytes])
    }
}
