//! snappy: a raw block, or the framing of snappy-java.
//!
//! Java clients write `82 "SNAPPY" 00`, two version numbers, then chunks: an i32 length and a raw block each. Others
//! (librdkafka, franz-go) send one raw block. A raw block begins with the length it unpacks to; a copy of 64 bytes takes
//! three, so no block unpacks to 22 times its size, and a larger claim is refused before memory is taken for it.

use super::{Damage, sized};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const HEADER_BYTES: usize = 16;
const EXPANSION_MAX: usize = 22;
/// What snappy-java packs at a time by default.
const CHUNK_BYTES: usize = 32 << 10;

pub(super) struct Stream<'a> {
    rest: &'a [u8],
    framing: Framing,
}

enum Framing {
    Raw,
    Chunks,
    End,
}

impl<'a> Stream<'a> {
    pub(super) fn new(body: &'a [u8]) -> Stream<'a> {
        match body.get(HEADER_BYTES..) {
            Some(rest) if body.starts_with(&MAGIC) => Stream { rest, framing: Framing::Chunks },
            _ => Stream { rest: body, framing: Framing::Raw },
        }
    }

    /// Unpacks one block into `buffer`; 0 at the end.
    pub(super) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Damage> {
        while let Some(block) = self.next_block()? {
            let length = snap::raw::decompress_len(block).map_err(|_| Damage::Garbled)?;
            if length > block.len() * EXPANSION_MAX {
                return Err(Damage::Garbled);
            }
            let unpacked = snap::raw::Decoder::new().decompress(block, sized(buffer, length));
            unpacked.map_err(|_| Damage::Garbled)?;
            if length > 0 {
                return Ok(length);
            }
        }
        Ok(0)
    }

    fn next_block(&mut self) -> Result<Option<&'a [u8]>, Damage> {
        match self.framing {
            Framing::Raw => {
                self.framing = Framing::End;
                Ok(Some(self.rest))
            }
            Framing::Chunks if self.rest.is_empty() => Ok(None),
            Framing::Chunks => {
                let (length, rest) = self.rest.split_first_chunk().ok_or(Damage::Cut)?;
                let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| Damage::Garbled)?;
                let (block, rest) = rest.split_at_checked(length).ok_or(Damage::Cut)?;
                self.rest = rest;
                Ok(Some(block))
            }
            Framing::End => Ok(None),
        }
    }
}

pub(super) fn pack(body: &[u8], packed: &mut Vec<u8>) {
    packed.extend_from_slice(&MAGIC);
    packed.extend_from_slice(&1i32.to_be_bytes()); // version
    packed.extend_from_slice(&1i32.to_be_bytes()); // oldest version that can read it
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(CHUNK_BYTES)];
    for chunk in body.chunks(CHUNK_BYTES) {
        let length = encoder.compress(chunk, &mut block).expect("the block has room for the worst case");
        packed.extend_from_slice(&(length as i32).to_be_bytes());
        packed.extend_from_slice(&block[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_length_takes_no_memory() {
        for block in [&b"\x80\x80\x40\x00x"[..], b"\xff\xff\xff\xff\x0f\x00x"] {
            let mut buffer = Vec::new();
            assert_eq!(Stream::new(block).next(&mut buffer), Err(Damage::Garbled));
            assert_eq!(buffer.capacity(), 0);
        }
    }
}
