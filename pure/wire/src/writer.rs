//! Appends the primitives of the protocol to a buffer. Nothing here can fail.

use ottla_base::Uuid;

use crate::reader::{Form, STRING_BYTES_MAX};

/// Appends to a buffer, whose earlier contents it leaves alone.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

macro_rules! integers {
    ($($name:ident)*) => {$(
        #[inline]
        pub fn $name(&mut self, value: $name) {
            self.raw(&value.to_be_bytes());
        }
    )*};
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { out }
    }

    /// Length of the buffer, with what stood in it before.
    #[inline]
    pub fn position(&self) -> usize {
        self.out.len()
    }

    integers! { i8 i16 i32 i64 u16 f64 }

    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.i8(i8::from(value));
    }

    #[inline]
    pub fn uuid(&mut self, value: Uuid) {
        self.raw(&value.0);
    }

    /// Bytes as they are, without a length.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    pub fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    /// A string; past [`STRING_BYTES_MAX`] it is cut, for instance where a client's invalid UTF-8 grew in replacement.
    #[inline]
    pub fn str(&mut self, text: &str, form: Form) {
        let text = &text[..text.floor_char_boundary(STRING_BYTES_MAX)];
        match form {
            Form::Classic => self.i16(text.len() as i16),
            Form::Compact => self.uvarint(text.len() as u32 + 1),
        }
        self.raw(text.as_bytes());
    }

    #[inline]
    pub fn nullable_str(&mut self, text: Option<&str>, form: Form) {
        match (text, form) {
            (Some(text), form) => self.str(text, form),
            (None, Form::Classic) => self.i16(-1),
            (None, Form::Compact) => self.uvarint(0),
        }
    }

    #[inline]
    pub fn bytes(&mut self, bytes: &[u8], form: Form) {
        self.array_len(bytes.len(), form);
        self.raw(bytes);
    }

    #[inline]
    pub fn nullable_bytes(&mut self, bytes: Option<&[u8]>, form: Form) {
        match bytes {
            Some(bytes) => self.bytes(bytes, form),
            None => self.null(form),
        }
    }

    /// The length in front of bytes or an array.
    #[inline]
    pub fn array_len(&mut self, len: usize, form: Form) {
        let len = i32::try_from(len).expect("no frame holds 2 GiB");
        match form {
            Form::Classic => self.i32(len),
            Form::Compact => self.uvarint(len as u32 + 1),
        }
    }

    /// The length of bytes or an array that is null.
    #[inline]
    pub fn null(&mut self, form: Form) {
        match form {
            Form::Classic => self.i32(-1),
            Form::Compact => self.uvarint(0),
        }
    }

    /// Moves everything from `start` on to make room for `uvarints` in front of it: sizes known only afterwards.
    pub(crate) fn insert_uvarints(&mut self, start: usize, uvarints: &[u32]) {
        let end = self.position();
        for &value in uvarints {
            self.uvarint(value);
        }
        let inserted = self.position() - end;
        self.out[start..].rotate_right(inserted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl FnOnce(&mut Writer<'_>), expected: &[u8]) {
        let mut out = Vec::new();
        write(&mut Writer::new(&mut out));
        assert_eq!(out, expected);
    }

    #[test]
    fn numbers() {
        check(|w| w.i16(-2), &[0xff, 0xfe]);
        check(|w| w.bool(true), &[1]);
        check(|w| w.f64(1.0), &[0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
        check(|w| w.uvarint(300), &[0xac, 0x02]);
        check(|w| w.uvarint(u32::MAX), &[0xff, 0xff, 0xff, 0xff, 0x0f]);
    }

    #[test]
    fn lengths() {
        check(|w| w.str("ok", Form::Classic), &[0, 2, b'o', b'k']);
        check(|w| w.str("ok", Form::Compact), &[3, b'o', b'k']);
        check(|w| w.nullable_str(None, Form::Classic), &[0xff, 0xff]);
        check(|w| w.nullable_str(None, Form::Compact), &[0]);
        check(|w| w.bytes(&[5], Form::Classic), &[0, 0, 0, 1, 5]);
        check(|w| w.bytes(&[5], Form::Compact), &[2, 5]);
        check(|w| w.nullable_bytes(None, Form::Classic), &[0xff; 4]);
        check(|w| w.null(Form::Compact), &[0]);
    }

    #[test]
    fn a_string_is_cut_between_characters() {
        let mut out = Vec::new();
        Writer::new(&mut out).str(&"é".repeat(20_000), Form::Classic);
        assert_eq!((&out[..2], out.len()), (&32766i16.to_be_bytes()[..], 2 + 32766));
    }

    #[test]
    fn sizes_are_put_in_front() {
        check(
            |w| {
                w.raw(&[9, 1, 2, 3]);
                w.insert_uvarints(1, &[7, 300]);
            },
            &[9, 7, 0xac, 0x02, 1, 2, 3],
        );
    }
}
