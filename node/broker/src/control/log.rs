//! The log of `__cluster_metadata`, as records.

use ottla_base::NodeId;
use ottla_metadata::{Record, RecordError};
use ottla_records::{Attributes, BatchBuilder, BatchHeader, BatchOptions, ControlType, NewRecord, STAMP_BYTES};
use ottla_storage::{Log, LogError, Piece, Reader};
use ottla_wire::records::control::LeaderChangeMessage;
use ottla_wire::records::control::leader_change_message::Voter;
use ottla_wire::{Message, Writer};

use crate::reading::{ReadingError, each_record};

/// The appending end, in one epoch of the quorum.
#[derive(Debug)]
pub struct MetadataLog {
    log: Log,
    epoch: i32,
}

/// Why the log cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Reading(#[from] ReadingError),
    #[error("at offset {offset}: {cause}")]
    Record { offset: i64, cause: RecordError },
    #[error(transparent)]
    Apply(#[from] ottla_metadata::ApplyError),
}

impl MetadataLog {
    pub fn new(log: Log, epoch: i32) -> MetadataLog {
        MetadataLog { log, epoch }
    }

    pub fn reader(&self) -> Reader {
        self.log.reader()
    }

    pub fn end_offset(&self) -> i64 {
        self.log.end().offset
    }

    /// Makes it survive a power loss, here and now. For who begins a log; afterwards there is the flusher.
    pub fn flush(&self) -> Result<(), LogError> {
        self.log.flush().map(drop)
    }

    pub fn close(self) -> Result<(), LogError> {
        self.log.close().map(drop)
    }

    /// Appends the records of one step as one batch.
    pub fn append(&mut self, records: &[Record], wall_ms: i64) -> Result<(), LogError> {
        let mut batch = self.batch(Attributes::default());
        let mut value = Vec::new();
        for record in records {
            value.clear();
            record.encode(&mut value);
            batch.push(&NewRecord { timestamp: wall_ms, value: Some(&value), ..NewRecord::default() });
        }
        self.write(&batch.finish())
    }

    /// What a new leader writes first (KIP-595): who it is and who voted for it.
    pub fn append_leader_change(&mut self, leader: NodeId, wall_ms: i64) -> Result<(), LogError> {
        let voter = Voter { voter_id: leader.0, ..Default::default() };
        let message = LeaderChangeMessage {
            leader_id: leader.0,
            voters: vec![voter.clone()],
            granting_voters: vec![voter],
            ..Default::default()
        };
        let mut value = Vec::new();
        message.encode(&mut Writer::new(&mut value), 0);
        let mut batch = self.batch(Attributes::default().with_control());
        let key = ControlType::LeaderChange.key();
        batch.push(&NewRecord { timestamp: wall_ms, key: Some(&key), value: Some(&value), ..NewRecord::default() });
        self.write(&batch.finish())
    }

    fn batch(&self, attributes: Attributes) -> BatchBuilder {
        let base_offset = self.end_offset();
        BatchBuilder::new(BatchOptions { base_offset, leader_epoch: self.epoch, attributes, ..BatchOptions::default() })
    }

    fn write(&mut self, batch: &[u8]) -> Result<(), LogError> {
        let header = BatchHeader::parse(batch).expect("the batch was just built");
        let (head, body) = batch.split_at(STAMP_BYTES);
        self.log.append(&[Piece { head, body, header }]).map(drop)
    }
}

/// Reads the log from its start, and gives every record that is not a control record with its offset.
pub fn load(reader: &Reader, mut on_record: impl FnMut(i64, Record) -> Result<(), LoadError>) -> Result<(), LoadError> {
    each_record(reader, |header, record| {
        if header.attributes.is_control() {
            return Ok(());
        }
        let offset = record.offset;
        let value = record.value.unwrap_or_default();
        on_record(offset, Record::decode(value).map_err(|cause| LoadError::Record { offset, cause })?)
    })
}
