//! Listeners and connections: bytes in, turns of frames to a [`Service`], replies out in order.
//!
//! The naive server answers one frame, writes, and reads the next: three system calls and a wake-up for a request of
//! 100 bytes. Here a connection takes **turns**. A turn is all whole frames of one read: each goes to the service in
//! order, the service may stage what it has to write and is told when the turn ends, and all replies that are ready leave
//! in one write. A reply that must wait keeps its place in [`Replies`]; what is behind it may go on.
//!
//! Nothing here knows what is in a frame. Memory follows what has arrived, not what was announced (`budget.rs`); an idle
//! connection holds no buffer; record bytes go from file to socket without passing through ours ([`Out::parts`]).

mod budget;
mod conn;
mod incoming;
mod limits;
mod listen;
mod memory;
mod pipe;
mod plain;
mod pool;
mod replies;
mod send;
mod shared;
mod stream;
mod visits;

pub use limits::{ConnectionLimits, Limits};
pub use listen::{Bound, Listening, Network, SocketOptions};
pub use memory::{MemoryNetwork, MemoryStream, Weather};
pub use plain::ByteStream;
pub use replies::{Files, Out, Replies};
pub use shared::Shared;
pub use visits::{Visits, Volume};

use std::future::Future;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;

pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What answers the frames of connections.
pub trait Service: Send + Sync + 'static {
    /// What one connection keeps from frame to frame.
    type Session: Send + 'static;

    fn connected(&self, peer: SocketAddr) -> Self::Session;

    /// Something has come to do, at this time ([`Rt::mono_us`](ottla_rt::Rt::mono_us)), or the turn goes on after a wait:
    /// frames that follow are handled from then on.
    fn begin_turn(&self, session: &mut Self::Session, now_us: i64);

    /// Whether decoding this frame, of which the beginning is given, takes many times its size: such frames, if large, are
    /// handled one at a time, and not read before all earlier replies have left.
    fn amplifies(&self, frame: &[u8]) -> bool;

    /// Handles the frame that lies at `frame` in `buffer` (without its size). What it stages for the end of the turn may
    /// refer to ranges of `buffer`, which stays as it is until [`Service::end_turn`].
    fn frame(&self, session: &mut Self::Session, buffer: &[u8], frame: Range<usize>, replies: &mut Replies) -> Next;

    /// Does what the turn's frames staged, and queues their replies.
    fn end_turn(&self, session: &mut Self::Session, buffer: &[u8], replies: &mut Replies) -> Next;

    /// While this is `Some`, connections with `session` are not read from: they would only add to what waits for a disk.
    fn hold_back(&self, session: &Self::Session) -> Option<BoxFuture<()>>;
}

/// What a connection does after a frame.
#[must_use]
pub enum Next {
    /// Goes on with the next frame.
    Frame,
    /// A barrier: runs this after all earlier replies have left, and handles nothing until it is done. An error closes the
    /// connection; its text is for the log.
    Barrier(BoxFuture<Result<Out, &'static str>>),
    /// Closes the connection, after what was already ready to leave. The text is for the log.
    Close(&'static str),
}

impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Next::Frame => f.write_str("Frame"),
            Next::Barrier(_) => f.write_str("Barrier"),
            Next::Close(why) => f.debug_tuple("Close").field(why).finish(),
        }
    }
}
