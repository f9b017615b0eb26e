//! The appending end of `__cluster_metadata`.

use ottla_metadata::Record;
use ottla_records::{Attributes, BatchBuilder, BatchHeader, BatchOptions, NewRecord, STAMP_BYTES};
use ottla_storage::{Log, LogError, Piece, Reader, Removed};
use ottla_wire::records::ControlRecord;

/// In one epoch of the quorum.
#[derive(Debug)]
pub struct MetadataLog {
    log: Log,
    epoch: i32,
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

    /// Appends the records of one step as one batch. Gives its bytes.
    pub fn append(&mut self, records: &[Record], wall_ms: i64) -> Result<u64, LogError> {
        let mut batch = self.batch(Attributes::default());
        let mut value = Vec::new();
        for record in records {
            value.clear();
            record.encode(&mut value);
            batch.push(&NewRecord { timestamp: wall_ms, value: Some(&value), ..NewRecord::default() });
        }
        self.write(&batch.finish())
    }

    /// Appends records of the quorum as one batch. Gives its bytes.
    pub fn append_control(
        &mut self,
        records: impl IntoIterator<Item = ControlRecord>,
        wall_ms: i64,
    ) -> Result<u64, LogError> {
        let mut batch = self.batch(Attributes::default().with_control());
        for record in records {
            let (key, value) = (record.encode_key(), record.encode_value());
            let (key, value) = (Some(&*key), Some(&*value));
            batch.push(&NewRecord { timestamp: wall_ms, key, value, ..NewRecord::default() });
        }
        self.write(&batch.finish())
    }

    /// The log begins at `offset`, which a snapshot that is on the disk reaches: see [`Log::advance_start`].
    pub fn trim(&mut self, offset: i64) -> Removed {
        self.log.advance_start(offset)
    }

    fn batch(&self, attributes: Attributes) -> BatchBuilder {
        let base_offset = self.end_offset();
        BatchBuilder::new(BatchOptions { base_offset, leader_epoch: self.epoch, attributes, ..BatchOptions::default() })
    }

    fn write(&mut self, batch: &[u8]) -> Result<u64, LogError> {
        let header = BatchHeader::parse(batch).expect("the batch was just built");
        let (head, body) = batch.split_at(STAMP_BYTES);
        self.log.append(&[Piece { head, body, header }])?;
        Ok(batch.len() as u64)
    }
}
