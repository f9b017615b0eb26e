//! Consumers that read partitions as they grow, while something else writes them.
//!
//! They have a thread of their own, beside that of the producers and on the same processor. A batch that an open loop sent was
//! due at a moment that follows from where it lies: each connection writes to a partition of its own, and they take turns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::{Connection, Reading};
use super::open::Schedule;
use super::{not_stalled, poll};
use crate::histogram::Histogram;
use crate::kafka::batch::Shape;
use crate::row::target;
use crate::server::Server;

/// Bytes that a consumer asks for, as many as one does that nobody tells otherwise.
const FETCH_BYTES: usize = 1 << 20;
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is read, by whom.
#[derive(Clone, Copy, Debug)]
pub struct Following<'a> {
    pub server: &'a Server,
    pub topic: &'a str,
    pub partitions: usize,
    /// Of each partition.
    pub consumers: usize,
    /// What the partitions are written with.
    pub batch: Shape,
}

/// What the consumers came to.
#[derive(Debug, Default)]
pub struct Followed {
    /// That they have read, all together.
    pub batches: u64,
    /// From when a batch was due to when a consumer had it, in ns; of an open loop, without its first requests.
    pub latency: Histogram,
}

/// Reads while `produce` writes, and then what is left.
pub fn meanwhile<T>(
    following: Following<'_>,
    schedule: Option<&Schedule>,
    produce: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, Followed)> {
    let Following { server, topic, partitions, consumers, batch } = following;
    let reading = Reading { max_bytes: FETCH_BYTES, batch, batches: None };
    let consumer = |n| Connection::consumer(target(server, topic, n, partitions), reading);
    let mut connections = (0..partitions * consumers).map(consumer).collect::<anyhow::Result<Vec<_>>>()?;
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| follow(&mut connections, (partitions, batch), schedule, &has_ended));
        let produced = produce();
        has_ended.store(true, Ordering::Release);
        let followed = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((produced?, followed?))
    })
}

fn follow(
    connections: &mut [Connection],
    (partitions, batch): (usize, Shape),
    schedule: Option<&Schedule>,
    has_ended: &AtomicBool,
) -> anyhow::Result<Followed> {
    let mut followed = Followed::default();
    let mut last_reply = Instant::now();
    let mut reading = connections.len();
    // By connection, what it has read.
    let mut ends = vec![0; connections.len()];
    for connection in &mut *connections {
        connection.ask();
        connection.flush()?;
    }
    while reading > 0 {
        let ready = poll(connections.iter().map(Connection::socket), LOOK_EVERY)?;
        for (index, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
            let connection = &mut connections[index];
            // Whatever is written after this is no longer of interest, so a reply to a later fetch may end it.
            let will_end = has_ended.load(Ordering::Acquire);
            if connection.receive()? == 0 {
                continue;
            }
            let now = Instant::now();
            last_reply = now;
            let end = connection.next_offset() / batch.records as i64;
            let batches = std::mem::replace(&mut ends[index], end)..end;
            followed.batches += batches.clone().count() as u64;
            for due in batches.clone().filter_map(|batch| schedule?.due_of(batch as u64, index % partitions)) {
                followed.latency.record((now - due).as_nanos() as u64);
            }
            if batches.is_empty() && will_end {
                reading -= 1;
                continue;
            }
            connection.ask();
            connection.flush()?;
        }
        not_stalled(last_reply)?;
    }
    Ok(followed)
}
