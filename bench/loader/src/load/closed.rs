//! The closed loop: each connection has so many requests in flight, and each reply is followed by the next request.

use std::time::{Duration, Instant};

use super::connection::Connection;
use super::{Mark, Requests, STALL_LIMIT, Sample, not_stalled, poll};

/// Requests in flight while a log is filled.
const FILL_DEPTH: u64 = 5;

/// Drives the connections until all counted requests are answered, and those in flight then. `depth` is for each connection;
/// `cpu` tells what the server has used.
pub fn run(
    connections: &mut [Connection],
    depth: usize,
    requests: Requests,
    cpu: &dyn Fn() -> anyhow::Result<Duration>,
) -> anyhow::Result<Sample> {
    for connection in &mut *connections {
        (0..depth).for_each(|_| connection.ask());
        connection.flush()?;
    }
    // Requests are asked for past the last that counts, so that both marks are set with as much in flight.
    let (mut replies, mut in_flight) = (0, (depth * connections.len()) as u64);
    let mut last_reply = Instant::now();
    let (mut begin, mut end) = (None, None);
    while in_flight > 0 {
        let ready = poll(connections.iter().map(Connection::socket), STALL_LIMIT)?;
        for (connection, _) in connections.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            let answered = connection.receive()?;
            if answered > 0 {
                last_reply = Instant::now();
            }
            replies += answered as u64;
            in_flight -= answered as u64;
            if end.is_none() {
                (0..answered).for_each(|_| connection.ask());
                in_flight += answered as u64;
            }
            connection.flush()?;
            if begin.is_none() && replies >= requests.warm_up {
                begin = Some(Mark::new(replies, cpu)?);
            }
            if end.is_none() && replies >= requests.all() {
                end = Some(Mark::new(replies, cpu)?);
            }
        }
        not_stalled(last_reply)?;
    }
    let (begin, end) = begin.zip(end).expect("it asks for more until both marks are set");
    Ok(begin.to(&end, None))
}

/// Sends exactly so many requests on each connection.
pub fn exactly(
    connections: &mut [Connection],
    depth: u64,
    each: u64,
    cpu: &dyn Fn() -> anyhow::Result<Duration>,
) -> anyhow::Result<Sample> {
    let begin = Mark::new(0, cpu)?;
    let mut last_reply = Instant::now();
    let mut replies = vec![0; connections.len()];
    for connection in &mut *connections {
        (0..depth.min(each)).for_each(|_| connection.ask());
        connection.flush()?;
    }
    while replies.iter().any(|of_one| *of_one < each) {
        let ready = poll(connections.iter().map(Connection::socket), STALL_LIMIT)?;
        for (index, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
            let (connection, replies) = (&mut connections[index], &mut replies[index]);
            for _ in 0..connection.receive()? {
                if *replies + depth < each {
                    connection.ask();
                }
                *replies += 1;
                last_reply = Instant::now();
            }
            connection.flush()?;
        }
        not_stalled(last_reply)?;
    }
    Ok(begin.to(&Mark::new(replies.iter().sum(), cpu)?, None))
}

/// Sends exactly so many requests, of which nobody asks what they cost.
pub fn fill(connection: &mut Connection, requests: u64) -> anyhow::Result<()> {
    exactly(std::slice::from_mut(connection), FILL_DEPTH, requests, &|| Ok(Duration::ZERO)).map(drop)
}
