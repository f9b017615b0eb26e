//! Numbers that lie in a row, read and written at once.
//!
//! To read or append one number is to compare it with what is left, and to move a position that is kept in memory: the
//! next number waits for that. For a row of numbers this is done once, and the places in between are known when compiling.

use crate::reader::{Form, Reader};
use crate::view::CHECKED;

/// Numbers to read, which are known to be there.
#[derive(Debug)]
pub struct Row<'a>(&'a [u8]);

impl<'a> Row<'a> {
    #[inline(always)]
    pub fn take<const N: usize>(reader: &mut Reader<'a>) -> Row<'a> {
        Row(reader.take(N, "row").expect(CHECKED))
    }

    #[inline(always)]
    pub fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.next())
    }

    #[inline(always)]
    pub fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.next())
    }

    #[inline(always)]
    fn next<const N: usize>(&mut self) -> [u8; N] {
        let (number, rest) = self.0.split_first_chunk().expect(CHECKED);
        self.0 = rest;
        *number
    }
}

/// Appends what `fill` writes, which is at most `N` bytes.
#[inline(always)]
pub fn append<const N: usize>(out: &mut Vec<u8>, fill: impl FnOnce(&mut RowWriter<'_, N>)) {
    let start = out.len();
    out.extend_from_slice(&[0; N]);
    let mut row = RowWriter { bytes: out.last_chunk_mut().expect("as many were just appended"), len: 0 };
    fill(&mut row);
    let len = row.len;
    out.truncate(start + len);
}

#[derive(Debug)]
pub struct RowWriter<'a, const N: usize> {
    bytes: &'a mut [u8; N],
    len: usize,
}

impl<const N: usize> RowWriter<'_, N> {
    #[inline(always)]
    pub fn i16(&mut self, value: i16) {
        self.push(value.to_be_bytes());
    }

    #[inline(always)]
    pub fn i32(&mut self, value: i32) {
        self.push(value.to_be_bytes());
    }

    #[inline(always)]
    pub fn i64(&mut self, value: i64) {
        self.push(value.to_be_bytes());
    }

    /// The length in front of bytes or an array.
    #[inline(always)]
    pub fn array_len(&mut self, len: usize, form: Form) {
        let len = i32::try_from(len).expect("no frame holds 2 GiB");
        match form {
            Form::Classic => self.i32(len),
            Form::Compact => self.uvarint(len as u32 + 1),
        }
    }

    /// The length of an array that is null.
    #[inline(always)]
    pub fn null(&mut self, form: Form) {
        match form {
            Form::Classic => self.i32(-1),
            Form::Compact => self.uvarint(0),
        }
    }

    #[inline(always)]
    fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.push([value as u8 | 0x80]);
            value >>= 7;
        }
        self.push([value as u8]);
    }

    #[inline(always)]
    fn push<const M: usize>(&mut self, number: [u8; M]) {
        self.bytes[self.len..self.len + M].copy_from_slice(&number);
        self.len += M;
    }
}
