//! One connection: requests leave in the order asked, several in one write; replies are checked as they come. Requests differ
//! in nothing but their correlation id, or are some frames of one length, in turn.
//!
//! A frame is never copied: a write names a head for each request and, between the heads, the rests of the frames. Records that were fetched are dropped by the kernel (`MSG_TRUNC`), for the loader shares its processors with the server.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use anyhow::{Context, bail, ensure};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::Socket;
use crate::kafka::batch::Shape;
use crate::kafka::reply::{self, Fetched};
use crate::kafka::request::{self, Acks, CORRELATION_ID_AT, HEAD_BYTES};

/// Requests in one write.
const TOGETHER: usize = 32;
const INPUT_BYTES: usize = 64 << 10;
/// As much of a fetch's reply is looked at.
const FRONT_BYTES: usize = 4 << 10;

#[derive(Debug)]
pub struct Connection {
    pub stream: TcpStream,
    head: [u8; HEAD_BYTES],
    /// What follows the head in the first request, the second and so on; after the last comes the first again.
    rests: Vec<Vec<u8>>,
    kind: Kind,
    /// Requests asked for; the last ones may be unsent.
    asked: i32,
    unsent: usize,
    /// Bytes of the first unsent request that have left.
    sent_bytes: usize,
    answered: i32,
    input: Vec<u8>,
    filled: usize,
    /// Bytes of the current reply that are still to come and of no interest.
    dropping: usize,
    /// As long as what may have to be dropped; the kernel writes nothing to it, so it takes no memory.
    unwritten: Vec<u8>,
}

#[derive(Debug)]
enum Kind {
    Produce { last_offset: i64 },
    Fetch(Reader),
    Checked(Check),
}

/// Fails where a reply, whose correlation id is told, is not what was asked for.
pub type Check = fn(&[u8], i32) -> anyhow::Result<()>;

/// A topic's partition, from the point of view of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub server: SocketAddr,
    pub topic: &'a str,
    pub partition: i32,
}

/// How a partition is read: from its first batch on.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Bytes asked for.
    pub max_bytes: usize,
    /// What the partition holds.
    pub batch: Shape,
    /// Where as many are there, they are read again and again, and each reply must have as many bytes as were asked for.
    /// Else a reply has what is there by then.
    pub batches: Option<u64>,
}

/// The bytes of a connection's buffers.
struct Room {
    input: usize,
    dropped: usize,
}

#[derive(Debug)]
struct Reader {
    reading: Reading,
    /// The next offset to ask for, and where in the frame's rest it is told.
    offset: i64,
    offset_at: usize,
}

impl Connection {
    pub fn producer(target: Target<'_>, acks: Acks, batch: &[u8]) -> anyhow::Result<Connection> {
        let frame = request::produce(target.topic, target.partition, acks, batch);
        Connection::open(
            target.server,
            &[frame],
            Kind::Produce { last_offset: -1 },
            Room { input: INPUT_BYTES, dropped: 0 },
        )
    }

    /// Sends the frames in turn. They begin with the same head, and are of one length.
    pub fn in_turn(server: SocketAddr, frames: &[Vec<u8>], check: Check) -> anyhow::Result<Connection> {
        Connection::open(server, frames, Kind::Checked(check), Room { input: INPUT_BYTES, dropped: 0 })
    }

    /// May have one request in flight: the next is asked where the last one ended.
    pub fn consumer(target: Target<'_>, reading: Reading) -> anyhow::Result<Connection> {
        let frame = request::fetch(target.topic, target.partition, 0, reading.max_bytes as i32);
        let offset_at = request::fetch_offset_at(target.topic) - HEAD_BYTES;
        let kind = Kind::Fetch(Reader { reading, offset: 0, offset_at });
        Connection::open(target.server, &[frame], kind, Room { input: FRONT_BYTES, dropped: reading.max_bytes })
    }

    fn open(server: SocketAddr, frames: &[Vec<u8>], kind: Kind, room: Room) -> anyhow::Result<Connection> {
        let first = frames.first().context("no frame to send")?;
        let head = first[..HEAD_BYTES].try_into().expect("it was cut there");
        let is_alike = |frame: &Vec<u8>| frame.len() == first.len() && frame[..HEAD_BYTES] == first[..HEAD_BYTES];
        ensure!(frames.iter().all(is_alike), "frames of several lengths or kinds");
        let stream = TcpStream::connect(server).with_context(|| format!("cannot connect to {server}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            head,
            rests: frames.iter().map(|frame| frame[HEAD_BYTES..].to_vec()).collect(),
            kind,
            asked: 0,
            unsent: 0,
            sent_bytes: 0,
            answered: 0,
            input: vec![0; room.input],
            filled: 0,
            dropping: 0,
            unwritten: vec![0; room.dropped],
        })
    }

    pub fn socket(&self) -> Socket<'_> {
        Socket { stream: &self.stream, has_unsent: self.has_unsent() }
    }

    /// Which a consumer asks for next.
    ///
    /// # Panics
    /// Where it is none.
    pub fn next_offset(&self) -> i64 {
        let Kind::Fetch(reader) = &self.kind else { unreachable!("a consumer") };
        reader.offset
    }

    pub fn has_unsent(&self) -> bool {
        self.unsent > 0
    }

    /// Asks for one more request. [`Self::flush`] sends it.
    pub fn ask(&mut self) {
        self.asked += 1;
        self.unsent += 1;
    }

    /// Sends what the socket takes.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        while self.unsent > 0 {
            match self.write_some() {
                Ok(bytes) => {
                    let frame_bytes = HEAD_BYTES + self.rests[0].len();
                    self.sent_bytes += bytes;
                    self.unsent -= self.sent_bytes / frame_bytes;
                    self.sent_bytes %= frame_bytes;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot send"),
            }
        }
        Ok(())
    }

    fn write_some(&mut self) -> io::Result<usize> {
        let count = self.unsent.min(TOGETHER);
        let mut heads = [self.head; TOGETHER];
        let first = self.asked as usize - self.unsent;
        for (number, head) in (first..).zip(&mut heads[..count]) {
            head[CORRELATION_ID_AT..].copy_from_slice(&(number as i32).to_be_bytes());
        }
        let rests = self.rests.iter().cycle().skip(first % self.rests.len());
        let frames = heads[..count].iter().zip(rests);
        let mut slices: Vec<IoSlice<'_>> =
            frames.flat_map(|(head, rest)| [IoSlice::new(head), IoSlice::new(rest)]).collect();
        let mut slices = &mut slices[..];
        IoSlice::advance_slices(&mut slices, self.sent_bytes);
        self.stream.write_vectored(slices)
    }

    /// Takes what has come, and gives the number of replies that are whole now.
    pub fn receive(&mut self) -> anyhow::Result<usize> {
        let mut whole = 0;
        while let Some(more_may_wait) = self.read_some()? {
            whole += match self.kind {
                Kind::Produce { .. } | Kind::Checked(_) => self.answered_whole()?,
                Kind::Fetch(_) => self.fetched()?,
            };
            if !more_may_wait {
                break;
            }
        }
        Ok(whole)
    }

    /// Reads once. `None` where nothing is there; else whether there may be more.
    fn read_some(&mut self) -> anyhow::Result<Option<bool>> {
        let dropping = self.dropping;
        let got = match dropping {
            0 => self.stream.read(&mut self.input[self.filled..]),
            bytes => drop_bytes(&self.stream, &mut self.unwritten[..bytes]),
        };
        let got = match got {
            Ok(0) => bail!("the server closed the connection"),
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).context("cannot receive"),
        };
        if dropping > 0 {
            self.dropping -= got;
            return Ok(Some(false));
        }
        self.filled += got;
        Ok(Some(self.filled == self.input.len()))
    }

    /// Replies that are small, and are checked once they are whole.
    fn answered_whole(&mut self) -> anyhow::Result<usize> {
        let (mut at, mut whole) = (0, 0);
        while let Some(bytes) = reply::frame_bytes(&self.input[at..self.filled]).filter(|b| at + b <= self.filled) {
            let frame = &self.input[at..at + bytes];
            match &mut self.kind {
                Kind::Produce { last_offset } => {
                    let offset = reply::produced(frame, self.answered)?;
                    ensure!(offset > *last_offset, "offset {offset} was given after {last_offset}");
                    *last_offset = offset;
                }
                Kind::Checked(check) => check(frame, self.answered)?,
                Kind::Fetch(_) => unreachable!("replies of any size are not waited for"),
            }
            self.answered += 1;
            at += bytes;
            whole += 1;
        }
        self.input.copy_within(at..self.filled, 0);
        self.filled -= at;
        ensure!(self.filled < self.input.len(), "a reply of more than {INPUT_BYTES} bytes");
        Ok(whole)
    }

    fn fetched(&mut self) -> anyhow::Result<usize> {
        let Kind::Fetch(reader) = &mut self.kind else { unreachable!("a consumer") };
        if self.filled > 0 {
            let front = &self.input[..self.filled];
            let Some(fetched) = reply::fetched(front, self.answered)? else { return Ok(0) };
            let bytes = reply::frame_bytes(front).unwrap_or_default();
            ensure!(bytes >= self.filled, "bytes behind a reply to the only request");
            self.dropping = bytes - self.filled;
            self.filled = 0;
            reader.advance(&fetched)?;
            self.rests[0][reader.offset_at..reader.offset_at + 8].copy_from_slice(&reader.offset.to_be_bytes());
        }
        if self.dropping > 0 {
            return Ok(0);
        }
        self.answered += 1;
        Ok(1)
    }
}

impl Reader {
    fn advance(&mut self, fetched: &Fetched) -> anyhow::Result<()> {
        let Reading { max_bytes, batch, batches } = self.reading;
        let Fetched { bytes, first_base_offset } = *fetched;
        let is_due = bytes % batch.bytes == 0 && first_base_offset.is_none_or(|first| first == self.offset);
        ensure!(
            is_due && batches.is_none_or(|_| bytes == max_bytes),
            "offset {} and {max_bytes} bytes were asked for, {fetched:?} came",
            self.offset
        );
        let step = (bytes / batch.bytes * batch.records) as i64;
        self.offset += step;
        if batches.is_some_and(|batches| self.offset + step > (batches * batch.records as u64) as i64) {
            self.offset = 0;
        }
        Ok(())
    }
}

/// Takes bytes off the socket without copying them anywhere: with this flag the kernel only wants to know how many.
fn drop_bytes(stream: &TcpStream, unwritten: &mut [u8]) -> io::Result<usize> {
    recv(stream.as_raw_fd(), unwritten, MsgFlags::MSG_TRUNC).map_err(|error| match error {
        Errno::EAGAIN => ErrorKind::WouldBlock.into(),
        error => error.into(),
    })
}
