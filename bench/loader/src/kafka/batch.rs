//! Record batches (v2) of an exact size: 16 KiB means 16,384 bytes, so that a fetch of 64 KiB is four of them and no byte more.

use crc_fast::CrcAlgorithm::Crc32Iscsi;

use super::fields::{put_varint, varint_bytes};

/// The sizes of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// The whole batch, its header of 61 bytes included.
    pub bytes: usize,
    pub records: usize,
}

const HEADER_BYTES: usize = 61;
const CRC_FROM: usize = 21;

/// A batch without keys, headers, compression or producer id. The records share its bytes evenly; the last takes the rest.
///
/// # Panics
/// Where no records have these sizes: a shape is written down in the code.
pub fn build(shape: Shape, timestamp_ms: i64) -> Vec<u8> {
    let (body, records) = (shape.bytes - HEADER_BYTES, shape.records);
    let share = body / records;
    let mut batch = header(shape, timestamp_ms);
    for delta in 0..records {
        let bytes = if delta + 1 == records { body - share * (records - 1) } else { share };
        put_record(&mut batch, delta as i64, bytes);
    }
    assert_eq!(batch.len(), shape.bytes);
    let crc = crc_fast::checksum(Crc32Iscsi, &batch[CRC_FROM..]) as u32;
    batch[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn header(shape: Shape, timestamp_ms: i64) -> Vec<u8> {
    let mut batch = Vec::with_capacity(shape.bytes);
    batch.extend(0_i64.to_be_bytes()); // base offset
    batch.extend((shape.bytes as i32 - 12).to_be_bytes());
    batch.extend((-1_i32).to_be_bytes()); // leader epoch
    batch.push(2); // magic
    batch.extend([0; 4]); // CRC, filled in at the end
    batch.extend([0; 2]); // attributes
    batch.extend((shape.records as i32 - 1).to_be_bytes()); // last offset delta
    batch.extend(timestamp_ms.to_be_bytes()); // of the first record
    batch.extend(timestamp_ms.to_be_bytes()); // the largest
    batch.extend([0xff; 8 + 2 + 4]); // no producer id, epoch, sequence
    batch.extend((shape.records as i32).to_be_bytes());
    batch
}

fn put_record(batch: &mut Vec<u8>, offset_delta: i64, bytes: usize) {
    // Attributes, timestamp delta, null key, no headers: a byte each.
    let body = |value: usize| 4 + varint_bytes(offset_delta) + varint_bytes(value as i64) + value;
    let fits = |value: &usize| varint_bytes(body(*value) as i64) + body(*value) == bytes;
    let value = (0..bytes).rev().find(fits).unwrap_or_else(|| panic!("no record has {bytes} bytes"));
    put_varint(batch, body(value) as i64);
    batch.extend([0, 0]);
    put_varint(batch, offset_delta);
    put_varint(batch, -1);
    put_varint(batch, value as i64);
    batch.extend((b'a'..=b'z').cycle().take(value));
    batch.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::fixture;
    use crate::rows::BLOBS;

    const TIMESTAMP_MS: i64 = 1_700_000_000_000;

    #[test]
    fn batches_are_kafkas_to_the_byte() {
        assert_eq!(build(Shape { bytes: 170, records: 1 }, TIMESTAMP_MS), fixture("batch-1"));
        let many = fixture("batch-70");
        // 64 records of 37 bytes and 6 of 38: the even shares of 64 alone are comparable.
        let ours = build(Shape { bytes: HEADER_BYTES + 64 * 37, records: 64 }, TIMESTAMP_MS);
        assert_eq!(ours[HEADER_BYTES..], many[HEADER_BYTES..HEADER_BYTES + 64 * 37]);
    }

    #[test]
    fn every_blob_of_the_rows_has_its_size() {
        for blob in BLOBS {
            assert_eq!(build(blob.shape, TIMESTAMP_MS).len(), blob.shape.bytes, "{}", blob.name);
        }
    }
}
