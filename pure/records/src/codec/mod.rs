//! The codecs of record batches, and unpacking without trust.
//!
//! A client's batch must be walked before it is stored, and a megabyte of it may unpack to gigabytes. Unpacking as a
//! whole would take the memory a client claims. So a body is unpacked in pieces, into one reused buffer, and each codec
//! bounds a piece by what was sent, not by what a length field says:
//!
//! | codec | a piece | memory at most |
//! | --- | --- | --- |
//! | gzip | 64 KiB | 64 KiB and a window of 32 KiB |
//! | snappy | a chunk (framed), or all (raw) | 22 times its packed bytes |
//! | LZ4 | a block | 4 MiB, and 256 times its packed bytes |
//! | zstd | 64 KiB | 64 KiB and a window: see [`zstd`] |
//!
//! Time is bounded by the bytes sent, times what the codec can expand at best.
//!
//! All of a body must belong to it: bytes after its end are refused, where some clients' consumers would stumble.

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::fmt;

/// How the records of a batch are packed. The number is the one in the batch's attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    #[default]
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Codec {
    pub fn from_id(id: u8) -> Option<Codec> {
        Some(match id {
            0 => Codec::None,
            1 => Codec::Gzip,
            2 => Codec::Snappy,
            3 => Codec::Lz4,
            4 => Codec::Zstd,
            _ => return None,
        })
    }

    pub fn id(self) -> u8 {
        self as u8
    }

    /// Appends the packed form of `body`, as Kafka's own producer frames it, to `packed`.
    pub(crate) fn pack(self, body: &[u8], packed: &mut Vec<u8>) {
        self.pack_at(body, None, packed);
    }

    /// The same with a level of the codec's own, if it has any.
    pub(crate) fn pack_at(self, body: &[u8], level: Option<i32>, packed: &mut Vec<u8>) {
        match self {
            Codec::None => packed.extend_from_slice(body),
            Codec::Gzip => gzip::pack(body, level, packed),
            Codec::Snappy => snappy::pack(body, packed),
            Codec::Lz4 => lz4::pack(body, level, packed),
            Codec::Zstd => zstd::pack(body, level, packed),
        }
    }
}

/// Why a packed body cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("the packed records end early")]
    Cut,
    #[error("bytes follow the end of the packed records")]
    Trailing,
    #[error("the packed records are not what their codec allows")]
    Garbled,
    #[error("a checksum inside the packed records does not fit")]
    Checksum,
    /// LZ4 blocks that lean on one another, dictionaries: legal for the codec, but Kafka's consumers cannot read them.
    #[error("the packed records use a feature that Kafka's clients do not read")]
    Feature,
    #[error("unpacking takes more memory than is granted")]
    Memory,
}

/// What unpacking reuses. It is made once for each thread (or connection) that handles batches, and not larger than
/// some MiB between two calls.
#[derive(Default)]
pub struct Scratch {
    piece: Vec<u8>,
    gzip: Option<gzip::Context>,
    zstd: Option<zstd::Context>,
    /// A whole unpacked body, for those who read the records themselves.
    pub(crate) whole: Vec<u8>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch")
            .field("piece_bytes", &self.piece.capacity())
            .field("whole_bytes", &self.whole.capacity())
            .field("has_gzip", &self.gzip.is_some())
            .field("has_zstd", &self.zstd.is_some())
            .finish()
    }
}

/// A buffer above this size is given back after use.
const BUFFER_KEPT_BYTES_MAX: usize = 4 << 20;
/// What gzip and zstd unpack at a time.
const PIECE_BYTES: usize = 64 << 10;

impl Scratch {
    pub fn new() -> Scratch {
        Scratch::default()
    }

    /// Lets go of what one unusual batch made large.
    pub(crate) fn trim(&mut self) {
        for buffer in [&mut self.piece, &mut self.whole] {
            if buffer.capacity() > BUFFER_KEPT_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
        self.zstd.take_if(|context| context.is_large());
    }

    /// Starts to unpack `body`. For [`Codec::None`] there is nothing to unpack, and asking is a bug.
    pub(crate) fn unpack<'a>(&'a mut self, codec: Codec, body: &'a [u8]) -> Result<Unpack<'a>, Damage> {
        let stream = match codec {
            Codec::None => panic!("records that are not packed are read where they lie"),
            Codec::Gzip => Stream::Gzip(gzip::Stream::new(self.gzip.get_or_insert_default(), body)),
            Codec::Snappy => Stream::Snappy(snappy::Stream::new(body)),
            Codec::Lz4 => Stream::Lz4(lz4::Stream::new(body)?),
            Codec::Zstd => Stream::Zstd(zstd::Stream::new(self.zstd.get_or_insert_default(), body)),
        };
        Ok(Unpack { stream, buffer: &mut self.piece, filled: 0 })
    }

    /// Unpacks all of `body` into `whole`, if that takes no more than `bytes_max`.
    pub(crate) fn unpack_whole(&mut self, codec: Codec, body: &[u8], bytes_max: usize) -> Result<(), Damage> {
        let mut whole = std::mem::take(&mut self.whole);
        whole.clear();
        let mut unpack = self.unpack(codec, body)?;
        while unpack.next_piece()? {
            if whole.len() + unpack.piece().len() > bytes_max {
                return Err(Damage::Memory);
            }
            whole.extend_from_slice(unpack.piece());
        }
        self.whole = whole;
        Ok(())
    }
}

/// A body that is being unpacked, piece by piece.
pub(crate) struct Unpack<'a> {
    stream: Stream<'a>,
    buffer: &'a mut Vec<u8>,
    filled: usize,
}

enum Stream<'a> {
    Gzip(gzip::Stream<'a>),
    Snappy(snappy::Stream<'a>),
    Lz4(lz4::Stream<'a>),
    Zstd(zstd::Stream<'a>),
}

impl Unpack<'_> {
    /// Replaces the piece by the next one; `false` at the end of the body.
    pub(crate) fn next_piece(&mut self) -> Result<bool, Damage> {
        self.filled = 0;
        self.filled = match &mut self.stream {
            Stream::Gzip(stream) => stream.next(sized(self.buffer, PIECE_BYTES))?,
            Stream::Snappy(stream) => stream.next(self.buffer)?,
            Stream::Lz4(stream) => stream.next(self.buffer)?,
            Stream::Zstd(stream) => stream.next(sized(self.buffer, PIECE_BYTES))?,
        };
        Ok(self.filled > 0)
    }

    /// The piece: empty before the first and after the last.
    pub(crate) fn piece(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

/// The first `bytes` of a buffer, which grows if it must but is never cleared.
fn sized(buffer: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    if buffer.len() < bytes {
        buffer.resize(bytes, 0);
    }
    &mut buffer[..bytes]
}
