//! One connection: takes turns, sends, waits.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use ottla_rt::{Rt, Stop};
use ottla_wire::frame::FrameError;

use crate::incoming::Incoming;
use crate::limits::Place;
use crate::pool::Pool;
use crate::replies::Reply;
use crate::send::send;
use crate::stream::Stream;
use crate::{Budget, Limits, Next, Replies, Service};

/// Replies are sent before the end of a turn once so much has gathered.
const GATHERED_BYTES_MAX: usize = 256 << 10;
const GATHERED_FILES_MAX: usize = 64;
/// A frame above this is decoded while no other such frame is (see [`Budget::large_decode`]).
const LARGE_DECODE_BYTES: usize = 1 << 20;
/// What a stopping broker gives the replies that still wait.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What all connections of a process share.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    pub rt: Rt,
    pub service: Arc<S>,
    pub limits: Limits,
    pub budget: Budget,
    pub pool: Pool,
}

pub(crate) struct Conn<S: Service> {
    shared: Arc<Shared<S>>,
    stream: Stream,
    peer: SocketAddr,
    session: S::Session,
    incoming: Incoming,
    replies: Replies,
    stop: Stop,
    last_active_ms: i64,
    /// Something was sent since the connection was last looked at for idleness.
    has_sent: bool,
    _place: Place,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("{0}")]
    Refused(&'static str),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the peer closed")]
    Closed,
    #[error("nothing came for connections.max.idle.ms")]
    Idle,
    #[error("the broker stops")]
    Stop,
    #[error("the broker stops, and the peer does not read or an answer does not come")]
    Late,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl<S: Service> Conn<S> {
    pub(crate) fn new(shared: Arc<Shared<S>>, stream: Stream, peer: SocketAddr, place: Place, stop: Stop) -> Conn<S> {
        Conn {
            session: shared.service.connected(peer),
            last_active_ms: shared.rt.mono_ms(),
            has_sent: false,
            shared,
            stream,
            peer,
            incoming: Incoming::Nothing,
            replies: Replies::default(),
            stop,
            _place: place,
        }
    }

    /// Boxed, because the future would hold it twice.
    pub(crate) async fn run(mut self: Box<Self>) {
        let _report = ReportPanic(self.peer);
        let (rt, mut stop, mut stopping) = (self.shared.rt.clone(), self.stop.clone(), self.stop.clone());
        // Both are made once, not for each wait: most waits are short.
        let mut told = pin!(stopping.told());
        let mut idle = pin!(rt.sleep_until(self.idle_from_ms()));
        let end = loop {
            let turned = tokio::select! {
                biased;
                turned = self.turn() => turned,
                () = late(&rt, &mut stop) => Err(End::Late),
            };
            if let Err(end) = turned {
                break end;
            }
            match self.wait(told.as_mut(), idle.as_mut()).await {
                Ok(Woken::ByWork) => {}
                Ok(Woken::ByClock) if self.is_idle() => break End::Idle,
                Ok(Woken::ByClock) => idle.set(rt.sleep_until(self.idle_from_ms())),
                Err(end) => break end,
            }
        };
        match end {
            End::Refused(_) | End::Frame(_) => tracing::info!(peer = %self.peer, "connection closed: {end}"),
            End::Stop => {
                rt.timeout(STOP_LIMIT, self.drain()).await;
            }
            End::Closed | End::Idle | End::Late | End::Io(_) => {}
        }
    }

    /// Handles the whole frames that have arrived, as far as replies that wait leave room, and sends what is ready.
    async fn turn(&mut self) -> Result<(), End> {
        while !self.replies.is_full() {
            let Some(frame) = self.incoming.next_frame(self.shared.limits.request_bytes_max)? else { break };
            let service = self.shared.service.clone();
            let bytes = self.incoming.bytes();
            let _alone = if frame.len() > LARGE_DECODE_BYTES && service.amplifies(&bytes[frame.clone()]) {
                Some(self.shared.budget.large_decode().await)
            } else {
                None
            };
            let next = service.frame(&mut self.session, bytes, frame, &mut self.replies);
            let (bytes, files) = self.replies.gathered();
            match next {
                Next::Frame if bytes <= GATHERED_BYTES_MAX && files <= GATHERED_FILES_MAX => {}
                Next::Frame => self.end_turn().await?,
                Next::Barrier(reply) => {
                    self.end_turn().await?;
                    self.drain().await?;
                    let out = reply.await;
                    self.replies.push(out);
                }
                Next::Close(why) => {
                    self.end_turn().await?;
                    return Err(End::Refused(why));
                }
            }
        }
        self.end_turn().await
    }

    async fn end_turn(&mut self) -> Result<(), End> {
        let next = self.shared.service.end_turn(&mut self.session, self.incoming.bytes(), &mut self.replies);
        self.incoming.forget_handled(&self.shared.pool);
        self.send_ready().await?;
        match next {
            Next::Close(why) => Err(End::Refused(why)),
            Next::Frame | Next::Barrier(_) => Ok(()),
        }
    }

    /// Sends the replies before the first that waits.
    async fn send_ready(&mut self) -> Result<(), End> {
        while let Some(Reply::Ready(out)) = self.replies.first() {
            if out.is_empty() {
                break;
            }
            send(&self.shared, &mut self.stream, out).await?;
            self.replies.sent();
            self.has_sent = true;
        }
        Ok(())
    }

    /// Sends all replies, those that wait when they have come.
    async fn drain(&mut self) -> Result<(), End> {
        loop {
            self.send_ready().await?;
            match self.replies.first() {
                Some(Reply::Waiting(reply)) => {
                    let out = reply.await;
                    self.replies.came(out);
                }
                Some(Reply::Ready(_)) | None => return Ok(()),
            }
        }
    }

    /// Waits until there is something to do: bytes, or the first reply that waits; or to look whether it is idle.
    async fn wait(
        &mut self,
        told: Pin<&mut impl Future<Output = ()>>,
        idle: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Woken, End> {
        let Conn { shared, stream, incoming, replies, session, .. } = self;
        let reads = !replies.is_full() && !incoming.has_whole_frame(shared.limits.request_bytes_max);
        let hold_back = shared.service.hold_back(session);
        if !replies.is_waiting() && matches!(incoming, Incoming::Nothing) {
            replies.shrink();
        }
        let first = async {
            match replies.first() {
                Some(Reply::Waiting(reply)) => reply.await,
                Some(Reply::Ready(_)) | None => std::future::pending().await,
            }
        };
        let receive = async {
            if let Some(hold_back) = hold_back {
                hold_back.await;
            }
            incoming.receive(stream, shared).await
        };
        tokio::select! {
            biased;
            out = first => replies.came(out),
            n = receive, if reads => {
                if n? == 0 {
                    return Err(End::Closed);
                }
            }
            () = told => return Err(End::Stop),
            () = idle => return Ok(Woken::ByClock),
        }
        self.last_active_ms = self.shared.rt.mono_ms();
        Ok(Woken::ByWork)
    }

    /// When the connection is idle, if nothing happens before.
    fn idle_from_ms(&self) -> i64 {
        let idle_ms = i64::try_from(self.shared.limits.idle_max.as_millis()).unwrap_or(i64::MAX);
        self.last_active_ms.saturating_add(idle_ms)
    }

    fn is_idle(&mut self) -> bool {
        if std::mem::take(&mut self.has_sent) || self.replies.is_waiting() {
            self.last_active_ms = self.shared.rt.mono_ms();
        }
        self.shared.rt.mono_ms() >= self.idle_from_ms()
    }
}

/// What ends a wait.
enum Woken {
    ByWork,
    ByClock,
}

/// Until a broker that stops has given what goes on its time.
async fn late(rt: &Rt, stop: &mut Stop) {
    stop.told().await;
    rt.sleep(STOP_LIMIT).await;
}

/// Says whose connection it was when a bug ends its task.
struct ReportPanic(SocketAddr);

impl Drop for ReportPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(peer = %self.0, "a bug ended this connection");
        }
    }
}
