//! Walking the records of a batch without looking at what they hold.
//!
//! ```text
//! record: length varint · attributes i8 · timestamp delta varlong · offset delta varint
//!         · key length varint, key · value length varint, value · header count varint, headers
//! header: key length varint, key · value length varint, value          length -1: null (not for a header's key)
//! ```
//!
//! A record may be larger than the piece of a packed batch that is in memory, so the walk asks its [`Source`] for single
//! bytes and for steps over many, and the source fetches the next piece where it must. A plain batch is one slice; the
//! same code then compiles to index arithmetic. Nothing is allocated or copied.

use crate::codec::{Damage, Unpack};

/// Why the bytes of a batch are not its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the batch ends inside a record")]
    Cut,
    #[error("bytes follow the last record")]
    Trailing,
    #[error("a number is longer than its type")]
    Varint,
    #[error("a length is negative where no null is allowed")]
    NegativeLength,
    #[error("the length of a record is not that of its fields")]
    RecordLength,
    #[error("the number of headers is negative")]
    HeaderCount,
    #[error("the offset deltas are not 0, 1, 2, …")]
    OffsetDelta,
    #[error("{0}")]
    Packed(#[from] Damage),
}

/// What the walk tells of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub has_key: bool,
}

/// The heads of `record_count` records, which must fill the source.
pub(crate) struct Heads<S> {
    source: S,
    left: i32,
}

impl<S: Source> Heads<S> {
    pub(crate) fn new(source: S, record_count: i32) -> Heads<S> {
        Heads { source, left: record_count }
    }

    // Always: what is left of it in a loop over small records is a third of its own calls.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<RecordHead>, Malformed> {
        if self.left == 0 {
            return if self.source.is_at_end()? { Ok(None) } else { Err(Malformed::Trailing) };
        }
        self.left -= 1;
        record_head(&mut self.source).map(Some)
    }
}

#[inline(always)]
fn record_head<S: Source>(source: &mut S) -> Result<RecordHead, Malformed> {
    let length = length(source.varint()?)?;
    let end = source.position() + u64::from(length);
    source.skip(1)?; // attributes: no bit of them has a meaning
    let timestamp_delta = source.varlong()?;
    let offset_delta = source.varint()?;
    let has_key = skip_nullable(source)?;
    skip_nullable(source)?;
    let headers = source.varint()?;
    if headers != 0 {
        skip_headers(source, headers)?;
    }
    if source.position() != end {
        return Err(Malformed::RecordLength);
    }
    Ok(RecordHead { timestamp_delta, offset_delta, has_key })
}

fn skip_headers<S: Source>(source: &mut S, count: i32) -> Result<(), Malformed> {
    // A count that lies ends at the end of the batch: every header takes two bytes at least.
    for _ in 0..u32::try_from(count).map_err(|_| Malformed::HeaderCount)? {
        let key = length(source.varint()?)?;
        source.skip(key)?;
        skip_nullable(source)?;
    }
    Ok(())
}

/// Whether it is not null.
#[inline(always)]
fn skip_nullable<S: Source>(source: &mut S) -> Result<bool, Malformed> {
    match source.varint()? {
        -1 => Ok(false),
        bytes => source.skip(length(bytes)?).map(|()| true),
    }
}

#[inline]
pub(crate) fn length(varint: i32) -> Result<u32, Malformed> {
    u32::try_from(varint).map_err(|_| Malformed::NegativeLength)
}

/// Bytes that are read once, forwards.
pub(crate) trait Source {
    /// Bytes read and skipped so far.
    fn position(&self) -> u64;
    fn byte(&mut self) -> Result<u8, Malformed>;
    fn skip(&mut self, bytes: u32) -> Result<(), Malformed>;
    fn is_at_end(&mut self) -> Result<bool, Malformed>;

    #[inline]
    fn varint(&mut self) -> Result<i32, Malformed> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(i32::from(first >> 1) ^ -i32::from(first & 1));
        }
        let zigzag = self.varint_rest::<32>(u64::from(first & 0x7f))? as u32;
        Ok((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
    }

    #[inline]
    fn varlong(&mut self) -> Result<i64, Malformed> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(i64::from(first >> 1) ^ -i64::from(first & 1));
        }
        let zigzag = self.varint_rest::<64>(u64::from(first & 0x7f))?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// The bytes after the first. Bits beyond `BITS` are refused: others would drop them and read another number.
    #[inline]
    fn varint_rest<const BITS: u32>(&mut self, mut value: u64) -> Result<u64, Malformed> {
        let mut shift = 7;
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift + 7 > BITS && bits >> (BITS - shift) != 0 {
                return Err(Malformed::Varint);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
            if shift >= BITS {
                return Err(Malformed::Varint);
            }
        }
    }
}

/// Records that lie in memory as they are.
#[derive(Debug)]
pub(crate) struct Plain<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Plain<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Plain<'a> {
        Plain { bytes, at: 0 }
    }

    pub(crate) fn take(&mut self, bytes: u32) -> Result<&'a [u8], Malformed> {
        let from = self.at;
        self.skip(bytes)?;
        Ok(&self.bytes[from..self.at])
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }
}

impl Source for Plain<'_> {
    #[inline]
    fn position(&self) -> u64 {
        self.at as u64
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = *self.bytes.get(self.at).ok_or(Malformed::Cut)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn skip(&mut self, bytes: u32) -> Result<(), Malformed> {
        let bytes = bytes as usize;
        if self.bytes.len() - self.at < bytes {
            return Err(Malformed::Cut);
        }
        self.at += bytes;
        Ok(())
    }

    fn is_at_end(&mut self) -> Result<bool, Malformed> {
        Ok(self.at == self.bytes.len())
    }
}

/// Records that are unpacked as the walk comes to them.
pub(crate) struct Packed<'a> {
    unpack: Unpack<'a>,
    /// Next byte of the piece.
    at: usize,
    /// Bytes of the pieces before this one.
    before: u64,
}

impl<'a> Packed<'a> {
    pub(crate) fn new(unpack: Unpack<'a>) -> Packed<'a> {
        Packed { unpack, at: 0, before: 0 }
    }

    /// Takes the next piece, once this one is used up. `false` at the end.
    #[cold]
    fn refill(&mut self) -> Result<bool, Malformed> {
        self.before += self.unpack.piece().len() as u64;
        self.at = 0;
        Ok(self.unpack.next_piece()?)
    }
}

impl Source for Packed<'_> {
    #[inline]
    fn position(&self) -> u64 {
        self.before + self.at as u64
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Malformed> {
        loop {
            if let Some(&byte) = self.unpack.piece().get(self.at) {
                self.at += 1;
                return Ok(byte);
            }
            if !self.refill()? {
                return Err(Malformed::Cut);
            }
        }
    }

    #[inline]
    fn skip(&mut self, bytes: u32) -> Result<(), Malformed> {
        let mut left = bytes as usize;
        loop {
            let here = self.unpack.piece().len() - self.at;
            if left <= here {
                self.at += left;
                return Ok(());
            }
            left -= here;
            if !self.refill()? {
                return Err(Malformed::Cut);
            }
        }
    }

    fn is_at_end(&mut self) -> Result<bool, Malformed> {
        Ok(self.at == self.unpack.piece().len() && !self.refill()?)
    }
}
