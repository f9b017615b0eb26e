//! The records of control batches, which brokers and controllers write into the logs of others.

use super::control::{
    EndTxnMarker, KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord, VotersRecord,
};
use super::coordinator::{decode_versioned, encode_versioned};
use crate::{DecodeError, DecodeErrorKind, Message, Reader, Writer};

const KEY_VERSION: i16 = 0;

/// The types of Kafka 4.3.1.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlRecord {
    Abort(EndTxnMarker),
    Commit(EndTxnMarker),
    LeaderChange(LeaderChangeMessage),
    SnapshotHeader(SnapshotHeaderRecord),
    SnapshotFooter(SnapshotFooterRecord),
    KRaftVersion(KRaftVersionRecord),
    KRaftVoters(VotersRecord),
}

impl ControlRecord {
    pub fn decode(key: &[u8], value: &[u8]) -> Result<ControlRecord, DecodeError> {
        let mut key = Reader::new(key);
        let mut value = Reader::new(value);
        // Newer keys begin as ours do.
        key.i16("version")?;
        match key.i16("type")? {
            0 => decode_versioned(&mut value).map(ControlRecord::Abort),
            1 => decode_versioned(&mut value).map(ControlRecord::Commit),
            2 => decode_with_version(&mut value).map(ControlRecord::LeaderChange),
            3 => decode_with_version(&mut value).map(ControlRecord::SnapshotHeader),
            4 => decode_with_version(&mut value).map(ControlRecord::SnapshotFooter),
            5 => decode_with_version(&mut value).map(ControlRecord::KRaftVersion),
            6 => decode_with_version(&mut value).map(ControlRecord::KRaftVoters),
            other => Err(key.error("type", DecodeErrorKind::RecordId(other))),
        }
    }

    pub fn encode_key(&self) -> Vec<u8> {
        let type_id: i16 = match self {
            ControlRecord::Abort(_) => 0,
            ControlRecord::Commit(_) => 1,
            ControlRecord::LeaderChange(_) => 2,
            ControlRecord::SnapshotHeader(_) => 3,
            ControlRecord::SnapshotFooter(_) => 4,
            ControlRecord::KRaftVersion(_) => 5,
            ControlRecord::KRaftVoters(_) => 6,
        };
        [KEY_VERSION.to_be_bytes(), type_id.to_be_bytes()].concat()
    }

    pub fn encode_value(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let writer = &mut Writer::new(&mut out);
        match self {
            ControlRecord::Abort(marker) | ControlRecord::Commit(marker) => {
                encode_versioned(marker, writer, EndTxnMarker::LATEST);
            }
            ControlRecord::LeaderChange(message) => message.encode(writer, message.version),
            ControlRecord::SnapshotHeader(record) => record.encode(writer, record.version),
            ControlRecord::SnapshotFooter(record) => record.encode(writer, record.version),
            ControlRecord::KRaftVersion(record) => record.encode(writer, record.version),
            ControlRecord::KRaftVoters(record) => record.encode(writer, record.version),
        }
        out
    }
}

/// Reads a message whose own first field is its version.
fn decode_with_version<M: Message>(reader: &mut Reader<'_>) -> Result<M, DecodeError> {
    let version = reader.clone().i16("version")?;
    M::decode(reader, version)
}
