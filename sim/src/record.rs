//! The records that are sent: each says which one it is, in every byte.

use std::fmt;

use ottla_records::{BatchBuilder, BatchHeader, BatchOptions, NewRecord, Scratch, crc_of, records};

/// A filler's bytes are at most so many, but for one of `LARGE_ONE_IN`.
const FILLER_BYTES_MAX: u64 = 200;
const LARGE_ONE_IN: u64 = 40;
const LARGE_BYTES_MAX: u64 = 9000;
/// So many keys there are.
const KEYS: u32 = 4;
/// What packed records may take when they are unpacked.
const UNPACKED_BYTES_MAX: usize = 1 << 20;

/// The `number`th record of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub producer: u32,
    pub number: u32,
}

impl Record {
    /// What a later record of the same key takes the place of, where the log is compacted.
    pub fn key(self) -> u32 {
        self.number % KEYS
    }

    fn value(self) -> Vec<u8> {
        let seed = u64::from(self.producer) << 32 | u64::from(self.number);
        let draw = scatter(seed);
        let largest = if draw.is_multiple_of(LARGE_ONE_IN) { LARGE_BYTES_MAX } else { FILLER_BYTES_MAX };
        let mut value = self.to_string().into_bytes();
        value.push(b' ');
        // Half of it can be packed.
        value.extend(
            (0..scatter(draw) % largest).map(|i| (scatter(seed ^ i << 48) >> (8 * (i % 2))) as u8 | (i % 2) as u8),
        );
        value
    }

    /// The record whose value this is, from its first byte to its last.
    fn of_value(value: &[u8]) -> Option<Record> {
        let name = std::str::from_utf8(value.split(|byte| *byte == b' ').next()?).ok()?;
        let (producer, number) = name.strip_prefix('p')?.split_once('#')?;
        let record = Record { producer: producer.parse().ok()?, number: number.parse().ok()? };
        (record.value() == value).then_some(record)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}#{}", self.producer, self.number)
    }
}

/// A batch to be sent.
pub fn pack(of: impl Iterator<Item = Record>, timestamp: i64, options: BatchOptions) -> Vec<u8> {
    let mut builder = BatchBuilder::new(options);
    for record in of {
        let (key, value) = (record.key().to_be_bytes(), record.value());
        builder.push(&NewRecord { timestamp, key: Some(&key), value: Some(&value), ..NewRecord::default() });
    }
    builder.finish()
}

/// A record as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub offset: i64,
    /// Milliseconds since 1970: the producer's, or the broker's where the topic says so.
    pub timestamp: i64,
    pub record: Record,
}

/// What a fetch has given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    pub records: Vec<Stored>,
    /// Behind the last batch, which may be without records where the log is compacted; `None` if there was no batch.
    pub next_offset: Option<i64>,
}

/// The records in what a fetch has given. A batch that is cut short at the end is left out, as Kafka's clients do.
///
/// # Errors
/// Says what is wrong with a batch that is whole.
pub fn unpack(mut bytes: &[u8], scratch: &mut Scratch) -> Result<Unpacked, String> {
    let mut unpacked = Unpacked::default();
    while let Ok(header) = BatchHeader::parse(bytes) {
        let Some((batch, rest)) = bytes.split_at_checked(header.size_bytes()) else { break };
        bytes = rest;
        let at = header.base_offset;
        if header.crc != crc_of(batch) {
            return Err(format!("the batch at {at} has not the CRC that its header says"));
        }
        let in_batch = records(batch, UNPACKED_BYTES_MAX, scratch).map_err(|e| format!("the batch at {at}: {e}"))?;
        for record in in_batch {
            let record = record.map_err(|e| format!("the batch at {at}: {e}"))?;
            let found =
                record.value.and_then(Record::of_value).filter(|found| record.key == Some(&found.key().to_be_bytes()));
            let (offset, timestamp) = (record.offset, record.timestamp);
            let record = found.ok_or_else(|| format!("nobody wrote the record at {offset}"))?;
            unpacked.records.push(Stored { offset, timestamp, record });
        }
        unpacked.next_offset = Some(header.next_offset());
    }
    Ok(unpacked)
}

/// Scatters the bits of a number: the last steps of SplitMix64.
fn scatter(n: u64) -> u64 {
    let z = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use ottla_records::{Attributes, Codec};

    use super::*;

    fn numbered(numbers: std::ops::Range<u32>) -> impl Iterator<Item = Record> {
        numbers.map(|number| Record { producer: 3, number })
    }

    fn packed(numbers: std::ops::Range<u32>) -> Vec<u8> {
        let options = BatchOptions { base_offset: i64::from(numbers.start), ..BatchOptions::default() };
        pack(numbered(numbers), 1000, options)
    }

    fn check(bytes: &[u8]) -> Result<Vec<Stored>, String> {
        unpack(bytes, &mut Scratch::default()).map(|unpacked| unpacked.records)
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let whole = [packed(0..3), packed(3..50)].concat();
        let stored = |record: Record| Stored { offset: record.number.into(), timestamp: 1000, record };
        let expected: Vec<_> = numbered(0..50).map(stored).collect();
        assert_eq!(check(&whole).unwrap(), expected);
        assert_eq!(check(&whole[..whole.len() - 1]).unwrap(), expected[..3]);
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let options =
                BatchOptions { attributes: Attributes::default().with_codec(codec), ..BatchOptions::default() };
            assert_eq!(check(&pack(numbered(0..50), 1000, options)).unwrap(), expected, "{codec:?}");
        }
    }

    #[test]
    fn a_byte_that_is_not_as_it_was_is_seen() {
        let whole = packed(0..3);
        for at in 17..whole.len() {
            let mut torn = whole.clone();
            torn[at] ^= 1;
            assert!(check(&torn).is_err(), "byte {at}");
        }
        let mut stranger = BatchBuilder::new(BatchOptions::default());
        stranger.push(&NewRecord { value: Some(b"p3#0 "), ..NewRecord::default() });
        assert!(check(&stranger.finish()).is_err());
    }
}
