//! What the tests share: batches to append, and the naive model of a log.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use ottla_records::{BatchBuilder, BatchHeader, BatchOptions, NewRecord, Scratch, records};
use ottla_storage::disk::{Disk, Wait};
use ottla_storage::{
    Checkpointed, FirstBatch, Log, LogDir, LogError, LogOptions, Piece, Place, Reader, Recovered, Want,
};

pub const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 4 << 10,
    segment_ms: i64::MAX,
    index_bytes: 10 << 20,
    index_interval_bytes: 256,
    reserve_bytes: 0,
    preallocate: false,
};

pub const fn nonzero(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).expect("a number above 0")
}

/// A batch as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub header: BatchHeader,
    pub bytes: Vec<u8>,
}

impl Batch {
    /// A batch of records with these timestamps and values of so many bytes.
    pub fn new(base_offset: i64, timestamps: &[i64], value_bytes: usize) -> Batch {
        let mut builder = BatchBuilder::new(BatchOptions { base_offset, leader_epoch: 3, ..BatchOptions::default() });
        let value: Vec<u8> = (0..value_bytes).map(|i| (base_offset as usize * 31 + i * 7) as u8).collect();
        for &timestamp in timestamps {
            builder.push(&NewRecord { timestamp, value: Some(&value), ..NewRecord::default() });
        }
        let bytes = builder.finish();
        Batch { header: BatchHeader::parse(&bytes).unwrap(), bytes }
    }

    pub fn piece(&self) -> Piece<'_> {
        let (head, body) = self.bytes.split_at(16);
        Piece { head, body, header: self.header }
    }

    /// Offsets and timestamps of its records.
    pub fn records(&self) -> Vec<(i64, i64)> {
        let mut scratch = Scratch::new();
        let records = records(&self.bytes, usize::MAX, &mut scratch).unwrap();
        records.map(|record| record.unwrap()).map(|record| (record.offset, record.timestamp)).collect()
    }
}

pub fn log_dir(disk: impl Disk + 'static) -> Arc<LogDir> {
    LogDir::open(Arc::new(disk), Path::new("/data")).unwrap()
}

pub fn open(dir: &Arc<LogDir>, recovery_point: i64) -> (Log, Recovered) {
    open_with(dir, OPTIONS, recovery_point)
}

pub fn open_with(dir: &Arc<LogDir>, options: LogOptions, recovery_point: i64) -> (Log, Recovered) {
    Log::open(dir, "t-0", options, Checkpointed { recovery_point, ..Checkpointed::default() }).unwrap()
}

pub fn append(log: &mut Log, batches: &[Batch]) -> Result<Place, LogError> {
    let pieces: Vec<_> = batches.iter().map(Batch::piece).collect();
    log.append(&pieces).map(|appended| appended.end)
}

/// Batches of one record each, timestamps rising by ten, from `offset` on.
pub fn singles(offset: i64, count: usize, value_bytes: usize) -> Vec<Batch> {
    (offset..).take(count).map(|offset| Batch::new(offset, &[1000 + offset * 10], value_bytes)).collect()
}

/// All bytes from `offset` on, in views of `bytes_max`.
pub fn read(reader: &Reader, offset: i64, limit: Place, bytes_max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut offset = offset;
    let wait = Wait::Yes;
    while offset < limit.offset {
        let view = reader.view(&Want { offset, limit, bytes_max, first: FirstBatch::Whole, wait }).unwrap();
        let mut piece = vec![0; (view.range.end - view.range.start) as usize];
        assert_eq!(view.file.read_at(&mut piece, view.range.start, wait).unwrap(), piece.len());
        let (whole, next) = whole_batches(&piece);
        assert!(next > offset, "a view that does not go on");
        bytes.extend_from_slice(&piece[..whole]);
        offset = next;
    }
    assert_eq!(offset, limit.offset);
    bytes
}

/// Bytes of the whole batches in `bytes`, and the offset behind them.
fn whole_batches(bytes: &[u8]) -> (usize, i64) {
    let (mut at, mut next) = (0, -1);
    while let Ok(header) = BatchHeader::parse(&bytes[at..]) {
        if at + header.size_bytes() > bytes.len() {
            break;
        }
        at += header.size_bytes();
        next = header.next_offset();
    }
    (at, next)
}

pub fn bytes_of(batches: &[Batch]) -> Vec<u8> {
    batches.iter().flat_map(|batch| batch.bytes.iter().copied()).collect()
}

/// Compares every answer of the reader with that of a list of all records.
pub fn check_lookups(reader: &Reader, batches: &[Batch]) {
    assert_eq!(reader.end().offset, batches.last().map_or(0, |batch| batch.header.next_offset()));
    check_lookups_from(reader, batches, i64::MIN);
    let records = batches.iter().flat_map(Batch::records).collect::<Vec<_>>();
    let largest = records.iter().rev().max_by_key(|record| record.1).copied();
    let found = reader.max_timestamp(Wait::Yes).unwrap();
    assert_eq!(found.map(|found| (found.offset, found.timestamp)), largest);
}

/// The same of a log that begins at `start`.
pub fn check_lookups_from(reader: &Reader, batches: &[Batch], start: i64) {
    let limit = reader.end();
    for batch in batches {
        for offset in [batch.header.base_offset, batch.header.last_offset()].into_iter().filter(|&at| at >= start) {
            let want = Want { offset, limit, bytes_max: 1, first: FirstBatch::Whole, wait: Wait::Yes };
            let view = reader.view(&want).unwrap();
            let mut bytes = vec![0; (view.range.end - view.range.start) as usize];
            view.file.read_at(&mut bytes, view.range.start, Wait::Yes).unwrap();
            assert_eq!((view.base_offset, &bytes), (batch.header.base_offset, &batch.bytes), "offset {offset}");
        }
    }
    let mut records: Vec<(i64, i64)> = batches.iter().flat_map(Batch::records).collect();
    records.retain(|(offset, _)| *offset >= start);
    let times = records.iter().flat_map(|record| [record.1 - 1, record.1, record.1 + 1]);
    for time in times {
        let expected = records.iter().find(|record| record.1 >= time).copied();
        let found = reader.find_timestamp(time, limit, Wait::Yes).unwrap();
        assert_eq!(found.map(|found| (found.offset, found.timestamp)), expected, "time {time}");
    }
}
