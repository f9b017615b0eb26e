//! Consumers that read partitions as they grow, while something else writes them.
//!
//! They have a thread of their own, beside that of the producers and on the same processor. A batch that an open loop sent was
//! due at a moment that follows from where it lies: each connection writes to a partition of its own, and they take turns.

use std::thread;
use std::time::{Duration, Instant};

use super::connection::{Connection, Reading};
use super::many::Place;
use super::open::Schedule;
use super::{not_stalled, poll};
use crate::histogram::Histogram;
use crate::kafka::batch::Shape;

/// Bytes that a consumer asks for at most, about as many as one does that nobody tells otherwise.
const FETCH_BYTES: usize = 1 << 20;
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is read, by whom.
#[derive(Clone, Copy, Debug)]
pub struct Following<'a> {
    pub place: Place<'a>,
    /// Of each partition.
    pub consumers: usize,
    /// What the partitions are written with.
    pub batch: Shape,
    /// How many there will be, over the partitions in turn.
    pub batches: u64,
}

/// Reads while `produce` writes, and then what is left. Gives from when a batch was due to when a consumer had it, in ns; of an
/// open loop, without its first requests.
pub fn meanwhile<T>(
    following: Following<'_>,
    schedule: Option<&Schedule>,
    produce: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, Histogram)> {
    let Following { place, consumers, batch, batches } = following;
    // Whole ones: a consumer has no use for a part of a batch.
    let reading = Reading { max_bytes: FETCH_BYTES / batch.bytes * batch.bytes, batch, batches: None };
    let mut connections = place.consumers(place.partitions * consumers, reading)?;
    thread::scope(|scope| {
        let reader = scope.spawn(|| follow(&mut connections, (place.partitions, batch, batches), schedule));
        let produced = produce();
        let latency = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((produced?, latency?))
    })
}

fn follow(
    connections: &mut [Connection],
    (partitions, batch, batches): (usize, Shape, u64),
    schedule: Option<&Schedule>,
) -> anyhow::Result<Histogram> {
    let share = |partition: usize| (batches + (partitions - 1 - partition) as u64) / partitions as u64;
    let mut latency = Histogram::default();
    let mut last_news = Instant::now();
    let mut reading = connections.len();
    // By connection, the batches that it has read.
    let mut ends = vec![0; connections.len()];
    for connection in &mut *connections {
        connection.ask();
        connection.flush()?;
    }
    while reading > 0 {
        let ready = poll(connections.iter().map(Connection::socket), LOOK_EVERY)?;
        for (index, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
            let (connection, partition) = (&mut connections[index], index % partitions);
            if connection.receive()? == 0 {
                continue;
            }
            let now = Instant::now();
            let end = connection.next_offset() as u64 / batch.records as u64;
            let new = std::mem::replace(&mut ends[index], end)..end;
            if !new.is_empty() {
                last_news = now;
            }
            for due in new.filter_map(|batch| schedule?.due_of(batch, partition)) {
                latency.record((now - due).as_nanos() as u64);
            }
            if end >= share(partition) {
                reading -= 1;
                continue;
            }
            connection.ask();
            connection.flush()?;
        }
        not_stalled(last_news)?;
    }
    Ok(latency)
}
