//! zstd (RFC 8878), frames one after another.
//!
//! A frame's head says how far back it may reach (its window), and the decoder takes that much address space. Up to level
//! 19 that is 8 MiB at most; levels 20 to 22 of a Java producer say up to 128 MiB, for a batch of one record too. Kafka
//! takes them, so they cannot be refused. But the memory is touched only as far as it is filled: so a large window is
//! granted as long as what is unpacked stays below 16 MiB, and not more than that is ever resident.

use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer, ResetDirective};

use super::Damage;

const LEVEL: i32 = 3;
/// The size of a decoder with the window of 4 MiB that level 15 needs.
const CONTEXT_KEPT_BYTES_MAX: usize = 5 << 20;
/// With the window of 8 MiB that level 19 needs.
const CONTEXT_USUAL_BYTES_MAX: usize = 9 << 20;
const UNPACKED_IN_LARGE_WINDOW_BYTES_MAX: u64 = 16 << 20;

/// A decoder, reused from batch to batch.
pub(super) struct Context(DCtx<'static>);

impl Default for Context {
    fn default() -> Context {
        Context(DCtx::create())
    }
}

impl Context {
    pub(super) fn is_large(&self) -> bool {
        self.0.sizeof() > CONTEXT_KEPT_BYTES_MAX
    }
}

pub(super) struct Stream<'a> {
    context: &'a mut DCtx<'static>,
    body: &'a [u8],
    taken: usize,
    unpacked_bytes: u64,
    is_open: bool,
}

impl<'a> Stream<'a> {
    pub(super) fn new(context: &'a mut Context, body: &'a [u8]) -> Stream<'a> {
        // Ends a session that was left in the middle; that cannot fail.
        let _ = context.0.reset(ResetDirective::SessionOnly);
        Stream { context: &mut context.0, body, taken: 0, unpacked_bytes: 0, is_open: true }
    }

    /// Fills `piece` as far as one step goes; 0 at the end.
    pub(super) fn next(&mut self, piece: &mut [u8]) -> Result<usize, Damage> {
        while self.is_open || self.taken < self.body.len() {
            let mut input = InBuffer::around(&self.body[self.taken..]);
            let mut output = OutBuffer::around(piece);
            let hint = self.context.decompress_stream(&mut output, &mut input).map_err(|_| Damage::Garbled)?;
            let (taken, given) = (input.pos(), output.pos());
            self.taken += taken;
            self.unpacked_bytes += given as u64;
            self.is_open = hint != 0;
            if self.unpacked_bytes > UNPACKED_IN_LARGE_WINDOW_BYTES_MAX
                && self.context.sizeof() > CONTEXT_USUAL_BYTES_MAX
            {
                return Err(Damage::Memory);
            }
            if given > 0 {
                return Ok(given);
            }
            if self.is_open && taken == 0 {
                return Err(Damage::Cut);
            }
        }
        Ok(0)
    }
}

pub(super) fn pack(body: &[u8], level: Option<i32>, packed: &mut Vec<u8>) {
    let frame = zstd::bulk::compress(body, level.unwrap_or(LEVEL)).expect("the output has room for the worst case");
    packed.extend_from_slice(&frame);
}
