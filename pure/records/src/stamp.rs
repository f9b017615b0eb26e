//! The first bytes of a batch as the leader stores it.
//!
//! A leader gives a client's batch its offset and its leader epoch. The frame it lies in is not changed: the first
//! sixteen bytes are written from here, the rest from the frame, and as both numbers lie outside the CRC that is all.
//! Only where [`crate::check`] put a timestamp right does the whole header change, and is written from here with its new
//! CRC, which was computed then: making a stamp costs nothing under a partition's lock.

use crate::header::{BatchHeader, HEADER_BYTES};

/// Bytes from a batch's begin to its magic.
pub const STAMP_BYTES: usize = 16;

/// The head of a stored batch: 16 bytes, or 61.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    head: [u8; HEADER_BYTES],
    length: u8,
}

impl Stamp {
    /// `header` is what [`crate::check`] returned for `batch`, with base offset and leader epoch filled in.
    pub fn new(batch: &[u8], header: &BatchHeader) -> Stamp {
        let mut head = [0; HEADER_BYTES];
        header.write(&mut head);
        let is_as_sent = head[STAMP_BYTES..] == batch[STAMP_BYTES..HEADER_BYTES];
        Stamp { head, length: if is_as_sent { STAMP_BYTES as u8 } else { HEADER_BYTES as u8 } }
    }

    /// What to write in place of as many bytes of the batch.
    pub fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.length)]
    }

    /// What of the batch to write after it.
    pub fn body<'a>(&self, batch: &'a [u8]) -> &'a [u8] {
        &batch[usize::from(self.length)..]
    }
}
