//! The segments of a log, as far as retention and compaction ask.

use std::sync::Arc;

use crate::LogError;
use crate::disk::Wait;
use crate::reader::{Reader, next};
use crate::segment::Segment;
use crate::walk::Walk;

/// A segment, and where its times can be asked for.
#[derive(Clone, Debug)]
pub struct SegmentInfo {
    pub base_offset: i64,
    /// Where the next one begins, or the log ends.
    pub next_offset: i64,
    pub bytes: u64,
    segment: Arc<Segment>,
}

impl SegmentInfo {
    /// The largest timestamp of its batches; if none has one, when its file was last written, as in Kafka. Reads an index the
    /// first time.
    pub fn largest_timestamp(&self) -> Result<i64, LogError> {
        let largest = self.segment.largest(Wait::Yes)?.timestamp;
        if largest < 0 { self.segment.modified_ms() } else { Ok(largest) }
    }

    /// The largest timestamp of its first batch, which Kafka counts the segment's age from. `None` if it has none.
    pub fn first_timestamp(&self) -> Result<Option<i64>, LogError> {
        let file = self.segment.file()?;
        let mut walk = Walk::new(&*file, 0, self.bytes, Wait::Yes);
        let first = next(&self.segment, &mut walk)?;
        Ok(first.map(|first| first.header.max_timestamp).filter(|&timestamp| timestamp >= 0))
    }
}

impl Reader {
    /// The segments as they are now, the oldest first; the last is active. Cheap, once their sizes are known.
    pub fn segments(&self) -> Result<Vec<SegmentInfo>, LogError> {
        self.again(|| {
            let end = self.end();
            let mut segments = self.0.list();
            // Those begun meanwhile would end before they begin.
            segments.retain(|segment| segment.base_offset <= end.segment);
            let next_offsets = segments.iter().skip(1).map(|next| next.base_offset).chain([end.offset]);
            let info = |(segment, next_offset): (&Arc<Segment>, i64)| {
                let (base_offset, bytes) = (segment.base_offset, segment.size()?);
                Ok(SegmentInfo { base_offset, next_offset, bytes, segment: segment.clone() })
            };
            segments.iter().zip(next_offsets).map(info).collect()
        })
    }
}
