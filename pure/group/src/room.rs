//! What is left in the batch of a step.
//!
//! A step is one batch, and the log takes no batch that is larger than it allows. Not all that a step writes is bounded by
//! the request: the target of a consumer group is that of all members, and with a group go all its offsets. So such things
//! look for room before they are written. What has none is refused, or left for a later step.

use crate::{BATCH_HEADER_BYTES, Config, Record};

#[derive(Clone, Debug)]
pub(crate) struct Room {
    bytes: usize,
    /// What there was before anything was taken.
    whole_bytes: usize,
}

impl Room {
    /// All of a batch but for what is written whatever else is.
    pub(crate) fn of_batch(config: &Config, taken: &[Record]) -> Room {
        let taken = BATCH_HEADER_BYTES + taken.iter().map(Record::bytes_max).sum::<usize>();
        let bytes = config.batch_bytes_max.saturating_sub(taken);
        Room { bytes, whole_bytes: bytes }
    }

    /// Takes the room of these records, or none of it.
    pub(crate) fn take<'r>(&mut self, records: impl IntoIterator<Item = &'r Record>) -> Result<(), Lack> {
        let bytes = records.into_iter().map(Record::bytes_max).sum::<usize>();
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                Ok(())
            }
            None if bytes > self.whole_bytes => Err(Lack::Ever),
            None => Err(Lack::Now),
        }
    }
}

/// There is no room for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// In this batch.
    Now,
    /// In any batch.
    Ever,
}
