//! The two indexes of a segment together: which batches get entries, and where the entries are.

use ottla_records::{BatchHeader, NO_TIMESTAMP};

use crate::index::Entries;
use crate::offset_index::OffsetEntry;
use crate::time_index::TimeEntry;

#[derive(Debug)]
pub(crate) struct Index {
    pub kept: Kept,
    pub offsets: Entries<OffsetEntry>,
    pub times: Entries<TimeEntry>,
    /// `None`: not looked up yet.
    pub largest: Option<Largest>,
}

/// Where the entries of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In memory, all of them.
    InMemory,
    /// In the files. If there are any: until an entry is used, it is a rumour.
    InFiles,
}

/// The largest timestamp of a segment and the last offset of the first batch that has it; -1 and -1 if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Largest {
    pub timestamp: i64,
    pub offset: i64,
}

impl Largest {
    pub const NONE: Largest = Largest { timestamp: NO_TIMESTAMP, offset: -1 };
}

/// The rule by which batches get index entries, and its state between two batches of one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Indexing {
    pub base_offset: i64,
    pub interval_bytes: u64,
    /// Bytes from the batch of the last entry on.
    pub since_entry: u64,
    pub largest: Largest,
    /// Timestamp of the last time entry.
    pub indexed_timestamp: i64,
}

impl Indexing {
    pub fn new(base_offset: i64, interval_bytes: u64) -> Indexing {
        let largest = Largest::NONE;
        Indexing { base_offset, interval_bytes, since_entry: 0, largest, indexed_timestamp: NO_TIMESTAMP }
    }

    /// The entries that a batch at `position` brings.
    pub fn add(&mut self, header: &BatchHeader, position: u64) -> Option<(OffsetEntry, Option<TimeEntry>)> {
        if header.max_timestamp > self.largest.timestamp {
            self.largest = Largest { timestamp: header.max_timestamp, offset: header.last_offset() };
        }
        let due = self.since_entry > self.interval_bytes;
        if due {
            self.since_entry = 0;
        }
        self.since_entry += header.size_bytes() as u64;
        due.then(|| {
            let relative = self.relative(header.last_offset());
            let position = u32::try_from(position).expect("a segment is shorter than 2 GiB");
            (OffsetEntry { relative, position }, self.time_entry())
        })
    }

    /// The entry for the largest timestamp so far, unless it has one.
    pub fn time_entry(&mut self) -> Option<TimeEntry> {
        let Largest { timestamp, offset } = self.largest;
        (timestamp > self.indexed_timestamp).then(|| {
            self.indexed_timestamp = timestamp;
            TimeEntry { timestamp, relative: self.relative(offset) }
        })
    }

    fn relative(&self, offset: i64) -> u32 {
        u32::try_from(offset - self.base_offset).expect("a segment holds fewer than 2^31 offsets")
    }
}

impl Index {
    pub fn in_memory() -> Index {
        let (offsets, times) = (Entries::default(), Entries::default());
        Index { kept: Kept::InMemory, offsets, times, largest: Some(Largest::NONE) }
    }

    pub fn in_files() -> Index {
        Index { kept: Kept::InFiles, largest: None, ..Index::in_memory() }
    }

    pub fn add(&mut self, (offset, time): (OffsetEntry, Option<TimeEntry>)) {
        self.offsets.push(offset);
        if let Some(time) = time {
            self.times.push(time);
        }
    }
}
