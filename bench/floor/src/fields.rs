//! The few of Kafka's field types that are needed, read from a frame and appended to a reply.

/// Reads a frame. `None` is one that ends too early.
pub struct Fields<'a> {
    frame: &'a [u8],
    /// Of the next byte.
    pub position: usize,
}

impl<'a> Fields<'a> {
    /// Begins at a position of the frame.
    pub fn at(frame: &'a [u8], position: usize) -> Fields<'a> {
        Fields { frame, position }
    }

    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.frame.get(self.position..self.position.checked_add(count)?)?;
        self.position += count;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
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

    pub fn uvarint(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
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

    /// The end of a structure. The loader sends no tagged field, so neither is one read.
    pub fn no_tags(&mut self) -> Option<()> {
        (self.uvarint()? == 0).then_some(())
    }
}

/// What a request says before its body.
#[derive(Clone, Copy)]
pub struct Header {
    pub api_key: i16,
    pub correlation_id: i32,
}

/// Reads the request header (version 2) behind the frame's size.
pub fn header(fields: &mut Fields<'_>) -> Option<Header> {
    let (api_key, _version, correlation_id) = (fields.i16()?, fields.i16()?, fields.i32()?);
    let client_id_bytes = fields.i16()?.max(0) as usize;
    fields.bytes(client_id_bytes)?;
    fields.no_tags()?;
    Some(Header { api_key, correlation_id })
}

pub fn put_uvarint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn put_compact_string(out: &mut Vec<u8>, text: &[u8]) {
    put_uvarint(out, text.len() as u32 + 1);
    out.extend_from_slice(text);
}

/// Starts a reply: its size, yet unknown, and the response header (version 1).
pub fn begin_reply(out: &mut Vec<u8>, correlation_id: i32) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&correlation_id.to_be_bytes());
    out.push(0);
    start
}

/// Fills in the size of the reply that began at `start`, of which `beside` bytes do not go through `out`.
pub fn end_reply(out: &mut [u8], start: usize, beside: usize) {
    let size = (out.len() - start - 4 + beside) as i32;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}
