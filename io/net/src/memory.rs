//! A network in memory, for the simulation.
//!
//! A connection is two ends and a link between them. What an end writes lies in a [`Pipe`] until the link fetches it,
//! carries it for as long as the [`Weather`] says, and lays it into the pipe that the other end reads. On the way a piece
//! can be split; the connection can be cut, so that both ends get an error, or lost, so that nothing arrives any more and
//! nobody is told. All that happens is drawn from the [`Rt`] that the network was given.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ottla_rt::{Lane, Rt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use crate::pipe::Pipe;

/// What one direction of one end holds before its writer has to wait.
const PIPE_BYTES: usize = 16 << 10;
/// Of a piece that is split at most so much is carried at once.
const SPLIT_BYTES_MAX: u64 = 64;
/// The first port that a connecting end has.
const FIRST_PORT: u16 = 32_768;

/// What befalls a piece of bytes on its way, of a thousand pieces so many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Every piece takes at most so long.
    pub delay_ms_max: u64,
    pub splits_per_mille: u64,
    pub cuts_per_mille: u64,
    pub losses_per_mille: u64,
}

/// Clones are the same network.
#[derive(Clone, Debug)]
pub struct MemoryNetwork(Arc<Net>);

#[derive(Debug)]
struct Net {
    rt: Rt,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    weather: Weather,
    listeners: BTreeMap<SocketAddr, mpsc::Sender<(MemoryStream, SocketAddr)>>,
    next_port: u16,
}

/// Takes the connections to one address, as long as it lives.
#[derive(Debug)]
pub(crate) struct MemoryListener(mpsc::Receiver<(MemoryStream, SocketAddr)>);

/// One end of a connection. Dropped, it is closed.
#[derive(Debug)]
pub struct MemoryStream {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
}

/// What lies between two ends.
#[derive(Debug)]
struct Link {
    net: Arc<Net>,
    pipes: [Arc<Pipe>; 4],
    is_lost: AtomicBool,
}

impl MemoryNetwork {
    pub fn new(rt: Rt) -> MemoryNetwork {
        let state = State { weather: Weather::default(), listeners: BTreeMap::new(), next_port: FIRST_PORT };
        MemoryNetwork(Arc::new(Net { rt, state: Mutex::new(state) }))
    }

    pub fn set_weather(&self, weather: Weather) {
        self.0.state().weather = weather;
    }

    /// Connects from a machine to a listener.
    pub async fn connect(&self, from: IpAddr, to: SocketAddr) -> io::Result<MemoryStream> {
        let net = &self.0;
        net.delay().await;
        let (listener, from) = {
            let mut state = net.state();
            let listener = state.listeners.get(&to).cloned().ok_or(ErrorKind::ConnectionRefused)?;
            let from = SocketAddr::new(from, state.next_port);
            state.next_port = state.next_port.checked_add(1).unwrap_or(FIRST_PORT);
            (listener, from)
        };
        let pipes = [(); 4].map(|()| Arc::new(Pipe::new(PIPE_BYTES)));
        let [here_out, there_in, there_out, here_in] = pipes.clone();
        let link = Arc::new(Link { net: net.clone(), pipes, is_lost: AtomicBool::new(false) });
        let there = MemoryStream { incoming: there_in.clone(), outgoing: there_out.clone() };
        let here = MemoryStream { incoming: here_in.clone(), outgoing: here_out.clone() };
        // Where all places are taken the other side does not answer, and where nobody listens it says so.
        listener.send((there, from)).await.map_err(|_| ErrorKind::ConnectionRefused)?;
        net.rt.spawn(Lane::Data, "link", link.clone().carry(here_out, there_in));
        net.rt.spawn(Lane::Data, "link", link.carry(there_out, here_in));
        Ok(here)
    }

    pub(crate) fn listen(&self, address: SocketAddr, backlog: u32) -> io::Result<MemoryListener> {
        let (sender, receiver) = mpsc::channel(backlog.max(1) as usize);
        let mut state = self.0.state();
        if state.listeners.get(&address).is_some_and(|listener| !listener.is_closed()) {
            return Err(ErrorKind::AddrInUse.into());
        }
        state.listeners.insert(address, sender);
        Ok(MemoryListener(receiver))
    }
}

impl Net {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn weather(&self) -> Weather {
        self.state().weather
    }

    fn draw(&self, per_mille: u64) -> bool {
        self.rt.random_u64() % 1000 < per_mille
    }

    async fn delay(&self) {
        let ms = self.rt.random_u64() % (self.weather().delay_ms_max + 1);
        self.rt.sleep(Duration::from_millis(ms)).await;
    }
}

impl MemoryListener {
    pub async fn accept(&mut self) -> io::Result<(MemoryStream, SocketAddr)> {
        // The network that holds the other end may be gone.
        self.0.recv().await.ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

impl Link {
    /// One direction: carries what is in `from` to `to`, until one of them ends.
    async fn carry(self: Arc<Self>, from: Arc<Pipe>, to: Arc<Pipe>) {
        while let Ok(piece) = self.next_piece(&from).await {
            self.net.delay().await;
            let Weather { cuts_per_mille, losses_per_mille, .. } = self.net.weather();
            if self.net.draw(losses_per_mille) {
                self.is_lost.store(true, Ordering::Relaxed);
            }
            if self.is_lost.load(Ordering::Relaxed) {
                return;
            }
            if piece.is_empty() {
                return to.close();
            }
            if self.net.draw(cuts_per_mille) || put(&to, &piece).await.is_err() {
                break;
            }
        }
        self.pipes.iter().for_each(|pipe| pipe.cut());
    }

    /// Empty at the end.
    async fn next_piece(&self, from: &Pipe) -> io::Result<Vec<u8>> {
        std::future::poll_fn(|cx| from.poll_readable(cx)).await?;
        let most = if self.net.draw(self.net.weather().splits_per_mille) {
            1 + self.net.rt.random_u64() % SPLIT_BYTES_MAX
        } else {
            PIPE_BYTES as u64
        };
        std::future::poll_fn(|cx| from.poll_read(cx, most as usize)).await
    }
}

async fn put(to: &Pipe, mut piece: &[u8]) -> io::Result<()> {
    while !piece.is_empty() {
        let count = std::future::poll_fn(|cx| to.poll_write(cx, piece)).await?;
        piece = &piece[count..];
    }
    Ok(())
}

impl MemoryStream {
    /// Waits until a read would not.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.incoming.poll_readable(cx)).await
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let bytes = ready!(self.incoming.poll_read(cx, buf.remaining()))?;
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.outgoing.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        self.outgoing.close();
        self.incoming.cut();
    }
}

#[cfg(test)]
mod tests {
    use ottla_rt::World;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn there() -> SocketAddr {
        "10.0.0.2:9092".parse().unwrap()
    }

    /// Sends bytes there and back; gives what came back.
    fn echo(seed: u64, weather: Weather, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let world = World::new(seed).unwrap();
        let rt = world.process("a").rt();
        let network = MemoryNetwork::new(rt.clone());
        network.set_weather(weather);
        world.block_on(async {
            let mut listener = network.listen(there(), 1)?;
            rt.spawn(Lane::Data, "echo", async move {
                let (stream, peer) = listener.accept().await?;
                assert_eq!(peer.ip(), HERE);
                let (mut reader, mut writer) = tokio::io::split(stream);
                tokio::io::copy(&mut reader, &mut writer).await?;
                writer.shutdown().await
            });
            let mut stream = network.connect(HERE, there()).await?;
            let (sent, mut back) = (bytes.to_vec(), Vec::new());
            let exchange = async {
                stream.write_all(&sent).await?;
                stream.shutdown().await?;
                stream.read_to_end(&mut back).await
            };
            let ended = rt.timeout(Duration::from_secs(60), exchange).await;
            ended.unwrap_or(Err(ErrorKind::TimedOut.into()))?;
            Ok(back)
        })
    }

    const BYTES: &[u8] = &[7; 1000];

    #[test]
    fn what_is_sent_arrives_in_order_and_pieces() {
        let bytes: Vec<u8> = (0..40_000_u32).map(|n| n as u8).collect();
        let weather = Weather { delay_ms_max: 9, splits_per_mille: 500, ..Weather::default() };
        assert_eq!(echo(1, weather, &bytes).unwrap(), bytes);
    }

    #[test]
    fn a_cut_is_an_error_and_a_loss_is_silence() {
        let cut = echo(1, Weather { cuts_per_mille: 1000, ..Weather::default() }, BYTES);
        assert_eq!(cut.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let lost = echo(1, Weather { losses_per_mille: 1000, ..Weather::default() }, BYTES);
        assert_eq!(lost.unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn an_address_has_one_listener_and_without_it_refuses() {
        let world = World::new(1).unwrap();
        let network = MemoryNetwork::new(world.process("a").rt());
        let listener = network.listen(there(), 1).unwrap();
        assert_eq!(network.listen(there(), 1).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(listener);
        let refused = world.block_on(network.connect(HERE, there())).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(network.listen(there(), 1).is_ok());
    }
}
