//! The LZ4 frame format, one frame of independent blocks.
//!
//! The frame is read here and only the blocks are left to the library: its own frame reader cannot be reused, takes the
//! block size a header claims, and reads a frame that ends early as if it were whole. Blocks that lean on the one before
//! are refused, as Kafka refuses them: its Java consumer cannot read them. What is packed is packed by the C
//! library, which has Kafka's levels; what others have packed it never sees.
//!
//! ```text
//! 04 22 4d 18 · flags · block size · [content size u64] · header check · blocks · 00 00 00 00 · [content check u32]
//! block: u32 length, top bit "stored as is" · bytes · [check u32]; all numbers little-endian
//! ```

use std::hash::Hasher;

use lz4::block::{self, CompressionMode};
use lz4_flex::block::DecompressError;
use twox_hash::XxHash32;

use super::{Damage, sized};

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const FLAG_DICTIONARY: u8 = 0x01;
const FLAG_RESERVED: u8 = 0x02;
const FLAG_CONTENT_CHECK: u8 = 0x04;
const FLAG_CONTENT_SIZE: u8 = 0x08;
const FLAG_BLOCK_CHECK: u8 = 0x10;
const FLAG_INDEPENDENT: u8 = 0x20;
const VERSION: u8 = 0x40;
const VERSION_MASK: u8 = 0xc0;
/// Blocks of 64 KiB.
const BLOCK_64_KIB: u8 = 0x40;
/// `compression.lz4.level`, where it is not set.
const LEVEL_FAST: i32 = 9;
const STORED: u32 = 1 << 31;
/// A byte of a match length stands for at most 255 bytes.
const EXPANSION_MAX: usize = 256;
/// Some clients (aiokafka) always claim blocks of 4 MiB: room for them is only made when it is needed.
const EXPANSION_USUAL: usize = 16;

pub(super) struct Stream<'a> {
    rest: &'a [u8],
    block_bytes_max: usize,
    has_block_check: bool,
    content_check: Option<XxHash32>,
    content_bytes_left: Option<u64>,
    has_ended: bool,
}

impl<'a> Stream<'a> {
    pub(super) fn new(body: &'a [u8]) -> Result<Stream<'a>, Damage> {
        let frame = body.strip_prefix(&MAGIC).ok_or(Damage::Garbled)?;
        let (&[flags, size], mut rest) = frame.split_first_chunk().ok_or(Damage::Cut)?;
        if flags & VERSION_MASK != VERSION || flags & FLAG_RESERVED != 0 || size & 0x8f != 0 {
            return Err(Damage::Garbled);
        }
        if flags & FLAG_INDEPENDENT == 0 || flags & FLAG_DICTIONARY != 0 {
            return Err(Damage::Feature);
        }
        let block_bytes_max = match size >> 4 {
            code @ 4..=7 => 1 << (8 + 2 * code),
            _ => return Err(Damage::Garbled),
        };
        let mut content_bytes_left = None;
        if flags & FLAG_CONTENT_SIZE != 0 {
            let bytes;
            (bytes, rest) = rest.split_first_chunk().ok_or(Damage::Cut)?;
            content_bytes_left = Some(u64::from_le_bytes(*bytes));
        }
        let described = &frame[..frame.len() - rest.len()];
        let (&check, rest) = rest.split_first().ok_or(Damage::Cut)?;
        if check != (XxHash32::oneshot(0, described) >> 8) as u8 {
            return Err(Damage::Checksum);
        }
        Ok(Stream {
            rest,
            block_bytes_max,
            has_block_check: flags & FLAG_BLOCK_CHECK != 0,
            content_check: (flags & FLAG_CONTENT_CHECK != 0).then(|| XxHash32::with_seed(0)),
            content_bytes_left,
            has_ended: false,
        })
    }

    /// Unpacks one block into `buffer`; 0 at the end.
    pub(super) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Damage> {
        while !self.has_ended {
            let header = self.u32()?;
            if header == 0 {
                self.end()?;
                break;
            }
            let length = self.block((header & !STORED) as usize, header & STORED != 0, buffer)?;
            if let Some(left) = &mut self.content_bytes_left {
                *left = left.checked_sub(length as u64).ok_or(Damage::Garbled)?;
            }
            if let Some(check) = &mut self.content_check {
                check.write(&buffer[..length]);
            }
            if length > 0 {
                return Ok(length);
            }
        }
        Ok(0)
    }

    fn block(&mut self, length: usize, is_stored: bool, buffer: &mut Vec<u8>) -> Result<usize, Damage> {
        if length > self.block_bytes_max {
            return Err(Damage::Garbled);
        }
        let (block, rest) = self.rest.split_at_checked(length).ok_or(Damage::Cut)?;
        self.rest = rest;
        if self.has_block_check && self.u32()? != XxHash32::oneshot(0, block) {
            return Err(Damage::Checksum);
        }
        if is_stored {
            sized(buffer, length).copy_from_slice(block);
            return Ok(length);
        }
        let room = |expansion| self.block_bytes_max.min(length * expansion);
        let usual = lz4_flex::block::decompress_into(block, sized(buffer, room(EXPANSION_USUAL)));
        let unpacked = match usual {
            Err(DecompressError::OutputTooSmall { .. }) => {
                lz4_flex::block::decompress_into(block, sized(buffer, room(EXPANSION_MAX)))
            }
            other => other,
        };
        unpacked.map_err(|_| Damage::Garbled)
    }

    fn end(&mut self) -> Result<(), Damage> {
        self.has_ended = true;
        if let Some(check) = self.content_check.take()
            && self.u32()? != check.finish_32()
        {
            return Err(Damage::Checksum);
        }
        if self.content_bytes_left.is_some_and(|left| left > 0) {
            return Err(Damage::Garbled);
        }
        if self.rest.is_empty() { Ok(()) } else { Err(Damage::Trailing) }
    }

    fn u32(&mut self) -> Result<u32, Damage> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Damage::Cut)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }
}

/// As Kafka packs: its usual level stands for the fast way, every other one for a search whose effort is the level.
pub(super) fn pack(body: &[u8], level: Option<i32>, packed: &mut Vec<u8>) {
    let mode = level.filter(|level| *level != LEVEL_FAST).map(CompressionMode::HIGHCOMPRESSION);
    let described = [VERSION | FLAG_INDEPENDENT, BLOCK_64_KIB];
    packed.extend_from_slice(&MAGIC);
    packed.extend_from_slice(&described);
    packed.push((XxHash32::oneshot(0, &described) >> 8) as u8);
    for block in body.chunks(64 << 10) {
        let small = block::compress(block, mode, false).expect("there is room for the worst case");
        let (bytes, flag) = if small.len() < block.len() { (&*small, 0) } else { (block, STORED) };
        packed.extend_from_slice(&(bytes.len() as u32 | flag).to_le_bytes());
        packed.extend_from_slice(bytes);
    }
    packed.extend_from_slice(&[0; 4]);
}
