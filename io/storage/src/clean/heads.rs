//! A look at the heads of the dirty part before it is compacted.
//!
//! Whether a batch of a transaction stays is told by a marker behind it, perhaps behind all that is to be compacted. In what
//! was compacted before, nothing of an aborted transaction is left. So it is enough to look from the first dirty offset on, to
//! the end of what is to be compacted, and beyond, until every transaction that began in it is decided. Where one is not, the
//! caller's last stable offset was too high (the log may have come from elsewhere), and compaction ends before it.

use ottla_records::{Aborted, Scratch, control_type};

use super::{CleanError, Closed, Job, Pace, unreadable};
use crate::disk::Wait;
use crate::error::Doing;
use crate::reader::control_batch;
use crate::walk::{Step, Walk};

/// Bytes between two calls of the pace.
const PIECE_BYTES: u64 = 256 << 10;

pub(super) struct Heads {
    pub aborted: Aborted,
    /// Records of the dirty part.
    pub dirty_records: u64,
}

pub(super) fn read(
    job: &Job<'_>,
    segments: &[Closed],
    scratch: &mut Scratch,
    pace: &mut Pace<'_>,
) -> Result<Heads, CleanError> {
    let mut heads = Heads { aborted: Aborted::default(), dirty_records: 0 };
    let bound = segments.last().map_or(job.first_dirty, |closed| closed.next_offset);
    let limit = job.log.end();
    let all = job.log.0.list();
    let dirty = all.partition_point(|segment| segment.base_offset <= job.first_dirty).saturating_sub(1);
    for segment in all[dirty..].iter().filter(|segment| segment.base_offset <= limit.segment) {
        let end = if segment.base_offset == limit.segment { limit.position } else { segment.size()? };
        let Some(start) = segment.find(job.first_dirty, end, Wait::Yes)? else { continue };
        let file = segment.file()?;
        let mut walk = Walk::new(&*file, start.position, end, Wait::Yes);
        let mut spent = 0;
        loop {
            let found = match walk.next().doing("read", segment)? {
                Step::Batch(found) => found,
                Step::End => break,
                Step::Broken { position, what } => return Err(segment.corrupt(position, what).into()),
            };
            let offset = found.header.base_offset;
            let is_behind = offset >= bound && heads.aborted.first_open().is_none_or(|open| open >= bound);
            if is_behind || offset >= job.last_stable {
                return Ok(heads);
            }
            if offset < bound {
                heads.dirty_records += u64::try_from(found.header.record_count).unwrap_or(0);
            }
            let marker = if found.header.attributes.is_control() {
                let bytes = control_batch(segment, &mut walk, &found)?;
                control_type(bytes, scratch).map_err(|error| unreadable(segment, found.position, error))?
            } else {
                None
            };
            heads.aborted.note(&found.header, marker);
            if walk.bytes_read - spent >= PIECE_BYTES {
                pace.spend(walk.bytes_read - spent)?;
                spent = walk.bytes_read;
            }
        }
        pace.spend(walk.bytes_read - spent)?;
    }
    Ok(heads)
}
