//! One connection: takes turns, sends, waits.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use ottla_rt::{Rt, Stop};
use ottla_wire::frame::FrameError;

use crate::incoming::Incoming;
use crate::limits::Place;
use crate::pool::BUFFER_BYTES;
use crate::replies::Reply;
use crate::send::send;
use crate::stream::Stream;
use crate::visits::Visit;
use crate::{BoxFuture, Next, Out, Replies, Service, Shared};

/// Replies are sent before the end of a turn once so much has gathered.
const GATHERED_BYTES_MAX: usize = 256 << 10;
const GATHERED_FILES_MAX: usize = 64;
/// A frame above this that amplifies may keep a processor busy for long. It is alone in its turn.
const HEAVY_FRAME_BYTES: usize = BUFFER_BYTES;
/// Above this it is decoded while no other such frame is (see `Budget::large_decode`).
const LARGE_DECODE_BYTES: usize = 1 << 20;
/// What a stopping broker gives the replies that still wait.
const STOP_LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct Conn<S: Service> {
    shared: Arc<Shared>,
    service: Arc<S>,
    stream: Stream,
    peer: Peer,
    session: S::Session,
    incoming: Incoming,
    replies: Replies,
    stop: Stop,
    last_active_ms: i64,
    /// Something was sent since the connection was last looked at for idleness.
    has_sent: bool,
    /// The turn had to wait since the service was told the time.
    has_waited: bool,
    visit: Visit,
    _place: Place,
}

/// A connection that was accepted.
pub(crate) struct Came {
    pub stream: Stream,
    pub peer: SocketAddr,
    pub place: Place,
    pub visit: Visit,
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
    #[error("the peer read nothing for connections.max.idle.ms")]
    NotReading,
    #[error("the broker stops")]
    Stop,
    #[error("the broker stops, and the peer does not read or an answer does not come")]
    Late,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl<S: Service> Conn<S> {
    pub(crate) fn new(shared: Arc<Shared>, service: Arc<S>, came: Came, stop: Stop) -> Conn<S> {
        let Came { stream, peer, place, visit } = came;
        Conn {
            session: service.connected(peer),
            last_active_ms: shared.rt.mono_ms(),
            has_sent: false,
            has_waited: false,
            shared,
            service,
            stream,
            peer: Peer(peer),
            incoming: Incoming::NOTHING,
            replies: Replies::default(),
            stop,
            visit,
            _place: place,
        }
    }

    /// Boxed, because the future would hold it twice.
    pub(crate) async fn run(mut self: Box<Self>) {
        let (shared, writes) = (self.shared.clone(), self.stream.writes());
        let (mut stop, mut stopping) = (self.stop.clone(), self.stop.clone());
        // Both are made once, not for each wait: most waits are short.
        let mut told = pin!(stopping.told());
        let mut idle = pin!(shared.rt.sleep_until(shared.idle_from_ms(self.last_active_ms)));
        let end = loop {
            let turned = {
                let (mut turn, mut late) = (pin!(self.turn()), pin!(late(&shared.rt, &mut stop)));
                let mut seen = None;
                loop {
                    tokio::select! {
                        biased;
                        turned = turn.as_mut() => break turned,
                        () = late.as_mut() => break Err(End::Late),
                        () = idle.as_mut() => {
                            let pending = writes.pending();
                            if pending.is_some() && pending == seen {
                                break Err(End::NotReading);
                            }
                            seen = pending;
                            idle.set(shared.rt.sleep_until(shared.idle_from_ms(shared.rt.mono_ms())));
                        }
                    }
                }
            };
            if let Err(end) = turned {
                break end;
            }
            match self.wait(told.as_mut(), idle.as_mut()).await {
                Ok(Woken::ByWork) => {}
                Ok(Woken::ByClock) if self.is_idle() => break End::Idle,
                Ok(Woken::ByClock) => idle.set(shared.rt.sleep_until(shared.idle_from_ms(self.last_active_ms))),
                Err(end) => break end,
            }
        };
        match end {
            End::Refused(_) | End::Frame(_) => tracing::info!(peer = %self.peer.0, "connection closed: {end}"),
            End::Stop => {
                seldom(shared.rt.timeout(STOP_LIMIT, self.drain())).await;
            }
            End::Idle | End::NotReading => self.visit.was_idle(),
            End::Closed | End::Late | End::Io(_) => {}
        }
    }

    /// Handles the whole frames that have arrived, as far as replies that wait leave room, and sends what is ready.
    async fn turn(&mut self) -> Result<(), End> {
        while !self.replies.is_full() {
            let Some(frame) = self.incoming.next_frame(self.shared.limits.request_bytes_max)? else { break };
            self.visit.volume.requests += 1;
            if frame.len() > HEAVY_FRAME_BYTES && self.service.amplifies(&self.incoming.bytes()[frame.clone()]) {
                seldom(self.handle_heavy(frame)).await?;
                continue;
            }
            self.go_on();
            match self.service.frame(&mut self.session, self.incoming.bytes(), frame, &mut self.replies) {
                Next::Frame => {
                    let (bytes, files) = self.replies.gathered();
                    if bytes > GATHERED_BYTES_MAX || files > GATHERED_FILES_MAX {
                        self.end_turn().await?;
                    }
                }
                Next::Barrier(reply) => {
                    seldom(self.await_barrier(reply)).await?;
                }
                Next::Close(why) => {
                    self.end_turn().await?;
                    return Err(End::Refused(why));
                }
            }
        }
        self.end_turn().await
    }

    /// A reply that all before it must have left for.
    async fn await_barrier(&mut self, reply: BoxFuture<Result<Out, &'static str>>) -> Result<(), End> {
        self.end_turn().await?;
        self.drain().await?;
        let out = reply.await.map_err(End::Refused)?;
        self.has_waited = true;
        self.replies.push(out);
        Ok(())
    }

    /// What is handled from here on is handled from now on, not since the turn began.
    fn go_on(&mut self) {
        if std::mem::take(&mut self.has_waited) {
            self.service.begin_turn(&mut self.session, self.shared.rt.mono_us());
        }
    }

    /// Handles a frame that may become much memory and keep a processor busy. Whatever waits for this client, or for
    /// others, is done before and after, not while another connection may have to wait for this one.
    async fn handle_heavy(&mut self, frame: Range<usize>) -> Result<(), End> {
        self.drain().await?;
        let shared = self.shared.clone();
        let alone = if frame.len() > LARGE_DECODE_BYTES {
            Some(noting(&mut self.has_waited, pin!(shared.budget.large_decode())).await)
        } else {
            None
        };
        self.go_on();
        let next = shared
            .rt
            .in_place(|| self.service.frame(&mut self.session, self.incoming.bytes(), frame, &mut self.replies));
        match next {
            Next::Frame => {
                drop(alone);
                self.end_turn().await
            }
            Next::Barrier(mut reply) => {
                self.end_turn().await?;
                let out = poll_fn(|cx| shared.rt.in_place(|| reply.as_mut().poll(cx))).await.map_err(End::Refused)?;
                drop(alone);
                self.has_waited = true;
                self.replies.push(out);
                Ok(())
            }
            Next::Close(why) => {
                drop(alone);
                self.end_turn().await?;
                Err(End::Refused(why))
            }
        }
    }

    async fn end_turn(&mut self) -> Result<(), End> {
        let next = self.service.end_turn(&mut self.session, self.incoming.bytes(), &mut self.replies);
        self.incoming.forget_handled(&self.shared.pool);
        self.send_ready().await?;
        self.visit.add_up();
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
            let bytes = out.size();
            noting(&mut self.has_waited, pin!(send(&self.shared, &mut self.stream, out))).await?;
            self.visit.volume.bytes_out += bytes;
            self.replies.sent();
            self.has_sent = true;
        }
        self.visit.volume.replies += self.replies.take_count();
        Ok(())
    }

    /// Sends all replies, those that wait when they have come.
    async fn drain(&mut self) -> Result<(), End> {
        loop {
            self.send_ready().await?;
            match self.replies.first() {
                Some(Reply::Waiting(reply)) => {
                    let out = noting(&mut self.has_waited, pin!(reply)).await;
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
        let Conn { shared, service, stream, incoming, replies, session, visit, .. } = self;
        let most = shared.limits.request_bytes_max;
        // While it waits behind a long poll, a large frame would keep the memory that it takes for as long.
        let must_wait =
            replies.is_waiting() && incoming.large_frame(most).is_some_and(|frame| service.amplifies(frame));
        let reads = !replies.is_full() && !incoming.has_whole_frame(most) && !must_wait;
        let hold_back = service.hold_back(session);
        if !replies.is_waiting() && matches!(incoming, Incoming::Nothing { .. }) {
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
            n = receive, if reads => match n? {
                0 => return Err(End::Closed),
                n => visit.volume.bytes_in += n as u64,
            },
            () = told => return Err(End::Stop),
            () = idle => return Ok(Woken::ByClock),
        }
        let now_us = self.shared.rt.mono_us();
        self.last_active_ms = now_us / 1000;
        self.has_waited = false;
        self.service.begin_turn(&mut self.session, now_us);
        Ok(Woken::ByWork)
    }

    fn is_idle(&mut self) -> bool {
        if std::mem::take(&mut self.has_sent) || self.replies.is_waiting() {
            self.last_active_ms = self.shared.rt.mono_ms();
        }
        self.shared.rt.mono_ms() >= self.shared.idle_from_ms(self.last_active_ms)
    }
}

/// Notes whether it has to be waited for. It stays where it is: taken by value, each connection would have room for it twice.
async fn noting<T>(has_waited: &mut bool, mut future: Pin<&mut impl Future<Output = T>>) -> T {
    let noted = poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        *has_waited |= polled.is_pending();
        polled
    });
    noted.await
}

/// What ends a wait.
enum Woken {
    ByWork,
    ByClock,
}

/// Until a broker that stops has given what goes on its time.
async fn late(rt: &Rt, stop: &mut Stop) {
    stop.told().await;
    seldom(rt.sleep(STOP_LIMIT)).await;
}

/// What a connection does seldom has room of its own while it is done, and none in every connection that there is.
fn seldom<F: Future>(future: F) -> Pin<Box<F>> {
    Box::pin(future)
}

/// Says whose connection it was when a bug ends its task.
struct Peer(SocketAddr);

impl Drop for Peer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(peer = %self.0, "a bug ended this connection");
        }
    }
}

#[cfg(test)]
mod tests;
