//! What a leader checks before it stores a client's batch.
//!
//! Consumers take a stored batch at its word: a wrong CRC stops them for good, a wrong offset delta shows them offsets
//! twice, a length that lies makes them stumble on every fetch. Kafka compares some of this (and for packed batches
//! other things than for plain ones); we compare all of it, once, here. What is refused never reaches a log.
//!
//! Of keys and values nothing is read but their lengths. The time is that of one pass for the CRC and a few
//! nanoseconds for each record; nothing is allocated for a record unless it is refused by its own fault.
//!
//! Two things are not refused but put right, as Kafka does: a max timestamp that is not that of the records, and, where
//! the topic wants log-append time, timestamp type and max timestamp. The header returned says how the batch must be
//! stored, CRC included; [`crate::Stamp`] makes the bytes.

use ottla_base::Now;

use crate::codec::{Codec, Scratch};
use crate::crc::{crc_of, crc_of_parts};
use crate::header::{BatchHeader, CRC_COVERS_FROM, Corrupt, HEADER_BYTES, NO_TIMESTAMP, TimestampType};
use crate::walk::{Heads, Malformed, Packed, Plain, Source};

/// What a topic asks of the batches of its producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `max.message.bytes`, of the batch as it was sent.
    pub batch_bytes_max: u32,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`
    pub timestamp_before_ms_max: i64,
    /// `message.timestamp.after.max.ms`
    pub timestamp_after_ms_max: i64,
    /// `cleanup.policy` contains `compact`: a record without a key could never be compacted.
    pub key_required: bool,
}

/// Why a batch is not stored. Each variant names Kafka's error code, and whether Kafka answers with the log's start
/// offset ("in the log") or with -1 ("before the log").
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `INVALID_RECORD` (87), before the log: no bytes, garbage, a part of a batch, or more than one.
    #[error("{bytes} bytes are not exactly one record batch")]
    NotOneBatch { bytes: usize },
    /// `INVALID_RECORD` (87) for the message formats 0 and 1, `CORRUPT_MESSAGE` (2) for others; before the log.
    #[error("record batches of magic {0} are not supported")]
    Magic(i8),
    /// `MESSAGE_TOO_LARGE` (10), before the log.
    #[error("a batch of {bytes} bytes exceeds max.message.bytes, {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: u32 },
    /// `CORRUPT_MESSAGE` (2), before the log: it changed on its way, and a producer sends it again.
    #[error("the CRC is {sent:#010x} and should be {computed:#010x}")]
    Crc { sent: u32, computed: u32 },
    /// `INVALID_RECORD` (87), in the log.
    #[error(transparent)]
    Header(#[from] HeaderFault),
    /// `UNSUPPORTED_COMPRESSION_TYPE` (76), in the log. (Kafka: -1.)
    #[error("there is no codec {id}")]
    Codec { id: u8 },
    /// `INVALID_TIMESTAMP` (32), in the log. (Kafka: only if the topic has log-append time as well.)
    #[error("a producer must not set the timestamp type to LogAppendTime")]
    LogAppendTime,
    /// `INVALID_RECORD` (87), in the log: not `CORRUPT_MESSAGE`, as sending it again would not help. (Kafka: -1 where
    /// unpacking fails.)
    #[error("record {index}: {fault}")]
    Malformed { index: i32, fault: Malformed },
    /// `INVALID_TIMESTAMP` (32) if any of the faults is a timestamp, else `INVALID_RECORD` (87); in the log, and each
    /// fault is a record error of the answer.
    #[error("{total} records were rejected")]
    Records { faults: Vec<RecordFault>, total: i32 },
}

/// What is wrong between the fields of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    #[error("the base offset of a producer's batch must be 0, not {0}")]
    BaseOffset(i64),
    #[error("a batch of {record_count} records cannot have the last offset delta {last_offset_delta}")]
    Count { record_count: i32, last_offset_delta: i32 },
    #[error("clients are not allowed to write control records")]
    Control,
    /// Only a cleaner sets it (KIP-534). Kafka stores it.
    #[error("clients are not allowed to set a delete horizon")]
    DeleteHorizon,
    /// Kafka accepts an epoch of -1.
    #[error("producer {producer_id} needs an epoch and a sequence, not {producer_epoch} and {base_sequence}")]
    Producer { producer_id: i64, producer_epoch: i16, base_sequence: i32 },
    /// Kafka stores it.
    #[error("a transactional batch needs a producer id")]
    TransactionWithoutProducer,
}

/// A record that its topic does not take. `index` counts the records of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordFault {
    pub index: i32,
    pub cause: RecordCause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordCause {
    MissingKey,
    /// Out of the topic's range around the leader's time.
    Timestamp(i64),
}

/// Faults beyond these are counted, but not listed.
pub const RECORD_FAULTS_MAX: usize = 100;

/// Checks the bytes a client sent for one partition. The header returned is the one to store: offset and leader epoch
/// are still to be filled in, all else is final.
pub fn check(batch: &[u8], rules: &Rules, now: Now, scratch: &mut Scratch) -> Result<BatchHeader, Refusal> {
    let sent = one_whole_batch(batch)?;
    if batch.len() > rules.batch_bytes_max as usize {
        return Err(Refusal::TooLarge { bytes: batch.len(), bytes_max: rules.batch_bytes_max });
    }
    let computed = crc_of(batch);
    if sent.crc != computed {
        return Err(Refusal::Crc { sent: sent.crc, computed });
    }
    check_header(&sent)?;
    let codec = sent.attributes.codec().ok_or(Refusal::Codec { id: sent.attributes.codec_id() })?;
    if sent.attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Err(Refusal::LogAppendTime);
    }
    let max_timestamp = check_records(&batch[HEADER_BYTES..], codec, &Judge { sent: &sent, rules, now }, scratch)?;
    let mut header = sent;
    match rules.timestamp_type {
        TimestampType::CreateTime => header.max_timestamp = max_timestamp,
        TimestampType::LogAppendTime => {
            header.attributes = header.attributes.with_log_append_time();
            header.max_timestamp = now.wall_ms;
        }
    }
    if header != sent {
        let mut head = [0; HEADER_BYTES];
        header.write(&mut head);
        header.crc = crc_of_parts(&head[CRC_COVERS_FROM..], &batch[HEADER_BYTES..]);
    }
    Ok(header)
}

fn one_whole_batch(batch: &[u8]) -> Result<BatchHeader, Refusal> {
    let not_one = Refusal::NotOneBatch { bytes: batch.len() };
    match BatchHeader::parse(batch) {
        Ok(header) if header.size_bytes() == batch.len() => Ok(header),
        Err(Corrupt::Magic(magic)) => Err(Refusal::Magic(magic)),
        Ok(_) | Err(Corrupt::Short(_) | Corrupt::Length(_)) => Err(not_one),
    }
}

fn check_header(sent: &BatchHeader) -> Result<(), HeaderFault> {
    let BatchHeader { record_count, last_offset_delta, producer_id, producer_epoch, base_sequence, .. } = *sent;
    if sent.base_offset != 0 {
        return Err(HeaderFault::BaseOffset(sent.base_offset));
    }
    if record_count < 1 || last_offset_delta != record_count - 1 {
        return Err(HeaderFault::Count { record_count, last_offset_delta });
    }
    if sent.attributes.is_control() {
        return Err(HeaderFault::Control);
    }
    if sent.attributes.has_delete_horizon() {
        return Err(HeaderFault::DeleteHorizon);
    }
    if sent.is_idempotent() && (producer_epoch < 0 || base_sequence < 0) {
        return Err(HeaderFault::Producer { producer_id, producer_epoch, base_sequence });
    }
    if sent.attributes.is_transactional() && !sent.is_idempotent() {
        return Err(HeaderFault::TransactionWithoutProducer);
    }
    Ok(())
}

/// The largest timestamp of the records.
fn check_records(body: &[u8], codec: Codec, judge: &Judge<'_>, scratch: &mut Scratch) -> Result<i64, Refusal> {
    if codec == Codec::None {
        return judge.records(Plain::new(body));
    }
    let judged = match scratch.unpack(codec, body) {
        Ok(unpack) => judge.records(Packed::new(unpack)),
        Err(damage) => Err(Refusal::Malformed { index: 0, fault: damage.into() }),
    };
    scratch.trim();
    judged
}

struct Judge<'a> {
    sent: &'a BatchHeader,
    rules: &'a Rules,
    now: Now,
}

impl Judge<'_> {
    fn records<S: Source>(&self, source: S) -> Result<i64, Refusal> {
        let mut heads = Heads::new(source, self.sent.record_count);
        let mut rejected = Rejected::default();
        let mut max_timestamp = NO_TIMESTAMP;
        let allowed = self.allowed_timestamps();
        let mut index = 0;
        while let Some(head) = heads.next().map_err(|fault| Refusal::Malformed { index, fault })? {
            if head.offset_delta != index {
                return Err(Refusal::Malformed { index, fault: Malformed::OffsetDelta });
            }
            // A sum that overflows is out of every range.
            let timestamp = self.sent.base_timestamp.saturating_add(head.timestamp_delta);
            if self.rules.key_required && !head.has_key {
                rejected.add(index, RecordCause::MissingKey);
            } else if timestamp != NO_TIMESTAMP && !allowed.contains(&timestamp) {
                rejected.add(index, RecordCause::Timestamp(timestamp));
            }
            max_timestamp = max_timestamp.max(timestamp);
            index += 1;
        }
        rejected.refuse_if_any()?;
        Ok(max_timestamp)
    }

    fn allowed_timestamps(&self) -> std::ops::RangeInclusive<i64> {
        match self.rules.timestamp_type {
            TimestampType::LogAppendTime => i64::MIN..=i64::MAX,
            TimestampType::CreateTime => {
                let oldest = self.now.wall_ms.saturating_sub(self.rules.timestamp_before_ms_max);
                let newest = self.now.wall_ms.saturating_add(self.rules.timestamp_after_ms_max);
                // The extremes are where sums that overflow end up; the oldest is never as far back.
                oldest..=newest.min(i64::MAX - 1)
            }
        }
    }
}

#[derive(Default)]
struct Rejected {
    faults: Vec<RecordFault>,
    total: i32,
}

impl Rejected {
    #[cold]
    fn add(&mut self, index: i32, cause: RecordCause) {
        self.total += 1;
        if self.faults.len() < RECORD_FAULTS_MAX {
            self.faults.push(RecordFault { index, cause });
        }
    }

    fn refuse_if_any(self) -> Result<(), Refusal> {
        match self.total {
            0 => Ok(()),
            total => Err(Refusal::Records { faults: self.faults, total }),
        }
    }
}
