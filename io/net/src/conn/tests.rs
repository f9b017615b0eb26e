//! Clients that stall, on the network in memory and in virtual time.

use std::future::pending;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use ottla_rt::World;
use ottla_wire::frame::SIZE_BYTES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    BoxFuture, ConnectionLimits, Limits, Listening, MemoryNetwork, MemoryStream, Network, Out, SocketOptions, Volume,
};

const KIB: usize = 1 << 10;
const IDLE: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_secs(5);

/// What a frame asks of [`Scripted`]: its key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// As a Produce request: what is staged is answered at the end of the turn.
    Hot = 0,
    /// An answer that never comes.
    LongPoll = 1,
    Cold = 2,
    /// An answer of [`LARGE_ANSWER_BYTES`].
    LargeAnswer = 3,
    Refused = 4,
}

const LARGE_ANSWER_BYTES: usize = 256 * KIB;

struct Scripted;

impl Service for Scripted {
    /// Frames that are staged.
    type Session = usize;

    fn connected(&self, _: SocketAddr) -> usize {
        0
    }

    fn begin_turn(&self, _: &mut usize, _: i64) {}

    fn amplifies(&self, frame: &[u8]) -> bool {
        frame.get(1).is_some_and(|key| *key != Ask::Hot as u8)
    }

    fn frame(&self, staged: &mut usize, buffer: &[u8], frame: Range<usize>, replies: &mut Replies) -> Next {
        const HOT: u8 = Ask::Hot as u8;
        const LONG_POLL: u8 = Ask::LongPoll as u8;
        const LARGE_ANSWER: u8 = Ask::LargeAnswer as u8;
        const REFUSED: u8 = Ask::Refused as u8;
        let answer = |bytes: usize| Out { bytes: vec![1; bytes], ..Out::default() };
        match buffer[frame][1] {
            HOT => {
                *staged += 1;
                Next::Frame
            }
            LONG_POLL => {
                replies.later(Box::pin(pending()));
                Next::Frame
            }
            LARGE_ANSWER => Next::Barrier(Box::pin(async move { Ok(answer(LARGE_ANSWER_BYTES)) })),
            REFUSED => Next::Barrier(Box::pin(async { Err("it is refused") })),
            _ => Next::Barrier(Box::pin(async move { Ok(answer(1)) })),
        }
    }

    fn end_turn(&self, staged: &mut usize, _: &[u8], replies: &mut Replies) -> Next {
        if *staged > 0 {
            replies.out().bytes.resize(std::mem::take(staged), 1);
        }
        Next::Frame
    }

    fn hold_back(&self, _: &usize) -> Option<BoxFuture<()>> {
        None
    }
}

/// Listeners of one process, on ports from 1 on.
struct Site {
    rt: Rt,
    network: MemoryNetwork,
    listening: Vec<Listening>,
}

struct Setting {
    budget_bytes: usize,
    connections_max: usize,
    of_a_listener_max: usize,
    connections_per_ip_max: usize,
}

const ROOMY: Setting = Setting {
    budget_bytes: 64 * KIB * KIB,
    connections_max: 1000,
    of_a_listener_max: 1000,
    connections_per_ip_max: 1000,
};

fn run<F: Future>(setting: Setting, story: impl FnOnce(Site) -> F) -> F::Output {
    let world = World::new(1).unwrap();
    let rt = world.process("a").rt();
    let network = MemoryNetwork::new(rt.clone());
    let limits = Limits {
        request_bytes_max: 100 * KIB * KIB,
        idle_max: IDLE,
        connections: ConnectionLimits {
            max: setting.connections_max,
            per_ip_max: setting.connections_per_ip_max,
            per_ip_overrides: Default::default(),
        },
    };
    world.block_on(async {
        let shared = Shared::new(rt.clone(), limits, setting.budget_bytes);
        let options = SocketOptions { send_buffer_bytes: None, receive_buffer_bytes: None, backlog: 10 };
        let listen = |port| {
            let bound = Network::Memory(network.clone()).bind(address(port), options).unwrap();
            Listening::start(&shared, bound, Arc::new(Scripted), setting.of_a_listener_max)
        };
        let listening = [1, 2].map(listen).into();
        story(Site { rt, network, listening }).await
    })
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::new([10, 0, 0, 2].into(), port)
}

struct Client {
    rt: Rt,
    stream: MemoryStream,
}

impl Site {
    async fn client(&self) -> Client {
        self.client_of(1).await
    }

    async fn client_of(&self, port: u16) -> Client {
        let stream = self.network.connect(IpAddr::from([10, 0, 0, 1]), address(port)).await.unwrap();
        Client { rt: self.rt.clone(), stream }
    }

    /// A client that sends so much of a frame, and then a byte every five seconds.
    async fn stall(&self, ask: Ask, bytes: usize, sent: usize) {
        let (rt, mut client) = (self.rt.clone(), self.client().await);
        self.rt.spawn(ottla_rt::Lane::Data, "stall", async move {
            let mut part = frame(ask, bytes, sent);
            while client.stream.write_all(&part).await.is_ok() {
                rt.sleep(Duration::from_secs(5)).await;
                part = vec![0];
            }
        });
        self.rt.sleep(Duration::from_millis(10)).await;
    }
}

/// The first bytes of a frame.
fn frame(ask: Ask, bytes: usize, sent: usize) -> Vec<u8> {
    let mut frame = vec![0; SIZE_BYTES + sent];
    frame[..SIZE_BYTES].copy_from_slice(&(bytes as u32).to_be_bytes());
    frame[SIZE_BYTES + 1] = ask as u8;
    frame
}

impl Client {
    async fn send(&mut self, ask: Ask, bytes: usize) {
        self.stream.write_all(&frame(ask, bytes, bytes)).await.unwrap();
    }

    /// Whether a frame is received and answered in so long.
    async fn is_served(&mut self, ask: Ask, bytes: usize, limit: Duration) -> bool {
        let rt = self.rt.clone();
        let served = async {
            self.stream.write_all(&frame(ask, bytes, bytes)).await?;
            self.stream.read_u8().await
        };
        matches!(rt.timeout(limit, served).await, Some(Ok(1)))
    }

    /// Whether a byte comes in so long.
    async fn is_answered(&mut self, limit: Duration) -> bool {
        matches!(self.rt.timeout(limit, self.stream.read_u8()).await, Some(Ok(1)))
    }

    /// Whether the other side closes in so long, whatever comes before.
    async fn is_closed(&mut self, limit: Duration) -> bool {
        let mut rest = Vec::new();
        self.rt.timeout(limit, self.stream.read_to_end(&mut rest)).await.is_some()
    }
}

const LARGE: usize = LARGE_DECODE_BYTES + KIB;

#[test]
fn a_large_frame_behind_a_long_poll_keeps_no_other_waiting() {
    run(ROOMY, async |site| {
        let mut a = site.client().await;
        a.send(Ask::LongPoll, 10).await;
        site.rt.spawn(ottla_rt::Lane::Data, "a", async move {
            a.send(Ask::Cold, LARGE).await;
            pending::<()>().await
        });
        site.rt.sleep(SOON).await;
        assert!(site.client().await.is_served(Ask::Cold, LARGE, SOON).await);
    });
}

#[test]
fn a_large_frame_behind_a_long_poll_takes_no_memory() {
    run(Setting { budget_bytes: 256 * KIB, ..ROOMY }, async |site| {
        for _ in 0..4 {
            let mut client = site.client().await;
            client.send(Ask::LongPoll, 10).await;
            site.rt.spawn(ottla_rt::Lane::Data, "stalled", async move {
                client.send(Ask::Cold, 200 * KIB).await;
                pending::<()>().await
            });
        }
        site.rt.sleep(SOON).await;
        assert!(site.client().await.is_served(Ask::Hot, 200 * KIB, SOON).await);
    });
}

#[test]
fn a_large_frame_is_answered_after_all_before_it() {
    run(ROOMY, async |site| {
        let mut client = site.client().await;
        client.send(Ask::Hot, 40 * KIB).await;
        assert!(client.is_served(Ask::Cold, LARGE, SOON).await && client.is_answered(SOON).await);
    });
}

#[test]
fn a_barrier_can_close_the_connection() {
    for bytes in [10, LARGE] {
        run(ROOMY, async |site| {
            let mut client = site.client().await;
            client.send(Ask::Refused, bytes).await;
            assert!(client.is_closed(SOON).await, "{bytes}");
        });
    }
}

#[test]
fn the_overdraft_is_lent_for_a_time() {
    run(Setting { budget_bytes: KIB, ..ROOMY }, async |site| {
        site.stall(Ask::Hot, 10_000 * KIB, 40 * KIB).await;
        let mut polite = site.client().await;
        assert!(polite.is_served(Ask::Hot, 100 * KIB, Duration::from_secs(31)).await);
    });
}

#[test]
fn who_stalls_cannot_keep_the_budget_from_others() {
    run(Setting { budget_bytes: 1024 * KIB, ..ROOMY }, async |site| {
        for _ in 0..8 {
            site.stall(Ask::Hot, 10_000 * KIB, 200 * KIB).await;
        }
        let mut polite = site.client().await;
        assert!(polite.is_served(Ask::Hot, 100 * KIB, Duration::from_secs(15)).await);
    });
}

#[test]
fn a_slow_frame_for_which_nobody_waits_has_its_time() {
    run(Setting { budget_bytes: 512 * KIB, ..ROOMY }, async |site| {
        let mut slow = site.client().await;
        slow.stream.write_all(&frame(Ask::Hot, 500 * KIB, 400 * KIB)).await.unwrap();
        for _ in 0..100 {
            site.rt.sleep(Duration::from_secs(1)).await;
            slow.stream.write_all(&[0; KIB]).await.unwrap();
        }
        assert!(slow.is_answered(SOON).await);
    });
}

#[test]
fn a_peer_that_does_not_read_is_idle() {
    run(ROOMY, async |site| {
        let mut client = site.client().await;
        client.send(Ask::LargeAnswer, 10).await;
        site.rt.sleep(3 * IDLE).await;
        let mut answer = Vec::new();
        let read = client.stream.read_to_end(&mut answer).await;
        assert!(read.is_err() || answer.len() < LARGE_ANSWER_BYTES, "{} bytes came", answer.len());
    });
}

#[test]
fn a_peer_that_reads_slowly_is_not_idle() {
    run(ROOMY, async |site| {
        let mut client = site.client().await;
        client.send(Ask::LargeAnswer, 10).await;
        let mut part = vec![0; LARGE_ANSWER_BYTES / 16];
        for _ in 0..16 {
            site.rt.sleep(IDLE / 2).await;
            client.stream.read_exact(&mut part).await.unwrap();
        }
    });
}

#[test]
fn connections_are_counted_over_all_listeners() {
    run(Setting { connections_max: 1, ..ROOMY }, async |site| {
        let mut a = site.client_of(1).await;
        assert!(a.is_served(Ask::Hot, 10, SOON).await);
        let mut b = site.client_of(2).await;
        assert!(!b.is_served(Ask::Hot, 10, SOON).await, "the only place is taken");
        drop(a);
        assert!(b.is_answered(SOON).await);
    });
    run(Setting { connections_per_ip_max: 1, ..ROOMY }, async |site| {
        let mut a = site.client_of(1).await;
        assert!(a.is_served(Ask::Hot, 10, SOON).await);
        assert!(site.client_of(2).await.is_closed(SOON).await);
    });
}

#[test]
fn a_listener_has_a_limit_of_its_own_that_can_change() {
    run(Setting { of_a_listener_max: 1, ..ROOMY }, async |site| {
        let mut a = site.client_of(1).await;
        assert!(a.is_served(Ask::Hot, 10, SOON).await);
        let mut b = site.client_of(1).await;
        assert!(!b.is_served(Ask::Hot, 10, SOON).await, "the only place of this listener is taken");
        assert!(site.client_of(2).await.is_served(Ask::Hot, 10, SOON).await);
        site.listening[0].set_connections_max(2);
        assert!(b.is_answered(SOON).await);
    });
}

#[test]
fn the_address_of_a_closed_listener_is_free() {
    run(ROOMY, async |mut site| {
        let mut a = site.client_of(1).await;
        assert!(a.is_served(Ask::Hot, 10, SOON).await);
        let mut closing = site.listening.remove(0);
        closing.close().await;
        let options = SocketOptions { send_buffer_bytes: None, receive_buffer_bytes: None, backlog: 10 };
        let bound = Network::Memory(site.network.clone()).bind(address(1), options);
        assert!(bound.is_ok() && a.is_closed(SOON).await);
        closing.stop().await;
    });
}

#[test]
fn what_goes_through_connections_is_counted_and_who_is_idle_for_long() {
    run(ROOMY, async |site| {
        let (mut a, mut b) = (site.client().await, site.client().await);
        assert!(a.is_served(Ask::Hot, 10, SOON).await && a.is_served(Ask::Cold, 2000, SOON).await);
        assert!(b.is_served(Ask::LargeAnswer, 10, SOON).await);
        let visits = site.listening[0].visits();
        let bytes_out = 2 + LARGE_ANSWER_BYTES as u64;
        let volume = Volume { bytes_in: 2020 + 3 * SIZE_BYTES as u64, bytes_out, requests: 3, replies: 3 };
        let mut rest = vec![0; LARGE_ANSWER_BYTES - 1];
        b.stream.read_exact(&mut rest).await.unwrap();
        site.rt.sleep(SOON).await;
        assert_eq!((visits.volume(), visits.closed_idle()), (volume, 0));
        assert_eq!(site.listening[1].visits().volume(), Volume::default());
        assert!(a.is_closed(2 * IDLE).await && b.is_closed(2 * IDLE).await);
        assert_eq!((visits.accepted_and_closed(), visits.closed_idle()), ((2, 2), 2));
    });
}
