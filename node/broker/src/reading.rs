//! Reads a log to its end, record by record: a machine is loaded from it.
//!
//! So much at a time, so that a log of any length takes little memory. Every batch is checked against its CRC: opening a
//! log has not looked at what lies before the recovery point.

use std::io;

use ottla_records::{BatchHeader, ReadError, Record, Scratch, crc_of, records};
use ottla_storage::disk::Wait;
use ottla_storage::{FirstBatch, LogError, Place, Reader, Want};

/// Bytes that [`each_record_from`] reads at a time.
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

/// Gives each record with the header of its batch, from the batch that holds `offset` on. Blocks.
pub fn each_record_from<E: From<ReadingError>>(
    reader: &Reader,
    offset: i64,
    mut on_record: impl FnMut(&BatchHeader, &Record<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut reading = Reading { offset, ..Reading::of(reader, READ_BYTES) };
    while reading.some(&mut on_record)? {}
    Ok(())
}

/// A log that is being read, up to the end that it had at the beginning.
#[derive(Debug)]
pub struct Reading {
    reader: Reader,
    offset: i64,
    end: Place,
    /// Read at a time; a batch that is larger comes whole all the same.
    bytes: u64,
    buffer: Vec<u8>,
    scratch: Scratch,
}

impl Reading {
    pub fn of(reader: &Reader, bytes: u64) -> Reading {
        Reading {
            reader: reader.clone(),
            offset: reader.start(),
            end: reader.end(),
            bytes,
            buffer: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Gives some records, and whether there may be more. Blocks.
    pub fn some<E: From<ReadingError>>(
        &mut self,
        on_record: &mut impl FnMut(&BatchHeader, &Record<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        if self.offset >= self.end.offset {
            return Ok(false);
        }
        let from = self.offset;
        let want =
            Want { offset: from, limit: self.end, bytes_max: self.bytes, first: FirstBatch::Whole, wait: Wait::Yes };
        let mut rest = read(&self.reader, &want, &mut self.buffer)?;
        while let Ok(header) = BatchHeader::parse(rest)
            && header.size_bytes() <= rest.len()
        {
            let (batch, after) = rest.split_at(header.size_bytes());
            rest = after;
            if crc_of(batch) != header.crc {
                return Err(ReadingError::Damaged { offset: header.base_offset }.into());
            }
            self.offset = header.next_offset();
            let unreadable = |cause| ReadingError::Batch { offset: header.base_offset, cause };
            for record in records(batch, UNPACKED_BYTES_MAX, &mut self.scratch).map_err(unreadable)? {
                on_record(&header, &record.map_err(|fault| unreadable(fault.into()))?)?;
            }
        }
        if self.offset == from {
            return Err(ReadingError::Damaged { offset: from }.into());
        }
        Ok(true)
    }
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
