//! CRC-32C (Castagnoli) of batches. The library picks the fastest code the processor has when it runs.

use crc_fast::{CrcAlgorithm, Digest};

use crate::header::CRC_COVERS_FROM;

const CRC_32C: CrcAlgorithm = CrcAlgorithm::Crc32Iscsi;

/// The CRC a batch ought to have: of all from its attributes to its end. `batch` is one whole batch; fewer bytes than
/// those before its attributes are a bug.
pub fn crc_of(batch: &[u8]) -> u32 {
    crc_fast::checksum(CRC_32C, &batch[CRC_COVERS_FROM..]) as u32
}

/// The CRC of any bytes: Kafka's other files use it too.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(CRC_32C, bytes) as u32
}

/// The CRC of two pieces that follow one another.
pub(crate) fn crc_of_parts(first: &[u8], second: &[u8]) -> u32 {
    let mut digest = Digest::new(CRC_32C);
    digest.update(first);
    digest.update(second);
    digest.finalize() as u32
}
