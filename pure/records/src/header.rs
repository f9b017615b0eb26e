//! The 61 bytes in front of every record batch (magic 2, KIP-98), and the bits of its attributes.
//!
//! ```text
//!  0 base offset i64      17 crc u32, of all that follows    35 max timestamp i64    53 base sequence i32
//!  8 batch length i32     21 attributes i16                  43 producer id i64      57 record count i32
//! 12 leader epoch i32     23 last offset delta i32           51 producer epoch i16   61 records, compressed as a whole
//! 16 magic i8             27 base timestamp i64
//! ```
//!
//! The first sixteen bytes lie outside the CRC on purpose: a leader assigns offset and epoch without touching the rest.
//! A header that was parsed is well-formed and nothing more: until the CRC was compared its numbers are a stranger's,
//! and no arithmetic here overflows on them.

use crate::codec::Codec;

/// Bytes of a batch before its first record.
pub const HEADER_BYTES: usize = 61;
/// Bytes that `batch_length` does not count: the base offset and itself.
pub(crate) const LENGTH_ENDS_AT: usize = 12;
/// Where the bytes that the CRC covers begin.
pub(crate) const CRC_COVERS_FROM: usize = 21;
/// The only format of batches since Kafka 4.0 (KIP-724).
pub(crate) const MAGIC: i8 = 2;
/// The time of a record whose producer gave none.
pub const NO_TIMESTAMP: i64 = -1;
/// The producer id of a batch that is not idempotent.
pub(crate) const NO_PRODUCER_ID: i64 = -1;
pub(crate) const NO_PRODUCER_EPOCH: i16 = -1;
pub(crate) const NO_SEQUENCE: i32 = -1;

/// The fields of a batch's head, as they stand in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    /// Bytes after this field: 49 or more.
    pub batch_length: i32,
    pub leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: Attributes,
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas are added to; where `has_delete_horizon`, also that horizon.
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

/// Why bytes are not the head of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    #[error("{0} bytes are fewer than a batch header has")]
    Short(usize),
    #[error("batch length {0} is smaller than a batch header")]
    Length(i32),
    #[error("magic {0} is not 2")]
    Magic(i8),
}

impl BatchHeader {
    /// Reads the first 61 bytes. Looks at length and magic only: the rest of the batch need not be there.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, Corrupt> {
        let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(Corrupt::Short(bytes.len()));
        };
        let batch_length = i32::from_be_bytes(at(head, 8));
        let magic = i8::from_be_bytes(at(head, 16));
        // The magic first: the message formats 0 and 1 are shorter, and a caller wants to know that it met one.
        if magic != MAGIC {
            return Err(Corrupt::Magic(magic));
        }
        if batch_length < (HEADER_BYTES - LENGTH_ENDS_AT) as i32 {
            return Err(Corrupt::Length(batch_length));
        }
        Ok(BatchHeader {
            base_offset: i64::from_be_bytes(at(head, 0)),
            batch_length,
            leader_epoch: i32::from_be_bytes(at(head, 12)),
            magic,
            crc: u32::from_be_bytes(at(head, 17)),
            attributes: Attributes(i16::from_be_bytes(at(head, 21))),
            last_offset_delta: i32::from_be_bytes(at(head, 23)),
            base_timestamp: i64::from_be_bytes(at(head, 27)),
            max_timestamp: i64::from_be_bytes(at(head, 35)),
            producer_id: i64::from_be_bytes(at(head, 43)),
            producer_epoch: i16::from_be_bytes(at(head, 51)),
            base_sequence: i32::from_be_bytes(at(head, 53)),
            record_count: i32::from_be_bytes(at(head, 57)),
        })
    }

    pub fn write(&self, head: &mut [u8; HEADER_BYTES]) {
        head[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        head[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        head[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        head[16] = self.magic as u8;
        head[17..21].copy_from_slice(&self.crc.to_be_bytes());
        head[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        head[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        head[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        head[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        head[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        head[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        head[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        head[57..61].copy_from_slice(&self.record_count.to_be_bytes());
    }

    /// Bytes of the whole batch, head included.
    pub fn size_bytes(&self) -> usize {
        LENGTH_ENDS_AT + usize::try_from(self.batch_length).unwrap_or(0)
    }

    /// Offset of the last record, also of one that compaction took away.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset of the first record of the batch that follows.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Sequence of the last record; -1 where there are no sequences.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        next_sequence(self.base_sequence, self.last_offset_delta)
    }

    /// When what only waits to be forgotten, tombstones and transaction markers, may go (KIP-534): milliseconds since 1970.
    pub fn delete_horizon(&self) -> Option<i64> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    pub fn is_idempotent(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }
}

/// The sequence `records` after `sequence`: 0 follows 2^31-1.
pub fn next_sequence(sequence: i32, records: i32) -> i32 {
    sequence.wrapping_add(records) & i32::MAX
}

fn at<const N: usize>(head: &[u8; HEADER_BYTES], from: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&head[from..from + N]);
    field
}

/// Bits of a batch: 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon (KIP-534).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's times.
    #[default]
    CreateTime,
    /// All records have the time at which the leader appended the batch: its max timestamp.
    LogAppendTime,
}

impl Attributes {
    const CODEC: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// `None`: a codec that does not exist (5, 6, 7).
    pub fn codec(self) -> Option<Codec> {
        Codec::from_id(self.codec_id())
    }

    pub(crate) fn codec_id(self) -> u8 {
        (self.0 & Self::CODEC) as u8
    }

    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    #[must_use]
    pub fn with_codec(self, codec: Codec) -> Attributes {
        Attributes(self.0 & !Self::CODEC | codec.id() as i16)
    }

    #[must_use]
    pub fn with_log_append_time(self) -> Attributes {
        Attributes(self.0 | Self::LOG_APPEND_TIME)
    }

    #[must_use]
    pub fn with_transactional(self) -> Attributes {
        Attributes(self.0 | Self::TRANSACTIONAL)
    }

    #[must_use]
    pub fn with_control(self) -> Attributes {
        Attributes(self.0 | Self::CONTROL)
    }

    #[must_use]
    pub(crate) fn with_delete_horizon(self) -> Attributes {
        Attributes(self.0 | Self::DELETE_HORIZON)
    }

    #[must_use]
    pub(crate) fn without_delete_horizon(self) -> Attributes {
        Attributes(self.0 & !Self::DELETE_HORIZON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_kafka_has_them() {
        // A batch of two records by an idempotent producer, as a broker wrote it.
        let bytes = concat!(
            "0000000000000000",
            "00000045",
            "00000000",
            "02",
            "86e7ca85",
            "0000",
            "00000001",
            "000001a203de1e1f",
            "000001a203de1e1f",
            "0000000000000001",
            "0000",
            "00000000",
            "00000002"
        );
        let bytes: Vec<u8> =
            (0..bytes.len()).step_by(2).map(|i| u8::from_str_radix(&bytes[i..i + 2], 16).unwrap()).collect();
        let header = BatchHeader::parse(&bytes).unwrap();
        let time = 0x1a2_03de_1e1f;
        let expected = BatchHeader {
            base_offset: 0,
            batch_length: 0x45,
            leader_epoch: 0,
            magic: 2,
            crc: 0x86e7_ca85,
            attributes: Attributes(0),
            last_offset_delta: 1,
            base_timestamp: time,
            max_timestamp: time,
            producer_id: 1,
            producer_epoch: 0,
            base_sequence: 0,
            record_count: 2,
        };
        assert_eq!(header, expected);
        assert_eq!(header.size_bytes(), 81);
        let mut written = [0; HEADER_BYTES];
        header.write(&mut written);
        assert_eq!(written[..], bytes[..]);
    }

    #[test]
    fn what_is_no_head_is_refused() {
        let mut head = [0; HEADER_BYTES];
        assert_eq!(BatchHeader::parse(&head[..60]), Err(Corrupt::Short(60)));
        for magic in [0, 1, 3, -1] {
            head[16] = magic as u8;
            assert_eq!(BatchHeader::parse(&head), Err(Corrupt::Magic(magic)));
        }
        head[16] = 2;
        for length in [0, 48, -1, i32::MIN] {
            head[8..12].copy_from_slice(&length.to_be_bytes());
            assert_eq!(BatchHeader::parse(&head), Err(Corrupt::Length(length)));
        }
    }

    #[test]
    fn sequences_wrap_past_the_largest() {
        assert_eq!(next_sequence(5, 3), 8);
        assert_eq!(next_sequence(i32::MAX, 0), i32::MAX);
        assert_eq!(next_sequence(i32::MAX, 1), 0);
        assert_eq!(next_sequence(i32::MAX - 2, 5), 2);
    }
}
