//! The open loop: requests are due at a fixed rate, and a late reply delays none of them. Latency counts from the moment a
//! request was due, so a server that stalls is charged for all that it kept waiting.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::{Mark, Requests, Sample, not_stalled, poll};
use crate::histogram::Histogram;

/// Sends `per_second` requests, over the connections in turn, until all are answered. `cpu` tells what the server has used.
pub fn run(
    connections: &mut [Connection],
    per_second: u64,
    requests: Requests,
    cpu: &dyn Fn() -> anyhow::Result<Duration>,
) -> anyhow::Result<Sample> {
    let start = Instant::now();
    let due = |request: u64| start + Duration::from_nanos(request * 1_000_000_000 / per_second);
    let mut waiting: Vec<VecDeque<Instant>> = connections.iter().map(|_| VecDeque::new()).collect();
    let (mut asked, mut replies) = (0, 0);
    let mut last_reply = start;
    let (mut begin, mut latency) = (None, Histogram::default());
    while replies < requests.all() {
        let now = Instant::now();
        while asked < requests.all() && due(asked) <= now {
            let connection = (asked % connections.len() as u64) as usize;
            connections[connection].ask();
            waiting[connection].push_back(due(asked));
            asked += 1;
        }
        for connection in connections.iter_mut().filter(|connection| connection.has_unsent()) {
            connection.flush()?;
        }
        let wait = if asked < requests.all() { due(asked).saturating_duration_since(Instant::now()) } else { WAIT_MAX };
        let ready = poll(connections.iter().map(Connection::socket), wait)?;
        for (index, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
            let answered = connections[index].receive()?;
            let now = Instant::now();
            for due in waiting[index].drain(..answered).filter(|_| begin.is_some()) {
                latency.record((now - due).as_nanos() as u64);
            }
            if answered > 0 {
                last_reply = now;
            }
            replies += answered as u64;
        }
        if begin.is_none() && replies >= requests.warm_up {
            begin = Some(Mark::new(replies, cpu)?);
        }
        not_stalled(last_reply)?;
    }
    let end = Mark::new(replies, cpu)?;
    let begin = begin.expect("it was set before the last reply");
    Ok(begin.to(&end, Some(latency)))
}

const WAIT_MAX: Duration = Duration::from_secs(1);
