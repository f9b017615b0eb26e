//! The listeners, which may come and go while the broker runs (KIP-226).
//!
//! `listeners` of one broker can be changed, as long as those that it was started with stay where they are and what is
//! advertised stays. What it names no more, or at another address, is closed first: what is new may want its port.
//! Connections of a closed listener get the replies that they are owed, among them perhaps the one to the change itself, and
//! end. A listener that cannot be bound is refused when it is asked for, if that can be seen then; where it comes out later, or
//! at a start, the others are served, and it is tried again.
//!
//! How many connections each may have is followed here too (`listener.name.<name>.max.connections`).

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_config::{LISTENERS_MAX, Listener, Listeners as Wanted, ServerConfig, ServerLayers, keys};
use ottla_net::{Bound, ConnectionLimits, Listening, Network, Shared, SocketOptions, Visits};
use ottla_rt::{Lane, Rt, Stop, Task};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use crate::Broker;
use crate::serve::Served;

/// How often a listener that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Listeners {
    rt: Rt,
    network: Network,
    shared: Arc<Shared>,
    config: Arc<ServerConfig>,
    /// `None` once the broker stops.
    open: Mutex<Option<Vec<Open>>>,
    /// Others may be wanted.
    changed: Notify,
    /// Who binds: a look at what can be bound and the binding itself must not take each other's ports, and names that are looked
    /// up slowly take one thread at the most.
    binding: AsyncMutex<()>,
    /// Those that are closed, until their connections have ended.
    closing: Mutex<Vec<Task<()>>>,
}

/// A listener that accepts.
#[derive(Debug)]
struct Open {
    listener: Listener,
    port: u16,
    listening: Listening,
}

impl Listeners {
    pub fn new(rt: Rt, network: Network, shared: Arc<Shared>, config: Arc<ServerConfig>) -> Listeners {
        let (changed, binding, closing) = (Notify::new(), AsyncMutex::new(()), Mutex::default());
        Listeners { rt, network, shared, config, open: Mutex::new(Some(Vec::new())), changed, binding, closing }
    }

    pub fn network(&self) -> &Shared {
        &self.shared
    }

    /// Of each listener, by its name, how many connections it has had.
    pub fn visits(&self) -> Vec<(String, Arc<Visits>)> {
        let visits = |open: &Open| (open.listener.name.clone(), open.listening.visits().clone());
        self.open().iter().flatten().map(visits).collect()
    }

    /// Begins to accept on a listener that is bound, if the broker does not stop.
    pub fn accept(&self, broker: &Arc<Broker>, listener: Listener, bound: Bound) {
        let service = Served { broker: broker.clone(), listener: listener.name.as_str().into() };
        // Under the lock: neither who stops the broker nor who changes limits misses it.
        if let Some(open) = &mut *self.open() {
            let published = broker.published.load_full();
            let layers = published.image.configs().layers(&self.config);
            let (port, most) = (bound.address.port(), connections_max(&layers, &listener));
            let listening = Listening::start(&self.shared, bound, Arc::new(service), most);
            open.push(Open { listener, port, listening });
        }
    }

    /// Goes by a configuration of the broker that may be another: its limits at once, its listeners soon. It is told of the first one
    /// too, and then opens what was added while an earlier start ran.
    pub fn follow(&self, layers: &ServerLayers<'_>) {
        self.shared.set_connection_limits(connection_limits(layers));
        for open in self.open().iter().flatten() {
            open.listening.set_connections_max(connections_max(layers, &open.listener));
        }
        self.changed.notify_one();
    }

    /// Opens and closes listeners as they are wanted, until `stop`.
    pub async fn run(self: Arc<Listeners>, broker: Arc<Broker>, mut stop: Stop) {
        let mut failing = BTreeSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.told() => return,
                () = self.changed.notified() => {}
                () = self.rt.sleep(RETRY), if !failing.is_empty() => {}
            }
            self.adjust(&broker, &mut failing, &mut stop).await;
        }
    }

    /// `failing` are those of which the log has told that they cannot be bound.
    async fn adjust(&self, broker: &Arc<Broker>, failing: &mut BTreeSet<String>, stop: &mut Stop) {
        let _alone = self.binding.lock().await;
        let published = broker.published.load_full();
        let Ok(Wanted { broker: wanted, .. }) = published.image.configs().layers(&self.config).listeners() else {
            // A start has told of it.
            return;
        };
        for mut open in self.take_unwanted(&wanted) {
            tracing::info!("closing the listener {}", open.listener);
            open.listening.close().await;
            let ending = self.rt.spawn(Lane::Control, "close listener", open.listening.stop());
            let mut closing = lock(&self.closing);
            closing.retain(|task| !task.is_over());
            closing.push(ending);
        }
        failing.retain(|name| wanted.iter().any(|listener| listener.to_string() == *name));
        for listener in self.missing(wanted) {
            let name = listener.to_string();
            let bound = tokio::select! {
                biased;
                () = stop.told() => return,
                bound = self.bind(&listener.host, listener.port) => bound,
            };
            match bound {
                Ok(bound) => {
                    tracing::info!("listening on {name}");
                    failing.remove(&name);
                    self.accept(broker, listener, bound);
                }
                Err(error) => {
                    if failing.insert(name) {
                        tracing::error!("cannot listen on {listener}, which is tried again: {error}");
                    }
                }
            }
        }
    }

    fn take_unwanted(&self, wanted: &[Listener]) -> Vec<Open> {
        let is_unwanted = |open: &mut Open| !wanted.contains(&open.listener);
        self.open().as_mut().map_or_else(Vec::new, |open| open.extract_if(.., is_unwanted).collect())
    }

    /// None once the broker stops.
    fn missing(&self, wanted: Vec<Listener>) -> Vec<Listener> {
        let open = self.open();
        let Some(open) = &*open else { return Vec::new() };
        let is_open = |listener: &Listener| open.iter().any(|open| open.listener == *listener);
        wanted.into_iter().filter(|listener| !is_open(listener)).collect()
    }

    async fn bind(&self, host: &str, port: u16) -> io::Result<Bound> {
        let host = host.to_owned();
        let address = self.rt.blocking(move || address_of(&host, port)).await?;
        self.network.bind(address, socket_options(&self.config))
    }

    /// The first of these, as `listeners` has them, that could not be bound, and why. One that is wrong otherwise is not looked
    /// at, nor one that the broker was started with. Of one with the port of a listener that is open, which may be about to close,
    /// it is only seen whether its host is this machine.
    pub async fn first_unbindable(&self, texts: &str) -> Option<String> {
        let _alone = self.binding.lock().await;
        let layers = ServerLayers::of(&self.config);
        let added = texts.split(',').take(LISTENERS_MAX).filter_map(Listener::parse);
        for listener in added.filter(|listener| layers.started_with(&listener.name).is_none()) {
            let is_taken_by_us = self.open().iter().flatten().any(|open| open.port == listener.port);
            let port = if is_taken_by_us { 0 } else { listener.port };
            if let Err(error) = self.bind(&listener.host, port).await {
                return Some(format!("cannot listen on {listener}: {error}"));
            }
        }
        None
    }

    /// Accepts no more, and waits for a bounded time until the connections have what they are owed.
    pub async fn stop(&self) {
        let open = self.open().take();
        let mut ending = std::mem::take(&mut *lock(&self.closing));
        let stop = |open: Open| self.rt.spawn(Lane::Control, "close listener", open.listening.stop());
        ending.extend(open.into_iter().flatten().map(stop));
        for ending in ending {
            let _ = ending.await;
        }
    }

    fn open(&self) -> MutexGuard<'_, Option<Vec<Open>>> {
        lock(&self.open)
    }
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Blocks for as long as the system looks for the name.
pub fn address_of(host: &str, port: u16) -> io::Result<SocketAddr> {
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let mut addresses = (host, port).to_socket_addrs()?;
    addresses.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

pub fn socket_options(config: &ServerConfig) -> SocketOptions {
    SocketOptions {
        send_buffer_bytes: u32::try_from(config.get(keys::SOCKET_SEND_BUFFER_BYTES)).ok(),
        receive_buffer_bytes: u32::try_from(config.get(keys::SOCKET_RECEIVE_BUFFER_BYTES)).ok(),
        backlog: u32::try_from(config.get(keys::SOCKET_LISTEN_BACKLOG_SIZE)).unwrap_or(1),
    }
}

/// The limits of the process.
pub fn connection_limits(layers: &ServerLayers<'_>) -> ConnectionLimits {
    let overrides = layers.connections_per_ip_overrides();
    ConnectionLimits {
        max: count(layers.get(keys::MAX_CONNECTIONS)),
        per_ip_max: count(layers.get(keys::MAX_CONNECTIONS_PER_IP)),
        per_ip_overrides: overrides.into_iter().map(|(ip, most)| (ip, count(most))).collect(),
    }
}

fn connections_max(layers: &ServerLayers<'_>, listener: &Listener) -> usize {
    count(layers.max_connections_of(listener))
}

fn count(count: i32) -> usize {
    usize::try_from(count).unwrap_or(0)
}
