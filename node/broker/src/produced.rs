//! What becomes of the records that a client sent for one partition.

use std::sync::Arc;

use ottla_partition::{Acks, Duplicate, Marks};
use ottla_records::{BatchHeader, TimestampType};
use ottla_wire::ErrorCode;
use ottla_wire::produce::{PartitionResponse, RecordError, ResponseWriter};

use crate::partition::Partition;

/// The outcome of a batch, as the answer will tell it.
#[derive(Debug)]
pub struct Outcome {
    result: Result<Stored, Refused>,
    /// -1 where the log was not asked.
    log_start_offset: i64,
    /// A partition whose marks must pass an offset before the client may be told.
    pub awaits: Option<Awaits>,
}

/// See [`Outcome::awaits`].
#[derive(Clone, Debug)]
pub struct Awaits {
    pub partition: Arc<Partition>,
    pub offset: i64,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    base_offset: i64,
    next_offset: i64,
    log_append_time_ms: i64,
}

/// Why records were not stored.
#[derive(Debug)]
pub struct Refused {
    pub error: ErrorCode,
    /// The log was asked, and begins here.
    pub log_start_offset: Option<i64>,
    /// Boxed because it is rare.
    pub details: Option<Box<Details>>,
}

/// What people are told (KIP-467).
#[derive(Clone, Debug, Default)]
pub struct Details {
    pub message: Option<String>,
    /// Indexes of records in the batch, and what is wrong with them.
    pub records: Vec<(i32, String)>,
}

impl Refused {
    pub fn of(error: ErrorCode) -> Refused {
        Refused { error, log_start_offset: None, details: None }
    }
}

impl Outcome {
    pub fn refused(refused: Refused) -> Outcome {
        Outcome { log_start_offset: refused.log_start_offset.unwrap_or(-1), result: Err(refused), awaits: None }
    }

    /// Of a batch that the end of the turn will decide.
    pub fn pending() -> Outcome {
        Outcome::refused(Refused::of(ErrorCode::UnknownServerError))
    }

    pub fn stored(header: &BatchHeader, log_start_offset: i64) -> Outcome {
        let log_append_time_ms = match header.attributes.timestamp_type() {
            TimestampType::CreateTime => -1,
            TimestampType::LogAppendTime => header.max_timestamp,
        };
        let stored = Stored { base_offset: header.base_offset, next_offset: header.next_offset(), log_append_time_ms };
        Outcome { result: Ok(stored), log_start_offset, awaits: None }
    }

    pub fn duplicate(duplicate: &Duplicate, log_start_offset: i64) -> Outcome {
        let Duplicate { base_offset, last_offset, timestamp } = *duplicate;
        let stored = Stored { base_offset, next_offset: last_offset + 1, log_append_time_ms: timestamp };
        Outcome { result: Ok(stored), log_start_offset, awaits: None }
    }

    /// Takes note of it if `marks` are not yet where `acks` wants them.
    pub fn wait_for(&mut self, partition: &Arc<Partition>, marks: &Marks, acks: Acks) {
        if let Ok(Stored { next_offset, .. }) = self.result
            && marks.acked(acks) < next_offset
        {
            self.awaits = Some(Awaits { partition: partition.clone(), offset: next_offset });
        }
    }

    pub fn error(&self) -> ErrorCode {
        self.result.as_ref().map_or_else(|refused| refused.error, |_| ErrorCode::None)
    }

    /// Where the batch went, if it was stored.
    pub fn base_offset(&self) -> Option<i64> {
        self.result.as_ref().ok().map(|stored| stored.base_offset)
    }

    /// Appends it to an answer; returns where it stands.
    pub fn write(&self, index: i32, writer: &mut ResponseWriter<'_>) -> usize {
        let response = PartitionResponse {
            index,
            error: self.error(),
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: self.log_start_offset,
            record_errors: &[],
            error_message: None,
            current_leader: None,
        };
        match &self.result {
            Ok(Stored { base_offset, log_append_time_ms, .. }) => writer.partition(&PartitionResponse {
                base_offset: *base_offset,
                log_append_time_ms: *log_append_time_ms,
                ..response
            }),
            Err(Refused { details: None, .. }) => writer.partition(&response),
            Err(Refused { details: Some(details), .. }) => {
                let records: Vec<_> = details
                    .records
                    .iter()
                    .map(|(index, message)| RecordError { batch_index: *index, message: Some(message) })
                    .collect();
                let error_message = details.message.as_deref();
                writer.partition(&PartitionResponse { record_errors: &records, error_message, ..response })
            }
        }
    }
}
