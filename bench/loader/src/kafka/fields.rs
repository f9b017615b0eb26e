//! Kafka's field types, appended to a frame and read from a reply.

pub fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, zigzag(value));
}

/// The bytes that [`put_varint`] writes.
pub fn varint_bytes(value: i64) -> usize {
    let bits = 64 - zigzag(value).leading_zeros() as usize;
    bits.div_ceil(7).max(1)
}

/// Each element after the other, behind their number.
pub fn put_compact_array<T>(
    out: &mut Vec<u8>,
    elements: impl ExactSizeIterator<Item = T>,
    mut put: impl FnMut(&mut Vec<u8>, T),
) {
    put_uvarint(out, elements.len() as u64 + 1);
    elements.for_each(|element| put(out, element));
}

pub fn put_compact_string(out: &mut Vec<u8>, text: &str) {
    put_uvarint(out, text.len() as u64 + 1);
    out.extend_from_slice(text.as_bytes());
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Reads a reply from its front. `None` where it ends too early.
#[derive(Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub fn i8(&mut self) -> Option<i8> {
        self.array().map(i8::from_be_bytes)
    }

    pub fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub fn uvarint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// The length of a compact string, array or bytes; null counts as none.
    pub fn compact_len(&mut self) -> Option<usize> {
        Some(self.uvarint()?.saturating_sub(1) as usize)
    }

    pub fn compact_string(&mut self) -> Option<String> {
        let length = self.compact_len()?;
        self.bytes(length).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    pub fn tags(&mut self) -> Option<()> {
        for _ in 0..self.uvarint()? {
            let (_tag, length) = (self.uvarint()?, self.uvarint()?);
            self.bytes(length as usize)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints() {
        for (value, bytes) in [
            (0, vec![0]),
            (-1, vec![1]),
            (63, vec![126]),
            (64, vec![0x80, 1]),
            (-64, vec![127]),
            (8191, vec![0xfe, 0x7f]),
            (8192, vec![0x80, 0x80, 1]),
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!((varint_bytes(value), &out), (bytes.len(), &bytes), "{value}");
            assert_eq!(Fields(&out).uvarint(), Some(zigzag(value)), "{value}");
        }
    }

    #[test]
    fn tags_are_skipped() {
        let mut fields = Fields(&[2, 0, 1, 9, 5, 2, 9, 9, 42]);
        assert_eq!((fields.tags(), fields.bytes(1)), (Some(()), Some(&[42][..])));
        assert_eq!(Fields(&[1, 0, 2, 9]).tags(), None);
    }
}
