//! The open loop: requests are due at a fixed rate, and a late reply delays none of them. Latency counts from the moment a
//! request was due, so a server that stalls is charged for all that it kept waiting.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::connection::Connection;
use super::{Mark, Requests, Sample, not_stalled, poll};
use crate::histogram::Histogram;

/// When each request is due. The connections take turns.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start: Instant,
    per_second: u64,
    connections: usize,
    /// The first request that is counted.
    counted_from: u64,
}

impl Schedule {
    /// Begins now.
    pub fn new(per_second: u64, connections: usize, counted_from: u64) -> Schedule {
        Schedule { start: Instant::now(), per_second, connections, counted_from }
    }

    fn due(&self, request: u64) -> Instant {
        self.start + Duration::from_nanos(request * 1_000_000_000 / self.per_second)
    }

    /// When the `n`th request of a connection is due, if it is counted.
    pub fn due_of(&self, n: u64, connection: usize) -> Option<Instant> {
        let request = n * self.connections as u64 + connection as u64;
        (request >= self.counted_from).then(|| self.due(request))
    }

    fn counts(&self, due: Instant) -> bool {
        due >= self.due(self.counted_from)
    }
}

/// Sends requests when they are due, until all are answered. `cpu` tells what the server has used.
pub fn run(
    connections: &mut [Connection],
    schedule: &Schedule,
    requests: Requests,
    cpu: &dyn Fn() -> anyhow::Result<Duration>,
) -> anyhow::Result<Sample> {
    let mut waiting: Vec<VecDeque<Instant>> = connections.iter().map(|_| VecDeque::new()).collect();
    let (mut asked, mut replies) = (0, 0);
    let mut last_reply = Instant::now();
    let (mut begin, mut latency) = (None, Histogram::default());
    while replies < requests.all() {
        let now = Instant::now();
        while asked < requests.all() && schedule.due(asked) <= now {
            let connection = (asked % connections.len() as u64) as usize;
            connections[connection].ask();
            waiting[connection].push_back(schedule.due(asked));
            asked += 1;
        }
        for connection in connections.iter_mut().filter(|connection| connection.has_unsent()) {
            connection.flush()?;
        }
        let wait = match asked < requests.all() {
            true => schedule.due(asked).saturating_duration_since(Instant::now()),
            false => WAIT_MAX,
        };
        let ready = poll(connections.iter().map(Connection::socket), wait)?;
        for (index, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
            let answered = connections[index].receive()?;
            let now = Instant::now();
            for due in waiting[index].drain(..answered).filter(|due| schedule.counts(*due)) {
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
    ensure!(begin.replies < end.replies, "the server answered nothing until all had been sent");
    Ok(begin.to(&end, Some(latency)))
}

const WAIT_MAX: Duration = Duration::from_secs(1);
