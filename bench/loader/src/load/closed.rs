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

/// Sends exactly so many requests.
pub fn fill(connection: &mut Connection, requests: u64) -> anyhow::Result<()> {
    let mut last_reply = Instant::now();
    let (mut asked, mut replies) = (0, 0);
    while replies < requests {
        while asked < requests && asked - replies < FILL_DEPTH {
            connection.ask();
            asked += 1;
        }
        connection.flush()?;
        poll([connection.socket()].into_iter(), STALL_LIMIT)?;
        let answered = connection.receive()? as u64;
        if answered > 0 {
            last_reply = Instant::now();
        }
        replies += answered;
        not_stalled(last_reply)?;
    }
    Ok(())
}
