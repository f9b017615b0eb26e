//! What a connection has received and not handled yet.
//!
//! A large frame pays the [`Budget`](crate::budget::Budget) for each of its chunks before it reads it. A client could send
//! part of a chunk and stall, and would have others wait for it. So a frame that reads while the budget is short, which is
//! to say less than half of it is free, has [`CHUNK_LIMIT`] for each chunk, if others wait when that is over. Whoever is on
//! the overdraft has [`OVERDRAFT_LIMIT`] for all that is left.

use std::io;
use std::ops::Range;
use std::time::Duration;

use ottla_wire::frame::{FrameError, SIZE_BYTES, frame_bytes};

use crate::Shared;
use crate::budget::Held;
use crate::pool::{BUFFER_BYTES, Pool};
use crate::stream::Stream;

/// A frame above this gets a buffer of its own size, and pays for it.
const SMALL_FRAME_BYTES_MAX: usize = 32 << 10;
/// What is received at first behind a large frame. The next is mostly as large, and what has come of it is copied into the
/// buffer that it gets. Small ones, and all that comes before the records of a large one, have room in it.
const HEAD_BYTES: usize = 512;
/// What a large frame pays for at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// In which a chunk arrives, or the connection is closed: where the budget is short and others wait for it.
const CHUNK_LIMIT: Duration = Duration::from_secs(10);
/// In which a frame is whole, or the connection is closed, from when it took the overdraft.
const OVERDRAFT_LIMIT: Duration = Duration::from_secs(30);

pub(crate) enum Incoming {
    /// Nothing; no buffer is held.
    Nothing { is_after_large: bool },
    /// Frames with their sizes. What lies before `handled` has been given to the service in this turn.
    Frames { buffer: Vec<u8>, handled: usize },
    /// One frame of more than [`SMALL_FRAME_BYTES_MAX`], without its size.
    Large(Large),
}

/// `frame` has capacity for `size` bytes: address space, which becomes memory as bytes arrive.
pub(crate) struct Large {
    frame: Vec<u8>,
    size: usize,
    paid: usize,
    held: Held,
    /// By when what is paid for has to be there; `None` as long as nobody has looked at a clock for that.
    due_ms: Option<i64>,
    is_handled: bool,
}

impl Incoming {
    pub(crate) const NOTHING: Incoming = Incoming::Nothing { is_after_large: false };

    /// The range, in [`Incoming::bytes`], of the next whole frame. `None` where it has not all arrived.
    pub(crate) fn next_frame(&mut self, most: usize) -> Result<Option<Range<usize>>, FrameError> {
        match self {
            Incoming::Nothing { .. } => Ok(None),
            Incoming::Frames { buffer, handled } => {
                let unhandled = &buffer[*handled..];
                let Some(bytes) = frame_bytes(unhandled, most)? else { return Ok(None) };
                if bytes > unhandled.len() {
                    return Ok(None);
                }
                let start = *handled + SIZE_BYTES;
                *handled += bytes;
                Ok(Some(start..*handled))
            }
            Incoming::Large(large) if large.is_whole() && !large.is_handled => {
                large.is_handled = true;
                Ok(Some(0..large.size))
            }
            Incoming::Large(_) => Ok(None),
        }
    }

    /// Whether [`Incoming::next_frame`] has something to give, if only an error.
    pub(crate) fn has_whole_frame(&self, most: usize) -> bool {
        match self {
            Incoming::Nothing { .. } => false,
            Incoming::Frames { buffer, handled } => {
                let unhandled = &buffer[*handled..];
                frame_bytes(unhandled, most).map_or(true, |bytes| bytes.is_some_and(|n| n <= unhandled.len()))
            }
            Incoming::Large(large) => large.is_whole() && !large.is_handled,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Incoming::Nothing { .. } => &[],
            Incoming::Frames { buffer, .. } => buffer,
            Incoming::Large(large) => &large.frame,
        }
    }

    /// The turn is over: drops what was handled.
    pub(crate) fn forget_handled(&mut self, pool: &Pool) {
        match self {
            Incoming::Frames { buffer, handled } if *handled == buffer.len() => {
                pool.give_back(std::mem::take(buffer));
                *self = Incoming::NOTHING;
            }
            Incoming::Frames { buffer, handled } if *handled > 0 => {
                buffer.copy_within(*handled.., 0);
                buffer.truncate(buffer.len() - *handled);
                *handled = 0;
            }
            Incoming::Large(large) if large.is_handled => *self = Incoming::Nothing { is_after_large: true },
            Incoming::Nothing { .. } | Incoming::Frames { .. } | Incoming::Large(_) => {}
        }
    }

    /// As much as has come of the frame that is being received, if it is a large one.
    pub(crate) fn large_frame(&self, most: usize) -> Option<&[u8]> {
        match self {
            Incoming::Nothing { .. } => None,
            Incoming::Frames { buffer, handled } => {
                let unhandled = &buffer[*handled..];
                let bytes = frame_bytes(unhandled, most).ok()??;
                (bytes > SMALL_FRAME_BYTES_MAX).then(|| &unhandled[SIZE_BYTES..])
            }
            Incoming::Large(large) => Some(&large.frame),
        }
    }

    /// Receives what there is, waiting for the first byte. 0 = the peer has closed. Nothing is lost if it is dropped.
    pub(crate) async fn receive(&mut self, stream: &mut Stream, shared: &Shared) -> io::Result<usize> {
        while let Incoming::Nothing { is_after_large } = *self {
            stream.readable().await?;
            let mut buffer = shared.pool.take();
            let most = if is_after_large { HEAD_BYTES } else { BUFFER_BYTES };
            let Some(read) = stream.read_at_once(&mut buffer, most).await else {
                // Behind a large frame a socket is taken for readable until it has been tried: who has nothing holds no buffer.
                shared.pool.give_back(buffer);
                continue;
            };
            *self = Incoming::Frames { buffer, handled: 0 };
            return read;
        }
        if let Incoming::Frames { buffer, .. } = self
            && let Ok(Some(bytes)) = frame_bytes(buffer, shared.limits.request_bytes_max)
            && bytes > SMALL_FRAME_BYTES_MAX
        {
            let large = Large::begin(bytes - SIZE_BYTES, &buffer[SIZE_BYTES..]);
            shared.pool.give_back(std::mem::take(buffer));
            *self = Incoming::Large(large);
        }
        match self {
            Incoming::Nothing { .. } => Ok(0),
            Incoming::Frames { buffer, .. } => stream.read(buffer, BUFFER_BYTES).await,
            Incoming::Large(large) => large.receive(stream, shared).await,
        }
    }
}

impl Large {
    fn begin(size: usize, received: &[u8]) -> Large {
        let mut frame = Vec::with_capacity(size);
        frame.extend_from_slice(received);
        Large { frame, size, paid: 0, held: Held::default(), due_ms: None, is_handled: false }
    }

    fn is_whole(&self) -> bool {
        self.frame.len() == self.size
    }

    async fn receive(&mut self, stream: &mut Stream, shared: &Shared) -> io::Result<usize> {
        if self.paid <= self.frame.len() {
            let chunk = CHUNK_BYTES.max(self.frame.len()).min(self.size - self.paid);
            if !self.held.is_on_overdraft() {
                shared.budget.more(&shared.rt, &mut self.held, chunk).await;
                self.due_ms = None;
            }
            self.paid += chunk;
        }
        let most = self.paid.min(self.size) - self.frame.len();
        if self.held.is_on_overdraft() || shared.budget.is_short() {
            return self.receive_in_time(stream, shared, most).await;
        }
        self.due_ms = None;
        stream.read(&mut self.frame, most).await
    }

    async fn receive_in_time(&mut self, stream: &mut Stream, shared: &Shared, most: usize) -> io::Result<usize> {
        let limit = if self.held.is_on_overdraft() { OVERDRAFT_LIMIT } else { CHUNK_LIMIT };
        loop {
            let now_ms = shared.rt.mono_ms();
            let due_ms = *self.due_ms.get_or_insert(now_ms + limit.as_millis() as i64);
            let left = Duration::from_millis(u64::try_from(due_ms - now_ms).unwrap_or(0));
            if let Some(read) = shared.rt.timeout(left, stream.read(&mut self.frame, most)).await {
                return read;
            }
            if self.held.is_on_overdraft() || shared.budget.is_waited_for() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.due_ms = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use ottla_rt::{Rt, Threads, World};
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::memory::MemoryNetwork;
    use crate::stream::Carrier;
    use crate::{ConnectionLimits, Limits};

    fn frames(bytes: &[u8]) -> Incoming {
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        buffer.extend_from_slice(bytes);
        Incoming::Frames { buffer, handled: 0 }
    }

    fn shared(rt: Rt) -> Arc<Shared> {
        let connections = ConnectionLimits { max: 1, per_ip_max: 1, per_ip_overrides: Default::default() };
        let limits = Limits { request_bytes_max: 100_000, idle_max: Duration::from_secs(1), connections };
        Shared::new(rt, limits, 1 << 20)
    }

    /// With its size.
    fn frame(byte: u8, bytes: usize) -> Vec<u8> {
        [&(bytes as i32).to_be_bytes()[..], &vec![byte; bytes]].concat()
    }

    #[test]
    fn a_turn_has_all_whole_frames_and_keeps_the_rest() {
        let pool = Pool::default();
        let mut incoming = frames(b"\0\0\0\x0aabcdefghij\0\0\0\x0bklmnopqrstu\0\0\0\x0cvw");
        let mut seen = Vec::new();
        while let Some(frame) = incoming.next_frame(100).unwrap() {
            seen.push(incoming.bytes()[frame].to_vec());
        }
        assert_eq!(seen, [b"abcdefghij".to_vec(), b"klmnopqrstu".to_vec()]);
        incoming.forget_handled(&pool);
        assert_eq!(incoming.bytes(), b"\0\0\0\x0cvw");
        assert!(!incoming.has_whole_frame(100));
    }

    #[test]
    fn little_is_copied_of_a_large_frame_behind_another() {
        let world = World::new(1).unwrap();
        let rt = world.process("a").rt();
        let network = MemoryNetwork::new(rt.clone());
        let shared = shared(rt);
        let address: SocketAddr = "10.0.0.1:1".parse().unwrap();
        world.block_on(async {
            let mut listener = network.listen(address, 1).unwrap();
            let mut client = network.connect(address.ip(), address).await.unwrap();
            let mut stream = Stream::new(Carrier::Mem(listener.accept().await.unwrap().0));
            let mut incoming = Incoming::NOTHING;
            let mut first = Vec::new();
            for n in 0..2 {
                let frame = frame(n, 40_000);
                client.write_all(&frame).await.unwrap();
                first.push(incoming.receive(&mut stream, &shared).await.unwrap());
                while !incoming.has_whole_frame(100_000) {
                    incoming.receive(&mut stream, &shared).await.unwrap();
                }
                let range = incoming.next_frame(100_000).unwrap().unwrap();
                assert!(incoming.bytes()[range] == frame[SIZE_BYTES..]);
                incoming.forget_handled(&shared.pool);
            }
            assert!(first[0] > HEAD_BYTES && first[1] == HEAD_BYTES, "{first:?}");
        });
    }

    #[test]
    fn a_connection_at_rest_holds_no_buffer_behind_a_large_frame() {
        let (threads, rt) = Threads::start().unwrap();
        let shared = shared(rt.clone());
        threads.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut stream = Stream::new(Carrier::Tcp(listener.accept().await.unwrap().0));
            let mut incoming = Incoming::NOTHING;
            client.write_all(&frame(1, 70_000)).await.unwrap();
            while !incoming.has_whole_frame(100_000) {
                incoming.receive(&mut stream, &shared).await.unwrap();
            }
            incoming.next_frame(100_000).unwrap().unwrap();
            incoming.forget_handled(&shared.pool);
            let waited = rt.timeout(Duration::from_millis(1), incoming.receive(&mut stream, &shared)).await;
            assert!(waited.is_none() && matches!(incoming, Incoming::Nothing { is_after_large: true }));
            client.write_all(&frame(2, 70_000)).await.unwrap();
            assert_eq!(incoming.receive(&mut stream, &shared).await.unwrap(), HEAD_BYTES);
        });
    }

    #[test]
    fn sizes_that_no_frame_has_are_refused() {
        for size in [-1, 0, 9, i32::MIN, 101, i32::MAX] {
            let mut incoming = frames(&size.to_be_bytes());
            assert!(incoming.has_whole_frame(100), "{size}");
            assert!(incoming.next_frame(100).is_err(), "{size}");
        }
    }
}
