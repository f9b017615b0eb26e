//! From batch to batch through a stretch of a segment's file.
//!
//! A walk looks at headers and skips what lies between them. Small batches come many to a read; where batches are large
//! it reads little more than their heads. It never holds more than [`READ_BYTES_MAX`], whatever a header claims.

use std::io;

use crc_fast::{CrcAlgorithm, Digest};
use ottla_records::{BatchHeader, HEADER_BYTES};

use crate::disk::{DiskFile, Wait, read_full_at};

/// Where the bytes of a batch begin that its CRC covers.
const CRC_COVERS_FROM: u64 = 21;
/// The first read, and each read after a leap: whoever reads on wants one header, and finds it at once.
const READ_BYTES_MIN: usize = 512;
/// What reads grow to while the walk goes on without leaps.
const READ_BYTES_MAX: usize = 256 << 10;

pub(crate) struct Walk<'a> {
    file: &'a dyn DiskFile,
    wait: Wait,
    position: u64,
    end: u64,
    /// What was read last: `filled` bytes from `window_at` on. In `large`, if the read was above [`READ_BYTES_MIN`].
    small: [u8; READ_BYTES_MIN],
    large: Vec<u8>,
    window_at: u64,
    filled: usize,
    /// Size of the next read.
    read_bytes: usize,
    /// Bytes read so far.
    pub bytes_read: u64,
}

/// What stands at the walk's position.
#[derive(Debug)]
pub(crate) enum Step {
    Batch(Found),
    /// The end of the stretch, exactly.
    End,
    /// Something that is no whole batch.
    Broken {
        position: u64,
        what: &'static str,
    },
}

/// A batch and where it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub position: u64,
    pub header: BatchHeader,
}

impl Found {
    pub fn end(&self) -> u64 {
        self.position + self.header.size_bytes() as u64
    }
}

impl<'a> Walk<'a> {
    /// From a batch's beginning to `end`.
    pub fn new(file: &'a dyn DiskFile, position: u64, end: u64, wait: Wait) -> Walk<'a> {
        Walk {
            file,
            wait,
            position,
            end,
            small: [0; READ_BYTES_MIN],
            large: Vec::new(),
            window_at: position,
            filled: 0,
            read_bytes: READ_BYTES_MIN,
            bytes_read: 0,
        }
    }

    pub fn next(&mut self) -> io::Result<Step> {
        let position = self.position;
        if position == self.end {
            return Ok(Step::End);
        }
        let head = self.bytes(position, HEADER_BYTES)?;
        let header = match BatchHeader::parse(head) {
            Ok(header) => header,
            Err(_) => return Ok(Step::Broken { position, what: "no batch begins here" }),
        };
        let found = Found { position, header };
        if header.last_offset_delta < 0 || header.base_offset < 0 {
            return Ok(Step::Broken { position, what: "a batch with impossible offsets" });
        }
        if found.end() > self.end {
            return Ok(Step::Broken { position, what: "the batch is not whole" });
        }
        self.position = found.end();
        Ok(Step::Batch(found))
    }

    /// Whether the bytes of a batch, the last that `next` gave, have the CRC that its header tells.
    pub fn is_intact(&mut self, found: &Found) -> io::Result<bool> {
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        let mut position = found.position + CRC_COVERS_FROM;
        while position < found.end() {
            let rest = usize::try_from(found.end() - position).unwrap_or(usize::MAX);
            let bytes = self.bytes(position, 1)?;
            if bytes.is_empty() {
                return Ok(false);
            }
            let some = &bytes[..bytes.len().min(rest)];
            digest.update(some);
            position += some.len() as u64;
        }
        Ok(digest.finalize() as u32 == found.header.crc)
    }

    /// The whole batch that `next` gave, if it is small: as those of markers are.
    pub fn small(&mut self, found: &Found) -> io::Result<Option<&[u8]>> {
        let size = found.header.size_bytes();
        if size > READ_BYTES_MIN {
            return Ok(None);
        }
        let bytes = self.bytes(found.position, size)?;
        Ok(bytes.get(..size))
    }

    /// The bytes from `position` on that one read gives: `least` or more of them, unless the stretch ends before.
    fn bytes(&mut self, position: u64, least: usize) -> io::Result<&[u8]> {
        let window_end = self.window_at + self.filled as u64;
        let least_end = self.end.min(position + least as u64);
        if position < self.window_at || least_end > window_end {
            let goes_on = (self.window_at..=window_end).contains(&position);
            self.read_bytes = match self.filled {
                0 => READ_BYTES_MIN,
                _ if goes_on => (self.read_bytes * 2).min(READ_BYTES_MAX),
                _ => READ_BYTES_MIN,
            };
            let left = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
            let wanted = self.read_bytes.min(left);
            if self.read_bytes > READ_BYTES_MIN && self.large.len() < wanted {
                self.large.resize(wanted, 0);
            }
            self.window_at = position;
            self.filled = 0;
            let window = if self.read_bytes > READ_BYTES_MIN { &mut self.large[..] } else { &mut self.small[..] };
            self.filled = read_full_at(self.file, &mut window[..wanted], position, self.wait)?;
            self.bytes_read += self.filled as u64;
        }
        let from = usize::try_from(position - self.window_at).unwrap_or(usize::MAX);
        let window = if self.read_bytes > READ_BYTES_MIN { &self.large[..] } else { &self.small[..] };
        Ok(window[..self.filled].get(from..).unwrap_or_default())
    }
}
