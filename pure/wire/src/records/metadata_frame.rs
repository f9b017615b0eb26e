//! What stands in front of the fields of a metadata record: frame version, record id, record version, all varints.

use super::MetadataRecord;
use crate::{DecodeError, DecodeErrorKind, Reader, Writer};

const FRAME_VERSION: i16 = 1;

impl MetadataRecord {
    /// Reads the value of a record of `__cluster_metadata`.
    pub fn decode(reader: &mut Reader<'_>) -> Result<MetadataRecord, DecodeError> {
        let start = *reader;
        match int16(reader, "frame version")? {
            FRAME_VERSION => {}
            other => return Err(start.error("frame version", DecodeErrorKind::Version(other))),
        }
        let id = int16(reader, "record id")?;
        let version = int16(reader, "record version")?;
        MetadataRecord::read(reader, id, version)
    }

    /// Fields that this version does not have are left out, whatever they hold.
    ///
    /// # Panics
    /// If the record has no such version.
    pub fn encode(&self, writer: &mut Writer<'_>, version: i16) {
        for number in [FRAME_VERSION, self.id(), version] {
            writer.uvarint(number as u32);
        }
        self.write(writer, version);
    }
}

/// A number too large to be one of ours stays so.
fn int16(reader: &mut Reader<'_>, field: &'static str) -> Result<i16, DecodeError> {
    Ok(i16::try_from(reader.uvarint(field)?).unwrap_or(i16::MAX))
}
