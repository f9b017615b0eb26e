//! A log of keys and values, and what compaction may leave of it: the model of the tests of compaction.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use ottla_records::{
    Attributes, BatchBuilder, BatchHeader, BatchOptions, Codec, LastBatch, NewRecord, Scratch, records,
};
use ottla_storage::disk::Wait;
use ottla_storage::{
    CleanError, Cleaned, Cleaner, CleanerOptions, Cleaning, FirstBatch, Job, Log, LogOptions, Reader, Removed, Want,
};

use crate::support::*;

pub const SMALL: LogOptions = LogOptions { segment_bytes: 1 << 10, index_interval_bytes: 100, ..OPTIONS };

pub const DELETE_RETENTION_MS: i64 = 100;

/// Keys that fit the map at once.
pub fn cleaner(keys: usize) -> Cleaner {
    let (map_bytes, buffer_bytes) = (24 * (keys + 1), 300);
    Cleaner::new(CleanerOptions { map_bytes, load_factor: 1.0, buffer_bytes, unpacked_bytes_max: 1 << 20 })
}

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// A batch to be appended.
#[derive(Clone, Debug)]
pub struct Rows {
    pub codec: Codec,
    /// Of an idempotent producer.
    pub producer: Option<i64>,
    /// Keys; and lengths of values, `None` is a tombstone.
    pub rows: Vec<(Option<u8>, Option<usize>)>,
}

/// All that was appended to a log, and what is known of it.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub rows: Vec<Row>,
    pub headers: Vec<BatchHeader>,
    /// Offset of the next record.
    end: i64,
    /// When a row may first have been seen by a pass that keeps it, by offset.
    first_pass_ms: BTreeMap<i64, i64>,
    /// Producers of which a batch was lost: the one before it may have been compacted, as it was not the last. (The snapshots of
    /// producers tell of them.)
    lost: BTreeSet<i64>,
}

impl History {
    /// Makes a batch that follows, and notes it.
    pub fn batch(&mut self, rows: &Rows) -> Batch {
        let base_offset = self.end;
        let of_producer = |header: &&BatchHeader| Some(header.producer_id) == rows.producer;
        let last_sequence = self.headers.iter().rev().find(of_producer).map_or(-1, BatchHeader::last_sequence);
        let mut builder = BatchBuilder::new(BatchOptions {
            base_offset,
            leader_epoch: 3,
            attributes: Attributes::default().with_codec(rows.codec),
            producer_id: rows.producer.unwrap_or(-1),
            producer_epoch: if rows.producer.is_some() { 0 } else { -1 },
            base_sequence: if rows.producer.is_some() { last_sequence + 1 } else { -1 },
        });
        for (offset, &(key, value)) in (base_offset..).zip(&rows.rows) {
            let key = key.map(|key| vec![b'k', key]);
            let value = value.map(|bytes| (0..bytes).map(|i| (offset as usize * 31 + i) as u8).collect::<Vec<_>>());
            let timestamp = 1000 + offset * 7 % 50 + offset;
            let headers = [ottla_records::Header { key: b"h", value: key.as_deref() }];
            let (key_ref, value_ref) = (key.as_deref(), value.as_deref());
            builder.push(&NewRecord { timestamp, key: key_ref, value: value_ref, headers: &headers });
            self.rows.push(Row { offset, timestamp, key, value });
        }
        let bytes = builder.finish();
        let header = BatchHeader::parse(&bytes).unwrap();
        self.headers.push(header);
        self.end = header.next_offset();
        Batch { header, bytes }
    }

    /// What a crash has left of it.
    pub fn truncate(&mut self, end: i64) {
        self.end = end;
        self.rows.retain(|row| row.offset < end);
        let lost = self.headers.extract_if(.., |header| header.next_offset() > end);
        self.lost.extend(lost.map(|header| header.producer_id));
        self.first_pass_ms.retain(|offset, _| *offset < end);
    }

    pub fn last_batches(&self) -> Vec<LastBatch> {
        let last = |header: &BatchHeader| LastBatch {
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            last_offset: Some(header.last_offset()),
        };
        let of_producers = self.headers.iter().filter(|header| header.producer_id >= 0);
        of_producers
            .map(|header| (header.producer_id, last(header)))
            .collect::<BTreeMap<_, _>>()
            .into_values()
            .collect()
    }

    /// The newest row of each key, and those without a key apart.
    fn newest(&self, end: i64) -> BTreeMap<&[u8], &Row> {
        let keyed = self.rows.iter().filter(|row| row.offset < end).filter_map(|row| Some((row.key.as_deref()?, row)));
        keyed.collect()
    }

    /// A pass begins.
    pub fn pass(&mut self, now_ms: i64) {
        for row in &self.rows {
            self.first_pass_ms.entry(row.offset).or_insert(now_ms);
        }
    }

    /// What may be in a log that is clean up to `clean_to`, and must be.
    pub fn check(&self, reader: &Reader, clean_to: i64, now_ms: i64) {
        let start = reader.start();
        let (rows, headers) = read_rows(reader);
        let known: BTreeMap<i64, &Row> = self.rows.iter().map(|row| (row.offset, row)).collect();
        for row in &rows {
            assert_eq!(Some(&row), known.get(&row.offset), "not what was appended");
        }
        let held: BTreeMap<i64, &Row> = rows.iter().map(|row| (row.offset, row)).collect();
        for row in self.newest(i64::MAX).values().filter(|row| row.offset >= start && row.value.is_some()) {
            assert!(held.contains_key(&row.offset), "the newest value of {:?}, at {}, is gone", row.key, row.offset);
        }
        for row in self.newest(i64::MAX).values().filter(|row| row.offset >= start && row.value.is_none()) {
            let first_pass = self.first_pass_ms.get(&row.offset);
            let may_be_gone = first_pass.is_some_and(|first| first + DELETE_RETENTION_MS <= now_ms);
            assert!(may_be_gone || held.contains_key(&row.offset), "the tombstone at {} went too soon", row.offset);
        }
        let newest_clean = self.newest(clean_to);
        for row in rows.iter().filter(|row| row.offset < clean_to && row.offset >= start) {
            let newest = row.key.as_deref().map(|key| newest_clean[key].offset);
            assert_eq!(newest, Some(row.offset), "{row:?} is not the newest of its key below {clean_to}");
        }
        let is_kept = |last: &LastBatch| last.last_offset >= Some(start) && !self.lost.contains(&last.producer_id);
        for last in self.last_batches().into_iter().filter(is_kept) {
            let found = headers.iter().find(|header| Some(header.last_offset()) == last.last_offset);
            assert_eq!(found.map(|header| header.producer_id), Some(last.producer_id), "the last batch of a producer");
        }
        for header in &headers {
            let same = |other: &&BatchHeader| {
                (other.base_offset, other.last_offset(), other.base_sequence, other.leader_epoch)
                    == (header.base_offset, header.last_offset(), header.base_sequence, header.leader_epoch)
            };
            assert!(self.headers.iter().any(|other| same(&other)), "another extent: {header:?}");
        }
        self.check_offsets(reader, &headers);
    }

    /// Every offset leads to the batch that holds it, or to the next.
    fn check_offsets(&self, reader: &Reader, headers: &[BatchHeader]) {
        for offset in reader.start()..reader.end().offset {
            let expected = headers.iter().find(|header| header.last_offset() >= offset).unwrap();
            assert_eq!(base_at(reader, offset), expected.base_offset, "offset {offset}");
        }
        let rows = read_rows(reader).0.into_iter().filter(|row| row.offset >= reader.start()).collect::<Vec<_>>();
        for time in rows.iter().step_by(3).map(|row| row.timestamp) {
            let expected = rows.iter().find(|row| row.timestamp >= time).map(|row| row.offset);
            let found = reader.find_timestamp(time, reader.end(), Wait::Yes).unwrap();
            assert_eq!(found.map(|found| found.offset), expected, "time {time}");
        }
    }
}

pub fn base_at(reader: &Reader, offset: i64) -> i64 {
    let want = Want { offset, limit: reader.end(), bytes_max: 1, first: FirstBatch::Whole, wait: Wait::Yes };
    reader.view(&want).unwrap().base_offset
}

/// All records and heads of a log.
pub fn read_rows(reader: &Reader) -> (Vec<Row>, Vec<BatchHeader>) {
    let bytes = read(reader, reader.start(), reader.end(), 777);
    let (mut rows, mut headers, mut rest) = (Vec::new(), Vec::new(), &bytes[..]);
    let mut scratch = Scratch::new();
    while !rest.is_empty() {
        let header = BatchHeader::parse(rest).unwrap();
        let (batch, behind) = rest.split_at(header.size_bytes());
        assert_eq!(ottla_records::crc_of(batch), header.crc);
        for record in records(batch, usize::MAX, &mut scratch).unwrap() {
            let record = record.unwrap();
            let own = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
            let (key, value) = (own(record.key), own(record.value));
            rows.push(Row { offset: record.offset, timestamp: record.timestamp, key, value });
        }
        headers.push(header);
        rest = behind;
    }
    (rows, headers)
}

/// A compaction of all that can be.
pub fn job<'a>(log: &Log, first_dirty: i64, now_wall_ms: i64, last_batches: &'a [LastBatch]) -> Job<'a> {
    job_of(log.reader(), first_dirty, now_wall_ms, last_batches)
}

pub fn job_of(log: Reader, first_dirty: i64, now_wall_ms: i64, last_batches: &[LastBatch]) -> Job<'_> {
    let end = log.end();
    Job {
        log,
        first_dirty,
        bound: end.segment,
        last_stable: end.offset,
        now_wall_ms,
        delete_retention_ms: DELETE_RETENTION_MS,
        segment_bytes: SMALL.segment_bytes,
        index_bytes: 10 << 20,
        last_batches,
    }
}

pub fn clean(cleaner: &mut Cleaner, job: &Job<'_>) -> (Removed, Result<Cleaned, CleanError>) {
    let Cleaning { removed, outcome } = cleaner.clean(job, &mut |_| ControlFlow::Continue(()));
    (removed, outcome)
}
