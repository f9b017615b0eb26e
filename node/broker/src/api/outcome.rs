//! From trouble to Kafka's error codes: the only place that maps what `pure/` refuses and `io/` fails at.

use ottla_partition::EpochMismatch;
use ottla_records::{RecordCause, RecordFault, Refusal};
use ottla_storage::LogError;
use ottla_wire::{ErrorCode, TopicKey};

use crate::control::host::NoReply;
use crate::coordinate::host;
use crate::produced::{Details, Refused};

pub fn unknown_topic(key: TopicKey<'_>) -> ErrorCode {
    match key {
        TopicKey::Id(_) => ErrorCode::UnknownTopicId,
        TopicKey::Name(_) => ErrorCode::UnknownTopicOrPartition,
    }
}

/// A disk that fails, or is full, is told to clients alike: they try again, or elsewhere.
pub const STORAGE: ErrorCode = ErrorCode::KafkaStorageError;

pub fn of_storage(_: &LogError) -> ErrorCode {
    STORAGE
}

/// Why the controller has not answered.
pub fn of_controller(no_reply: NoReply) -> ErrorCode {
    match no_reply {
        NoReply::Unavailable => STORAGE,
        NoReply::Late => ErrorCode::RequestTimedOut,
    }
}

/// Why a coordinator has not answered. Clients ask again, some other broker perhaps.
pub fn of_coordinator(no_reply: host::NoReply) -> ErrorCode {
    match no_reply {
        host::NoReply::Loading => ErrorCode::CoordinatorLoadInProgress,
        host::NoReply::GivenUp => ErrorCode::NotCoordinator,
    }
}

pub fn of_epoch(mismatch: EpochMismatch) -> ErrorCode {
    match mismatch {
        EpochMismatch::Fenced => ErrorCode::FencedLeaderEpoch,
        EpochMismatch::Unknown => ErrorCode::UnknownLeaderEpoch,
    }
}

/// Why the leader does not append a batch.
pub fn of_leader(refusal: ottla_partition::Refusal, log_start_offset: i64) -> Refused {
    let error = match refusal {
        ottla_partition::Refusal::NotEnoughReplicas => ErrorCode::NotEnoughReplicas,
        ottla_partition::Refusal::OutOfOrderSequence => ErrorCode::OutOfOrderSequenceNumber,
        ottla_partition::Refusal::InvalidProducerEpoch => ErrorCode::InvalidProducerEpoch,
        ottla_partition::Refusal::InvalidTxnState => ErrorCode::InvalidTxnState,
    };
    Refused { log_start_offset: Some(log_start_offset), ..Refused::of(error) }
}

/// Why a batch is not even shown to the leader. Kafka gives the log's start offset for some of these and -1 for others,
/// depending on the class that finds the fault.
pub fn of_batch(refusal: Refusal, log_start_offset: i64) -> Refused {
    let message = Details { message: Some(refusal.to_string()), records: Vec::new() };
    let before_the_log = |error| Refused { details: Some(Box::new(message.clone())), ..Refused::of(error) };
    let in_the_log = |error| Refused { log_start_offset: Some(log_start_offset), ..before_the_log(error) };
    match refusal {
        Refusal::NotOneBatch { .. } | Refusal::Magic(0 | 1) => before_the_log(ErrorCode::InvalidRecord),
        Refusal::Magic(_) | Refusal::Crc { .. } => before_the_log(ErrorCode::CorruptMessage),
        Refusal::TooLarge { .. } => before_the_log(ErrorCode::MessageTooLarge),
        Refusal::Codec { .. } => in_the_log(ErrorCode::UnsupportedCompressionType),
        Refusal::LogAppendTime => in_the_log(ErrorCode::InvalidTimestamp),
        Refusal::Header(_) | Refusal::Malformed { .. } => in_the_log(ErrorCode::InvalidRecord),
        Refusal::Records { ref faults, .. } => {
            let of_time = faults.iter().any(|fault| matches!(fault.cause, RecordCause::Timestamp(_)));
            let error = if of_time { ErrorCode::InvalidTimestamp } else { ErrorCode::InvalidRecord };
            let records = faults.iter().map(|RecordFault { index, cause }| (*index, cause_text(*cause))).collect();
            let details = Details { message: Some(refusal.to_string()), records };
            Refused { error, log_start_offset: Some(log_start_offset), details: Some(Box::new(details)) }
        }
    }
}

fn cause_text(cause: RecordCause) -> String {
    match cause {
        RecordCause::MissingKey => "the topic is compacted, and the record has no key".to_owned(),
        RecordCause::Timestamp(timestamp) => format!("the timestamp {timestamp} is out of the topic's range"),
    }
}
