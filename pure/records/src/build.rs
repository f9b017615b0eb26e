//! Making batches: for the logs the broker itself writes (metadata, coordinators), for clients and for tests.

use crate::codec::Codec;
use crate::crc::crc_of;
use crate::header::{
    Attributes, BatchHeader, HEADER_BYTES, LENGTH_ENDS_AT, MAGIC, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
    NO_TIMESTAMP,
};

/// What a batch has beside its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    pub base_offset: i64,
    /// -1 where a leader will set it.
    pub leader_epoch: i32,
    /// Codec, transactional and control bits.
    pub attributes: Attributes,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
}

impl Default for BatchOptions {
    fn default() -> BatchOptions {
        BatchOptions {
            base_offset: 0,
            leader_epoch: -1,
            attributes: Attributes::default(),
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
        }
    }
}

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// Milliseconds since 1970, or -1.
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [Header<'a>],
}

impl Default for NewRecord<'_> {
    fn default() -> Self {
        NewRecord { timestamp: NO_TIMESTAMP, key: None, value: None, headers: &[] }
    }
}

/// A header of a record. The key is UTF-8 by agreement, which nobody checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// What a batch that is being built has room for at first.
const ROOM_BYTES: usize = 1 << 10;

/// Collects records into a batch. Offsets are consecutive from the base offset.
#[derive(Debug)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// A place for the header, and the records.
    bytes: Vec<u8>,
    record_count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    pub fn new(options: BatchOptions) -> BatchBuilder {
        let mut bytes = Vec::with_capacity(ROOM_BYTES);
        bytes.resize(HEADER_BYTES, 0);
        BatchBuilder { options, bytes, record_count: 0, base_timestamp: NO_TIMESTAMP, max_timestamp: NO_TIMESTAMP }
    }

    pub fn push(&mut self, record: &NewRecord<'_>) {
        if self.record_count == 0 {
            self.base_timestamp = record.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        let timestamp_delta = record.timestamp.wrapping_sub(self.base_timestamp);
        put_varint(&mut self.bytes, record_bytes(record, timestamp_delta, self.record_count) as i64);
        self.bytes.push(0); // attributes
        put_varint(&mut self.bytes, timestamp_delta);
        put_varint(&mut self.bytes, i64::from(self.record_count));
        put_nullable(&mut self.bytes, record.key);
        put_nullable(&mut self.bytes, record.value);
        put_varint(&mut self.bytes, record.headers.len() as i64);
        for header in record.headers {
            put_nullable(&mut self.bytes, Some(header.key));
            put_nullable(&mut self.bytes, header.value);
        }
        self.record_count += 1;
    }

    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Bytes of the batch so far, before packing.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The batch. One without records cannot be: to ask for it is a bug, as is one above 2 GiB.
    pub fn finish(self) -> Vec<u8> {
        assert!(self.record_count > 0, "a batch has one record at least");
        let codec = self.options.attributes.codec().expect("attributes of a batch to be built name a codec");
        let mut batch = self.bytes;
        if codec != Codec::None {
            let mut packed = vec![0; HEADER_BYTES];
            codec.pack(&batch[HEADER_BYTES..], &mut packed);
            batch = packed;
        }
        let mut header = BatchHeader {
            base_offset: self.options.base_offset,
            batch_length: 0,
            leader_epoch: self.options.leader_epoch,
            magic: MAGIC,
            crc: 0,
            attributes: self.options.attributes,
            last_offset_delta: self.record_count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: self.options.producer_id,
            producer_epoch: self.options.producer_epoch,
            base_sequence: self.options.base_sequence,
            record_count: self.record_count,
        };
        seal(&mut header, &mut batch);
        batch
    }
}

/// Puts the head in front of its records, with their length and the CRC.
pub(crate) fn seal(header: &mut BatchHeader, batch: &mut [u8]) {
    header.batch_length = i32::try_from(batch.len() - LENGTH_ENDS_AT).expect("a batch does not grow beyond 2 GiB");
    put_header(batch, header);
    header.crc = crc_of(batch);
    put_header(batch, header);
}

pub(crate) fn put_header(batch: &mut [u8], header: &BatchHeader) {
    header.write(batch.first_chunk_mut().expect("the place of the header is there from the start"));
}

/// Bytes of a record after its length.
fn record_bytes(record: &NewRecord<'_>, timestamp_delta: i64, offset_delta: i32) -> usize {
    let headers: usize =
        record.headers.iter().map(|header| nullable_bytes(Some(header.key)) + nullable_bytes(header.value)).sum();
    1 + varint_bytes(timestamp_delta)
        + varint_bytes(i64::from(offset_delta))
        + nullable_bytes(record.key)
        + nullable_bytes(record.value)
        + varint_bytes(record.headers.len() as i64)
        + headers
}

fn nullable_bytes(field: Option<&[u8]>) -> usize {
    field.map_or(varint_bytes(-1), |field| varint_bytes(field.len() as i64) + field.len())
}

fn put_nullable(bytes: &mut Vec<u8>, field: Option<&[u8]>) {
    put_varint(bytes, field.map_or(-1, |field| field.len() as i64));
    bytes.extend_from_slice(field.unwrap_or_default());
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

pub(crate) fn varint_bytes(value: i64) -> usize {
    (64 - (zigzag(value) | 1).leading_zeros() as usize).div_ceil(7)
}

pub(crate) fn put_varint(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}
