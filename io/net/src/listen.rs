//! Listening sockets and the loop that accepts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_rt::{Lane, Stop, Stopper, Task};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use crate::conn::{Came, Conn};
use crate::limits::Count;
use crate::memory::{MemoryListener, MemoryNetwork};
use crate::stream::{Carrier, Stream};
use crate::visits::{Visit, Visits};
use crate::{Service, Shared};

/// How long the accept loop rests when the process has no descriptors left.
const OUT_OF_DESCRIPTORS_REST: Duration = Duration::from_millis(100);

/// Where listeners listen.
#[derive(Clone, Debug)]
pub enum Network {
    Real,
    /// The simulation's.
    Memory(MemoryNetwork),
}

/// A bound listener that does not accept yet, so that its port is known before the broker says where it is.
#[derive(Debug)]
pub struct Bound {
    pub(crate) listener: Listener,
    pub address: SocketAddr,
}

#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Mem(MemoryListener),
}

/// Socket buffers of accepted connections (`socket.send.buffer.bytes`, `socket.receive.buffer.bytes`; `None` leaves them
/// to the system) and `socket.listen.backlog.size`.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    pub send_buffer_bytes: Option<u32>,
    pub receive_buffer_bytes: Option<u32>,
    pub backlog: u32,
}

impl Network {
    /// Must be called inside a runtime. In memory, an address has the port that it names.
    pub fn bind(&self, address: SocketAddr, options: SocketOptions) -> io::Result<Bound> {
        match self {
            Network::Real => {
                let listener = bind_tcp(address, options)?;
                Ok(Bound { address: listener.local_addr()?, listener: Listener::Tcp(listener) })
            }
            Network::Memory(network) => {
                Ok(Bound { address, listener: Listener::Mem(network.listen(address, options.backlog)?) })
            }
        }
    }
}

fn bind_tcp(address: SocketAddr, options: SocketOptions) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    if let Some(bytes) = options.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(address)?;
    socket.listen(options.backlog)
}

impl Listener {
    pub(crate) async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Listener::Tcp(listener) => {
                listener.accept().await.map(|(tcp, peer)| (Stream::new(Carrier::Tcp(tcp)), peer))
            }
            Listener::Mem(listener) => {
                listener.accept().await.map(|(mem, peer)| (Stream::new(Carrier::Mem(mem)), peer))
            }
        }
    }
}

/// A listener that accepts until it is stopped.
#[derive(Debug)]
pub struct Listening {
    visits: Arc<Visits>,
    connections: Arc<Count>,
    stop: Stopper,
    accepting: Task<()>,
    /// Closed once the accept loop and every connection have ended.
    ended: mpsc::Receiver<()>,
}

impl Listening {
    /// `shared` is the same for all listeners of a process; `connections_max` is the limit of this one.
    pub fn start<S: Service>(shared: &Arc<Shared>, bound: Bound, service: Arc<S>, connections_max: usize) -> Listening {
        let (stop, visits) = (Stopper::default(), Arc::<Visits>::default());
        let connections = Arc::new(Count::new(connections_max));
        let (alive, ended) = mpsc::channel(1);
        let (own, visits_again) = (connections.clone(), visits.clone());
        let keeper = Keeper { shared: shared.clone(), service, connections: own, visits: visits_again, alive };
        let accepting = shared.rt.spawn(Lane::Data, "accept", accept(bound.listener, keeper, stop.listener()));
        Listening { visits, connections, stop, accepting, ended }
    }

    pub fn visits(&self) -> &Arc<Visits> {
        &self.visits
    }

    /// Another limit holds from now on. Connections that are there stay.
    pub fn set_connections_max(&self, most: usize) {
        self.connections.set_most(most);
    }

    /// Accepts no more. When this returns the address is free; [`Listening::stop`] waits for the connections.
    pub async fn close(&mut self) {
        self.stop.stop();
        // A panic has closed it too.
        let _ = (&mut self.accepting).await;
    }

    /// Accepts no more, lets each connection send the replies that it owes (for a bounded time), and closes them.
    pub async fn stop(mut self) {
        self.stop.stop();
        self.ended.recv().await;
    }
}

/// What an accept loop has for its connections.
struct Keeper<S> {
    shared: Arc<Shared>,
    service: Arc<S>,
    connections: Arc<Count>,
    visits: Arc<Visits>,
    alive: mpsc::Sender<()>,
}

async fn accept<S: Service>(mut listener: Listener, keeper: Keeper<S>, stopped: Stop) {
    let Keeper { shared, service, connections, visits, alive } = keeper;
    let mut stopping = stopped.clone();
    let mut is_failing = false;
    loop {
        // Accepts first: a listener to which nobody comes must not keep a place.
        let accepted = async {
            let (stream, peer) = listener.accept().await?;
            let own = connections.room().await;
            io::Result::Ok((stream, peer, [own, shared.connections.all.room().await]))
        };
        let (stream, peer, rooms) = tokio::select! {
            biased;
            () = stopping.told() => return,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!("cannot accept connections, which is tried again: {error}");
                    }
                    shared.rt.sleep(OUT_OF_DESCRIPTORS_REST).await;
                    continue;
                }
            },
        };
        if std::mem::take(&mut is_failing) {
            tracing::info!("connections are accepted again");
        }
        let Some(place) = shared.connections.enter(rooms, peer.ip()) else { continue };
        if stream.set_nodelay().is_err() {
            continue;
        }
        let came = Came { stream, peer, place, visit: Visit::begin(&visits) };
        let conn = Box::new(Conn::new(shared.clone(), service.clone(), came, stopped.clone()));
        let alive = alive.clone();
        shared.rt.spawn(Lane::Data, "connection", async move {
            conn.run().await;
            drop(alive);
        });
    }
}

/// The connection was gone before it was accepted; the next one may be well.
pub(crate) fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(error.kind(), ConnectionAborted | ConnectionReset | ConnectionRefused | Interrupted)
}
