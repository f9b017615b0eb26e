//! A cursor over the bytes of a frame or a record.
//!
//! Everything it reads may be hostile: each length is checked against what remains before anything is taken or
//! reserved, nothing panics, and an error says which field at which offset. What Kafka lets pass, passes here: a negative
//! length of any size means null, every byte but 0 is true, the surplus bits of a varint's fifth byte are dropped.

use ottla_base::Uuid;
use thiserror::Error;

/// Longest string in bytes, in every form: Kafka's own limit.
pub const STRING_BYTES_MAX: usize = i16::MAX as usize;
/// Most elements one array may have.
pub const ARRAY_ELEMENTS_MAX: usize = 1_000_000;
/// Most tagged fields one struct may have.
pub const TAGS_MAX: u32 = 256;

/// How lengths are written (KIP-482).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// int16 for a string, int32 for bytes and arrays; -1 is null.
    Classic,
    /// One more than the length as an unsigned varint; 0 is null. That of flexible versions.
    Compact,
}

impl Form {
    #[inline]
    pub fn of(version: i16, flexible_from: i16) -> Form {
        if version >= flexible_from { Form::Compact } else { Form::Classic }
    }
}

/// Why bytes are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{field} at byte {offset}: {kind}")]
pub struct DecodeError {
    pub field: &'static str,
    /// Where the field begins, counted from the first byte the reader was given.
    pub offset: usize,
    pub kind: DecodeErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeErrorKind {
    #[error("the bytes end before it does")]
    Truncated,
    #[error("null, which it cannot be")]
    Null,
    #[error("a varint that does not end")]
    Varint,
    #[error("longer than the limit")]
    TooLong,
    #[error("more than one request may name")]
    TooMany,
    #[error("a tagged field that is longer than its contents")]
    TagSize,
    #[error("a tagged field after one with the same tag or a higher one")]
    TagOrder,
    #[error("version {0} is not known")]
    Version(i16),
    #[error("record id {0} is not known")]
    RecordId(i16),
}

pub type Result<T, E = DecodeError> = std::result::Result<T, E>;

/// The cursor. A copy of it reads on by itself.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Bytes not read yet.
    rest: &'a [u8],
    /// Position behind the last of them.
    end: usize,
}

macro_rules! integers {
    ($($name:ident)*) => {$(
        #[inline]
        pub fn $name(&mut self, field: &'static str) -> Result<$name> {
            Ok($name::from_be_bytes(self.fixed(field)?))
        }
    )*};
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes, end: bytes.len() }
    }

    /// Bytes read so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.end - self.rest.len()
    }

    /// Bytes not read yet.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    integers! { i8 i16 i32 i64 u16 f64 }

    #[inline]
    pub fn bool(&mut self, field: &'static str) -> Result<bool> {
        Ok(self.i8(field)? != 0)
    }

    #[inline]
    pub fn uuid(&mut self, field: &'static str) -> Result<Uuid> {
        Ok(Uuid(self.fixed(field)?))
    }

    /// Unsigned: groups of seven bits, the lowest first, at most five of them.
    #[inline]
    pub fn uvarint(&mut self, field: &'static str) -> Result<u32> {
        // Nearly all are lengths below 127.
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Ok(u32::from(byte))
            }
            _ => {
                let (value, behind) = self.long_uvarint(field)?;
                *self = behind;
                Ok(value)
            }
        }
    }

    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.error(field, DecodeErrorKind::Truncated)),
        }
    }

    /// The bytes of a string, whether or not they are UTF-8.
    #[inline]
    pub fn nullable_str_bytes(&mut self, field: &'static str, form: Form) -> Result<Option<&'a [u8]>> {
        let start = *self;
        let len = match form {
            Form::Classic => i32::from(self.i16(field)?),
            Form::Compact => self.compact_len(field)?,
        };
        match usize::try_from(len) {
            Err(_) => Ok(None),
            Ok(len) if len > STRING_BYTES_MAX => Err(start.error(field, DecodeErrorKind::TooLong)),
            Ok(len) => self.take(len, field).map(Some),
        }
    }

    #[inline]
    pub fn nullable_bytes_ref(&mut self, field: &'static str, form: Form) -> Result<Option<&'a [u8]>> {
        let len = match (form, self.rest) {
            // Most are records: their length has two bytes.
            (Form::Compact, [low @ 0x80..=0xff, high @ 0..=0x7f, rest @ ..]) => {
                self.rest = rest;
                (i32::from(low & 0x7f) | i32::from(*high) << 7) - 1
            }
            _ => self.len(field, form)?,
        };
        match usize::try_from(len) {
            Err(_) => Ok(None),
            Ok(len) => self.take(len, field).map(Some),
        }
    }

    /// The number of elements that follow; at most as many as bytes remain, since no element is empty.
    #[inline]
    pub fn nullable_array_len(&mut self, field: &'static str, form: Form) -> Result<Option<usize>> {
        let start = *self;
        match usize::try_from(self.len(field, form)?) {
            Err(_) => Ok(None),
            Ok(len) if len > self.remaining() => Err(start.error(field, DecodeErrorKind::Truncated)),
            Ok(len) if len > ARRAY_ELEMENTS_MAX => Err(start.error(field, DecodeErrorKind::TooLong)),
            Ok(len) => Ok(Some(len)),
        }
    }

    #[inline]
    pub fn array_len(&mut self, field: &'static str, form: Form) -> Result<usize> {
        let start = *self;
        self.nullable_array_len(field, form)?.ok_or(start.error(field, DecodeErrorKind::Null))
    }

    /// The number of tagged fields that follow, each to be had by [`Reader::tag`].
    #[inline]
    pub fn tag_count(&mut self) -> Result<u32> {
        let start = *self;
        match self.uvarint("tags")? {
            count if count > TAGS_MAX => Err(start.error("tags", DecodeErrorKind::TooLong)),
            count => Ok(count),
        }
    }

    /// The next tagged field: its tag, and a reader that ends where the field does.
    pub fn tag(&mut self) -> Result<(u32, Reader<'a>)> {
        let tag = self.uvarint("tag")?;
        let size = self.uvarint("tag size")? as usize;
        let rest = self.take(size, "tag")?;
        Ok((tag, Reader { rest, end: self.position() }))
    }

    /// Reads past the tag section of a struct whose tags nobody wants.
    #[inline]
    pub fn skip_tags(&mut self) -> Result<()> {
        for _ in 0..self.tag_count()? {
            self.tag()?;
        }
        Ok(())
    }

    /// An error about a field that begins here.
    #[cold]
    pub fn error(self, field: &'static str, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { field, offset: self.position(), kind }
    }

    /// -1 and everything below is null.
    #[inline]
    fn len(&mut self, field: &'static str, form: Form) -> Result<i32> {
        match form {
            Form::Classic => self.i32(field),
            Form::Compact => self.compact_len(field),
        }
    }

    #[inline]
    fn compact_len(&mut self, field: &'static str) -> Result<i32> {
        Ok((self.uvarint(field)? as i32).wrapping_sub(1))
    }

    #[inline]
    fn fixed<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N]> {
        match self.rest.split_first_chunk() {
            Some((chunk, rest)) => {
                self.rest = rest;
                Ok(*chunk)
            }
            None => Err(self.error(field, DecodeErrorKind::Truncated)),
        }
    }

    fn long_uvarint(mut self, field: &'static str) -> Result<(u32, Reader<'a>)> {
        let start = self;
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.i8(field)? as u8;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value, self));
            }
        }
        Err(start.error(field, DecodeErrorKind::Varint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<'a, T: PartialEq + std::fmt::Debug>(
        bytes: &'a [u8],
        read: impl FnOnce(&mut Reader<'a>) -> Result<T>,
        expected: Result<T, (usize, DecodeErrorKind)>,
    ) {
        let mut reader = Reader::new(bytes);
        let got = read(&mut reader);
        assert_eq!(got.map_err(|e| (e.offset, e.kind)), expected, "{bytes:02x?}");
    }

    #[test]
    fn numbers() {
        check(&[0xff, 0xfe], |r| r.i16("f"), Ok(-2));
        check(&[0xff, 0xfe], |r| r.u16("f"), Ok(0xfffe));
        check(&[1, 2, 3, 4], |r| r.i32("f"), Ok(0x01020304));
        check(&[1, 2, 3], |r| r.i32("f"), Err((0, DecodeErrorKind::Truncated)));
        check(&[0x3f, 0xf0, 0, 0, 0, 0, 0, 0], |r| r.f64("f"), Ok(1.0));
        check(&[7], |r| r.bool("f"), Ok(true));
        check(&[9; 16], |r| r.uuid("f"), Ok(Uuid([9; 16])));
        check(&[9; 15], |r| r.uuid("f"), Err((0, DecodeErrorKind::Truncated)));
        check(&[0], |r| r.i8("f").and(r.i16("f")), Err((1, DecodeErrorKind::Truncated)));
    }

    #[test]
    fn varints() {
        check(&[0x7f], |r| r.uvarint("f"), Ok(127));
        check(&[0xac, 0x02], |r| r.uvarint("f"), Ok(300));
        check(&[0xff, 0xff, 0xff, 0xff, 0x7f], |r| r.uvarint("f"), Ok(u32::MAX));
        check(&[0xff; 5], |r| r.uvarint("f"), Err((0, DecodeErrorKind::Varint)));
        check(&[0x80], |r| r.uvarint("f"), Err((1, DecodeErrorKind::Truncated)));
    }

    #[test]
    fn strings() {
        let ok = Ok(Some(&b"ok"[..]));
        check(&[0, 2, b'o', b'k'], |r| r.nullable_str_bytes("f", Form::Classic), ok);
        check(&[3, b'o', b'k'], |r| r.nullable_str_bytes("f", Form::Compact), ok);
        let cut = Err((1, DecodeErrorKind::Truncated));
        check(&[4, b'o', b'k'], |r| r.nullable_str_bytes("f", Form::Compact), cut);
        check(&[0], |r| r.nullable_str_bytes("f", Form::Compact), Ok(None));
        check(&[0xff, 0xfb], |r| r.nullable_str_bytes("f", Form::Classic), Ok(None));
        let long = [&[0x81, 0x80, 0x02], &[b'x'; 32768][..]].concat();
        check(&long, |r| r.nullable_str_bytes("f", Form::Compact).map(drop), Err((0, DecodeErrorKind::TooLong)));
    }

    #[test]
    fn bytes_and_arrays() {
        check(&[0, 0, 0, 1, 5], |r| r.nullable_bytes_ref("f", Form::Classic), Ok(Some(&[5][..])));
        check(&[2, 5], |r| r.nullable_bytes_ref("f", Form::Compact), Ok(Some(&[5][..])));
        let cut = Err((4, DecodeErrorKind::Truncated));
        check(&[0x7f, 0xff, 0xff, 0xff], |r| r.nullable_bytes_ref("f", Form::Classic), cut);
        check(&[0xff, 0xff, 0xff, 0xfe], |r| r.nullable_array_len("f", Form::Classic), Ok(None));
        check(&[0xff, 0xff, 0xff, 0xff, 0x0f], |r| r.nullable_array_len("f", Form::Compact), Ok(None));
        check(&[3, 0, 0], |r| r.array_len("f", Form::Compact), Ok(2));
        check(&[3, 0], |r| r.array_len("f", Form::Compact), Err((0, DecodeErrorKind::Truncated)));
        check(&[0], |r| r.array_len("f", Form::Compact), Err((0, DecodeErrorKind::Null)));
        let many = [&1_000_001i32.to_be_bytes(), &[0; 1_000_001][..]].concat();
        check(&many, |r| r.array_len("f", Form::Classic), Err((0, DecodeErrorKind::TooLong)));
    }

    #[test]
    fn tags() {
        let bytes = [2, 0, 1, 7, 9, 2, 1, 2, 5];
        check(&bytes, |r| r.skip_tags().map(|()| r.remaining()), Ok(1));
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.tag_count(), Ok(2));
        let (tag, mut field) = reader.tag().unwrap();
        assert_eq!((tag, field.position(), field.i8("f"), field.remaining()), (0, 3, Ok(7), 0));
        check(&[1, 0, 2, 7], |r| r.skip_tags(), Err((3, DecodeErrorKind::Truncated)));
        check(&[0x81, 0x02], |r| r.skip_tags(), Err((0, DecodeErrorKind::TooLong)));
    }
}
