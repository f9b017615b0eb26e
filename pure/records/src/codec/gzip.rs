//! gzip (RFC 1952): one member after another, as Java's reader takes them.
//!
//! ```text
//! member: 1f 8b 08 · flags · time u32 · 2 bytes · [extra] [name] [comment] [header check u16] · deflated bytes
//!         · CRC-32 u32 · length modulo 2^32 u32; all numbers little-endian
//! ```
//!
//! The library inflates; the rest is read here, because the library's own reader makes a decoder of 40 KiB anew for each
//! batch, which costs more than a small batch itself.

use std::io::Write;

use crc_fast::{CrcAlgorithm, Digest};
use flate2::{Compression, Decompress, FlushDecompress, Status, write::GzEncoder};

use super::Damage;

const FLAG_HEADER_CHECK: u8 = 0x02;
const FLAG_EXTRA: u8 = 0x04;
const FLAG_NAME: u8 = 0x08;
const FLAG_COMMENT: u8 = 0x10;
const FLAGS_RESERVED: u8 = 0xe0;
const CRC_32: CrcAlgorithm = CrcAlgorithm::Crc32IsoHdlc;

/// A decoder, reused from member to member.
pub(super) struct Context {
    inflate: Decompress,
    crc: Digest,
}

impl Default for Context {
    fn default() -> Context {
        Context { inflate: Decompress::new(false), crc: Digest::new(CRC_32) }
    }
}

pub(super) struct Stream<'a> {
    context: &'a mut Context,
    rest: &'a [u8],
    /// What the member has unpacked to, modulo 2^32.
    length: u32,
    /// The member's trailer has not been seen.
    in_member: bool,
}

impl<'a> Stream<'a> {
    pub(super) fn new(context: &'a mut Context, body: &'a [u8]) -> Stream<'a> {
        Stream { context, rest: body, length: 0, in_member: false }
    }

    /// Fills `piece` as far as one step goes; 0 at the end.
    pub(super) fn next(&mut self, piece: &mut [u8]) -> Result<usize, Damage> {
        loop {
            if !self.in_member {
                if self.rest.is_empty() {
                    return Ok(0);
                }
                self.start_member()?;
            }
            let Context { inflate, crc } = &mut *self.context;
            let (taken_before, given_before) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(self.rest, piece, FlushDecompress::None);
            let taken = (inflate.total_in() - taken_before) as usize;
            let given = (inflate.total_out() - given_before) as usize;
            let has_ended = status.map_err(|_| Damage::Garbled)? == Status::StreamEnd;
            self.rest = &self.rest[taken..];
            crc.update(&piece[..given]);
            self.length = self.length.wrapping_add(given as u32);
            if has_ended {
                self.end_member()?;
            } else if given == 0 && taken == 0 {
                return Err(Damage::Cut);
            }
            if given > 0 {
                return Ok(given);
            }
        }
    }

    fn start_member(&mut self) -> Result<(), Damage> {
        self.rest = after_header(self.rest)?;
        self.context.inflate.reset(false);
        self.context.crc.reset();
        self.length = 0;
        self.in_member = true;
        Ok(())
    }

    fn end_member(&mut self) -> Result<(), Damage> {
        let (crc, rest) = split(self.rest)?;
        let (length, rest) = split(rest)?;
        if u32::from_le_bytes(crc) != self.context.crc.finalize() as u32 || u32::from_le_bytes(length) != self.length {
            return Err(Damage::Checksum);
        }
        self.rest = rest;
        self.in_member = false;
        Ok(())
    }
}

fn after_header(member: &[u8]) -> Result<&[u8], Damage> {
    let ([id_1, id_2, method, flags], rest) = split(member)?;
    if [id_1, id_2, method] != [0x1f, 0x8b, 8] || flags & FLAGS_RESERVED != 0 {
        return Err(Damage::Garbled);
    }
    let ([..], mut rest) = split::<6>(rest)?; // time, and where it was made
    if flags & FLAG_EXTRA != 0 {
        let (length, extra) = split(rest)?;
        rest = extra.get(usize::from(u16::from_le_bytes(length))..).ok_or(Damage::Cut)?;
    }
    for text in [FLAG_NAME, FLAG_COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|&byte| byte == 0).ok_or(Damage::Cut)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & FLAG_HEADER_CHECK != 0 {
        let computed = crc_fast::checksum(CRC_32, &member[..member.len() - rest.len()]) as u16;
        let check;
        (check, rest) = split(rest)?;
        if u16::from_le_bytes(check) != computed {
            return Err(Damage::Checksum);
        }
    }
    Ok(rest)
}

fn split<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Damage> {
    bytes.split_first_chunk().map(|(first, rest)| (*first, rest)).ok_or(Damage::Cut)
}

/// A level that gzip does not have, as Kafka's -1, is its own default.
pub(super) fn pack(body: &[u8], level: Option<i32>, packed: &mut Vec<u8>) {
    let level = level.and_then(|level| u32::try_from(level).ok()).map_or(Compression::default(), Compression::new);
    let mut encoder = GzEncoder::new(packed, level);
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("writing to memory does not fail");
}
