//! Record batches (v2) of an exact size: 16 KiB means 16,384 bytes, so that a fetch of 64 KiB is four of them and no byte more.
//! And the same packed, as clients do it: of records whose bytes go into half the room.

use std::io::Write;

use crc_fast::CrcAlgorithm::Crc32Iscsi;

use super::fields::{put_varint, varint_bytes};

/// The sizes of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// The whole batch, its header of 61 bytes included.
    pub bytes: usize,
    pub records: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Lz4,
    Zstd,
}

impl Codec {
    /// In a batch's attributes.
    fn id(self) -> u8 {
        match self {
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }

    fn pack(self, bytes: &[u8]) -> Vec<u8> {
        let packed = match self {
            Codec::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(bytes).map(|()| encoder.finish().ok())
            }
            Codec::Zstd => zstd::encode_all(bytes, 0).map(Some),
        };
        packed.ok().flatten().expect("a vector takes all bytes")
    }
}

const HEADER_BYTES: usize = 61;
const ATTRIBUTES_AT: usize = 21;
const LENGTH_AT: usize = 8;
const CRC_FROM: usize = 21;

/// A batch without keys, headers, compression or producer id. The records share its bytes evenly; the last takes the rest.
///
/// # Panics
/// Where no records have these sizes: a shape is written down in the code.
pub fn build(shape: Shape, timestamp_ms: i64) -> Vec<u8> {
    sealed(unsealed(shape, timestamp_ms, |at| b'a' + (at % 26) as u8))
}

/// Records of this shape, packed. The batch is the smaller for it.
pub fn build_packed(shape: Shape, timestamp_ms: i64, codec: Codec) -> Vec<u8> {
    // Half of it is as good as random.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mixed = move |at| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if at / 32 % 2 == 0 { b'=' } else { (state >> 56) as u8 }
    };
    let mut batch = unsealed(shape, timestamp_ms, mixed);
    let packed = codec.pack(&batch[HEADER_BYTES..]);
    batch.truncate(HEADER_BYTES);
    batch.extend(packed);
    batch[ATTRIBUTES_AT + 1] = codec.id();
    sealed(batch)
}

/// A batch without its length and CRC. `value` gives the bytes of a record's value.
fn unsealed(shape: Shape, timestamp_ms: i64, mut value: impl FnMut(usize) -> u8) -> Vec<u8> {
    let (body, records) = (shape.bytes - HEADER_BYTES, shape.records);
    let share = body / records;
    let mut batch = header(shape, timestamp_ms);
    for delta in 0..records {
        let bytes = if delta + 1 == records { body - share * (records - 1) } else { share };
        put_record(&mut batch, delta as i64, bytes, &mut value);
    }
    assert_eq!(batch.len(), shape.bytes);
    batch
}

fn sealed(mut batch: Vec<u8>) -> Vec<u8> {
    let length = batch.len() as i32 - LENGTH_AT as i32 - 4;
    batch[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    let crc = crc_fast::checksum(Crc32Iscsi, &batch[CRC_FROM..]) as u32;
    batch[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn header(shape: Shape, timestamp_ms: i64) -> Vec<u8> {
    let mut batch = Vec::with_capacity(shape.bytes);
    batch.extend(0_i64.to_be_bytes()); // base offset
    batch.extend([0; 4]); // length, filled in at the end
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

fn put_record(batch: &mut Vec<u8>, offset_delta: i64, bytes: usize, value_at: &mut impl FnMut(usize) -> u8) {
    // Attributes, timestamp delta, null key, no headers: a byte each.
    let body = |value: usize| 4 + varint_bytes(offset_delta) + varint_bytes(value as i64) + value;
    let fits = |value: &usize| varint_bytes(body(*value) as i64) + body(*value) == bytes;
    let value = (0..bytes).rev().find(fits).unwrap_or_else(|| panic!("no record has {bytes} bytes"));
    put_varint(batch, body(value) as i64);
    batch.extend([0, 0]);
    put_varint(batch, offset_delta);
    put_varint(batch, -1);
    put_varint(batch, value as i64);
    batch.extend((0..value).map(value_at));
    batch.push(0);
}

#[cfg(test)]
mod tests {
    use std::io::Read;

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

    #[test]
    fn what_is_packed_takes_about_half_the_room() {
        let shape = Shape { bytes: 16 << 10, records: 16 };
        for codec in [Codec::Lz4, Codec::Zstd] {
            let batch = build_packed(shape, TIMESTAMP_MS, codec);
            let unpacked = match codec {
                Codec::Lz4 => {
                    let mut all = Vec::new();
                    lz4_flex::frame::FrameDecoder::new(&batch[HEADER_BYTES..]).read_to_end(&mut all).unwrap();
                    all
                }
                Codec::Zstd => zstd::decode_all(&batch[HEADER_BYTES..]).unwrap(),
            };
            assert_eq!(unpacked.len(), shape.bytes - HEADER_BYTES);
            assert!((40..90).contains(&(batch.len() * 100 / shape.bytes)), "{codec:?}: {} bytes", batch.len());
        }
    }
}
