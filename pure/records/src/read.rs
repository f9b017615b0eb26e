//! Reading the records of a batch, and finding one by its time.
//!
//! Whoever wants the records themselves (replay of the metadata log and of coordinators) reads them from memory: a
//! packed batch is unpacked first, up to a limit. A look-up by time wants two numbers only and walks the batch piece by
//! piece, so that a batch of any size can be searched. Neither compares the CRC: storage does, where it has reason to.

use crate::build::Header;
use crate::codec::{Codec, Damage, Scratch};
use crate::header::{BatchHeader, Corrupt, HEADER_BYTES, TimestampType};
use crate::walk::{self, Heads, Malformed, Packed, Plain, Source};

/// Why a batch cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Header(#[from] Corrupt),
    #[error("{bytes} bytes are not the batch of {expected} that its header tells of")]
    Size { bytes: usize, expected: usize },
    #[error("there is no codec {id}")]
    Codec { id: u8 },
    #[error("the records unpack to more than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// A record, as it lies in its batch.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub offset: i64,
    /// Milliseconds since 1970, or -1; the time of the append where the batch says so.
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    headers: &'a [u8],
    header_count: i32,
}

impl<'a> Record<'a> {
    pub fn headers(&self) -> impl ExactSizeIterator<Item = Header<'a>> + use<'a> {
        let mut source = Plain::new(self.headers);
        (0..self.header_count).map(move |_| header(&mut source).expect("the headers were read when the record was"))
    }
}

/// The records of `batch`, which is one whole batch. Those of a packed one are unpacked into `scratch`, if they take no
/// more than `bytes_max`.
pub fn records<'a>(batch: &'a [u8], bytes_max: usize, scratch: &'a mut Scratch) -> Result<Records<'a>, ReadError> {
    let (header, codec, body) = open(batch)?;
    scratch.trim();
    let bytes = match codec {
        Codec::None => body,
        _ => match scratch.unpack_whole(codec, body, bytes_max) {
            Ok(()) => scratch.whole.as_slice(),
            Err(Damage::Memory) => return Err(ReadError::TooLarge { bytes_max }),
            Err(damage) => return Err(Malformed::Packed(damage).into()),
        },
    };
    Ok(Records { header, source: Plain::new(bytes), left: header.record_count })
}

/// The records of a batch in order. After an error there are none.
#[derive(Debug)]
pub struct Records<'a> {
    header: BatchHeader,
    source: Plain<'a>,
    left: i32,
}

impl<'a> Records<'a> {
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The next record, and its bytes.
    pub(crate) fn next_with_bytes(&mut self) -> Option<Result<(Record<'a>, &'a [u8]), Malformed>> {
        let before = self.source.rest();
        let record = self.next()?;
        Some(record.map(|record| (record, &before[..before.len() - self.source.rest().len()])))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return match self.source.is_at_end() {
                Ok(false) if self.left == 0 => {
                    self.left = -1;
                    Some(Err(Malformed::Trailing))
                }
                _ => None,
            };
        }
        self.left -= 1;
        let record = record(&mut self.source, &self.header);
        if record.is_err() {
            self.left = -1;
        }
        Some(record)
    }
}

fn record<'a>(source: &mut Plain<'a>, batch: &BatchHeader) -> Result<Record<'a>, Malformed> {
    let length = walk::length(source.varint()?)?;
    let mut fields = Plain::new(source.take(length)?);
    fields.skip(1)?; // attributes
    let timestamp_delta = fields.varlong()?;
    let offset_delta = fields.varint()?;
    let key = nullable(&mut fields)?;
    let value = nullable(&mut fields)?;
    let header_count = fields.varint()?;
    let mut headers = Plain::new(fields.rest());
    let header_bytes = fields.rest();
    for _ in 0..u32::try_from(header_count).map_err(|_| Malformed::HeaderCount)? {
        header(&mut headers)?;
    }
    if !headers.is_at_end()? {
        return Err(Malformed::RecordLength);
    }
    Ok(Record {
        offset: batch.base_offset.saturating_add(i64::from(offset_delta)),
        timestamp: timestamp(batch, timestamp_delta),
        key,
        value,
        headers: header_bytes,
        header_count,
    })
}

fn header<'a>(source: &mut Plain<'a>) -> Result<Header<'a>, Malformed> {
    let key = walk::length(source.varint()?)?;
    Ok(Header { key: source.take(key)?, value: nullable(source)? })
}

fn nullable<'a>(source: &mut Plain<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    match source.varint()? {
        -1 => Ok(None),
        bytes => source.take(walk::length(bytes)?).map(Some),
    }
}

fn timestamp(batch: &BatchHeader, delta: i64) -> i64 {
    match batch.attributes.timestamp_type() {
        TimestampType::CreateTime => batch.base_timestamp.wrapping_add(delta),
        TimestampType::LogAppendTime => batch.max_timestamp,
    }
}

/// A record that was found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub offset: i64,
    pub timestamp: i64,
}

/// What is sought in a batch: a record that comes before neither of the two.
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    pub timestamp: i64,
    pub offset: i64,
}

/// The first record of `batch`, which is one whole batch, that is sought.
pub fn find_timestamp(batch: &[u8], sought: Sought, scratch: &mut Scratch) -> Result<Option<Found>, ReadError> {
    let (header, codec, body) = open(batch)?;
    if codec == Codec::None {
        return Ok(find(Plain::new(body), &header, sought)?);
    }
    let unpack = scratch.unpack(codec, body).map_err(Malformed::Packed)?;
    let found = find(Packed::new(unpack), &header, sought);
    scratch.trim();
    Ok(found?)
}

fn find<S: Source>(source: S, batch: &BatchHeader, sought: Sought) -> Result<Option<Found>, Malformed> {
    let mut heads = Heads::new(source, batch.record_count);
    while let Some(head) = heads.next()? {
        let timestamp = timestamp(batch, head.timestamp_delta);
        let offset = batch.base_offset.saturating_add(i64::from(head.offset_delta));
        if timestamp >= sought.timestamp && offset >= sought.offset {
            return Ok(Some(Found { offset, timestamp }));
        }
    }
    Ok(None)
}

fn open(batch: &[u8]) -> Result<(BatchHeader, Codec, &[u8]), ReadError> {
    let header = BatchHeader::parse(batch)?;
    if header.size_bytes() != batch.len() {
        return Err(ReadError::Size { bytes: batch.len(), expected: header.size_bytes() });
    }
    let codec = header.attributes.codec().ok_or(ReadError::Codec { id: header.attributes.codec_id() })?;
    Ok((header, codec, &batch[HEADER_BYTES..]))
}
