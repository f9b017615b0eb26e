//! What the keys and values of coordinators begin with.

use crate::{DecodeError, Message, Reader, Writer};

/// The records of one coordinator's topic.
pub trait CoordinatorRecord: Sized {
    /// Without a value it is a tombstone. A record id of a newer Kafka is an error of its own kind, which Kafka ignores.
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, DecodeError>;

    fn encode_key(&self) -> Vec<u8>;

    /// `None` of a tombstone. Fields that this version does not have are left out, whatever they hold.
    ///
    /// # Panics
    /// If the value has no such version.
    fn encode_value(&self, version: i16) -> Option<Vec<u8>>;

    /// The newest version of the value. Which one is written is up to the feature levels.
    fn latest_version(&self) -> i16;
}

/// Reads an int16 version and the message in that version.
pub fn decode_versioned<M: Message>(reader: &mut Reader<'_>) -> Result<M, DecodeError> {
    let version = reader.i16("version")?;
    M::decode(reader, version)
}

pub fn encode_versioned(message: &impl Message, writer: &mut Writer<'_>, version: i16) {
    writer.i16(version);
    message.encode(writer, version);
}

/// Room for what is written most: what a group has committed for a partition.
const ROOM_BYTES: usize = 64;

pub(super) fn read_value<M: Message>(value: Option<&[u8]>) -> Result<Option<M>, DecodeError> {
    value.map(|value| decode_versioned(&mut Reader::new(value))).transpose()
}

pub(super) fn write_value(value: Option<&impl Message>, version: i16) -> Option<Vec<u8>> {
    value.map(|value| {
        let mut out = Vec::with_capacity(ROOM_BYTES);
        encode_versioned(value, &mut Writer::new(&mut out), version);
        out
    })
}

/// Where a value has its version, a key has the record id; its fields are those of version 0.
pub(super) fn write_key(id: i16, key: &impl Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(ROOM_BYTES);
    let mut writer = Writer::new(&mut out);
    writer.i16(id);
    key.encode(&mut writer, 0);
    out
}
