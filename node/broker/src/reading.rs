//! Reads a log from its start to its end, record by record: a machine is loaded from it.
//!
//! So much at a time, so that a log of any length takes little memory. Every batch is checked against its CRC: opening a
//! log has not looked at what lies before the recovery point.

use std::io;

use ottla_records::{BatchHeader, ReadError, Record, Scratch, crc_of, records};
use ottla_storage::disk::Wait;
use ottla_storage::{FirstBatch, LogError, Reader, Want};

/// Bytes that are read at a time.
const READ_BYTES: u64 = 1 << 20;
/// Largest batch that is unpacked. No coordinator packs its records, but a foreign log may hold anything.
const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("cannot read at offset {offset}: {cause}")]
    Io { offset: i64, cause: io::Error },
    #[error("the batch at offset {offset} is damaged")]
    Damaged { offset: i64 },
    #[error("the batch at offset {offset} cannot be read: {cause}")]
    Batch { offset: i64, cause: ReadError },
}

/// Gives each record with the header of its batch. Blocks.
pub fn each_record<E: From<ReadingError>>(
    reader: &Reader,
    mut on_record: impl FnMut(&BatchHeader, &Record<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let end = reader.end();
    let mut offset = reader.start();
    let mut scratch = Scratch::default();
    let mut buffer = Vec::new();
    while offset < end.offset {
        let want = Want { offset, limit: end, bytes_max: READ_BYTES, first: FirstBatch::Whole, wait: Wait::Yes };
        let mut rest = read(reader, &want, &mut buffer)?;
        let from = offset;
        while let Ok(header) = BatchHeader::parse(rest)
            && header.size_bytes() <= rest.len()
        {
            let (batch, after) = rest.split_at(header.size_bytes());
            rest = after;
            if crc_of(batch) != header.crc {
                return Err(ReadingError::Damaged { offset: header.base_offset }.into());
            }
            offset = header.next_offset();
            let unreadable = |cause| ReadingError::Batch { offset: header.base_offset, cause };
            for record in records(batch, UNPACKED_BYTES_MAX, &mut scratch).map_err(unreadable)? {
                on_record(&header, &record.map_err(|fault| unreadable(fault.into()))?)?;
            }
        }
        if offset == from {
            return Err(ReadingError::Damaged { offset }.into());
        }
    }
    Ok(())
}

fn read<'b>(reader: &Reader, want: &Want, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], ReadingError> {
    let view = reader.view(want)?;
    buffer.resize((view.range.end - view.range.start) as usize, 0);
    let mut read = 0;
    while read < buffer.len() {
        let position = view.range.start + read as u64;
        let some = view.file.read_at(&mut buffer[read..], position, Wait::Yes);
        match some.map_err(|cause| ReadingError::Io { offset: want.offset, cause })? {
            0 => break,
            n => read += n,
        }
    }
    Ok(&buffer[..read])
}
