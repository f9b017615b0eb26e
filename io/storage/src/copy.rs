//! A log that becomes a copy of another, in another directory.
//!
//! The bytes of batches go over as they are, offsets and all; segments and indexes are the copy's own. It goes piece by piece,
//! so that whoever has a log copied can stop, wait or give up in between, and the other is appended to and trimmed meanwhile.
//! (Not compacted: what was copied before that and after it would not be of one log.) What is damaged is not copied. A batch's
//! checksum does not cover its offset and its length: those are good if batches follow one another.

use ottla_records::{BatchHeader, HEADER_BYTES, crc_of};

use crate::disk::{Wait, read_full_at};
use crate::error::{Doing, LogError};
use crate::{FirstBatch, Log, Piece, Place, Reader, View, Want};

/// Bytes that are copied at once, where no batch is larger.
const COPY_BYTES: u64 = 1 << 20;

/// What was copied at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// 0 if there is nothing more.
    pub bytes: u64,
    /// It is of the last segment: what is left is what that one has behind it.
    pub is_last: bool,
}

impl Log {
    /// Appends what `from` has behind the end of this log, or behind its own start if that is later, and before `limit`: some of
    /// it, in memory that is used again.
    pub fn copy(&mut self, from: &Reader, limit: Place, buffer: &mut Vec<u8>) -> Result<Stretch, LogError> {
        let end = self.end().offset;
        let offset = end.max(from.start());
        if offset >= limit.offset {
            return Ok(Stretch { bytes: 0, is_last: true });
        }
        let want = Want { offset, limit, bytes_max: COPY_BYTES, first: FirstBatch::Whole, wait: Wait::Yes };
        let View { file, range, has_more_behind, .. } = match from.view(&want) {
            // It has begun later since it was asked where it begins.
            Err(LogError::OutOfRange { .. }) if from.start() > offset => return self.copy(from, limit, buffer),
            found => found?,
        };
        let bytes = usize::try_from(range.end - range.start).unwrap_or(0);
        buffer.resize(bytes, 0);
        let path = from.directory();
        let read = read_full_at(&*file, buffer, range.start, Wait::Yes).doing("read", &path)?;
        let mut pieces = Vec::new();
        let mut next = end;
        let mut rest = &buffer[..read];
        while rest.len() >= HEADER_BYTES {
            let damaged =
                |what| LogError::Corrupt { path: path.clone(), position: range.end - rest.len() as u64, what };
            let header = BatchHeader::parse(rest).map_err(|_| damaged("it is no batch"))?;
            let Some((batch, after)) = rest.split_at_checked(header.size_bytes()) else { break };
            if crc_of(batch) != header.crc {
                return Err(damaged("its checksum is wrong"));
            }
            let follows = header.base_offset >= next && header.last_offset_delta >= 0;
            if !follows || header.base_offset > limit.offset - 1 - i64::from(header.last_offset_delta) {
                return Err(damaged("its offset is not between that of the batch before and the end"));
            }
            let (head, body) = batch.split_at(HEADER_BYTES);
            pieces.push(Piece { head, body, header });
            next = header.next_offset();
            rest = after;
        }
        if pieces.is_empty() && !range.is_empty() {
            return Err(LogError::Corrupt { path, position: range.start, what: "the batch is not whole" });
        }
        self.append(&pieces)?;
        let bytes = pieces.iter().map(|piece| piece.header.size_bytes() as u64).sum();
        Ok(Stretch { bytes, is_last: !has_more_behind })
    }
}
