//! Load on a server, and what it cost the server.
//!
//! A closed loop keeps a fixed number of requests in flight: it finds the cost of a request when there is always a next one.
//! It says nothing of latency, since it sends less when the server is slow. An open loop sends at its rate whatever happens.
//!
//! One thread drives all connections, pinned to the last processor so that where it runs is no chance; the server may use
//! every processor. Both servers meet the same loader in the same place.

pub mod closed;
pub mod connection;
pub mod open;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::ensure;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;

use crate::histogram::Histogram;
use connection::Connection;

/// No server is this slow: without a reply for so long, the run fails.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// The requests of a run.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    /// Answered before the counting begins.
    pub warm_up: u64,
    pub counted: u64,
}

impl Requests {
    /// A tenth more to warm up, and at least two rounds of all that is in flight.
    pub fn counting(counted: u64, in_flight: u64) -> Requests {
        Requests { warm_up: (counted / 10).max(2 * in_flight), counted }
    }

    pub fn all(self) -> u64 {
        self.warm_up + self.counted
    }
}

/// What the counted requests of a run came to.
#[derive(Debug)]
pub struct Sample {
    pub requests: u64,
    /// Of the server's process: all threads, user and system.
    pub cpu: Duration,
    pub wall: Duration,
    /// From the moment a request was due to that at which its reply was there, in ns. An open loop's alone.
    pub latency: Option<Histogram>,
}

/// A point of a run: how many replies there were, and what the clocks said.
struct Mark {
    replies: u64,
    cpu: Duration,
    at: Instant,
}

impl Mark {
    fn new(replies: u64, cpu: &dyn Fn() -> anyhow::Result<Duration>) -> anyhow::Result<Mark> {
        Ok(Mark { replies, cpu: cpu()?, at: Instant::now() })
    }

    fn to(&self, end: &Mark, latency: Option<Histogram>) -> Sample {
        Sample {
            requests: end.replies - self.replies,
            cpu: end.cpu - self.cpu,
            wall: end.at - self.at,
            latency,
        }
    }
}

/// Runs the load on a thread that is pinned to the last processor.
pub fn pinned<T: Send>(load: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut last = CpuSet::new();
            last.set(last_processor())?;
            sched_setaffinity(Pid::from_raw(0), &last)?;
            // The kernel delays timers by 50 µs where it is not told otherwise.
            nix::sys::prctl::set_timerslack(1)?;
            load()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn last_processor() -> usize {
    std::thread::available_parallelism().map_or(0, |count| count.get() - 1)
}

/// Waits until a connection has something to read, or room for what it has to write; not longer than `wait`.
fn poll(connections: &[Connection], wait: Duration) -> anyhow::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = connections
        .iter()
        .map(|connection| {
            let wanted = if connection.has_unsent() { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
            PollFd::new(connection.stream.as_fd(), wanted)
        })
        .collect();
    ppoll(&mut polled, Some(TimeSpec::from_duration(wait)), None)?;
    Ok(polled.iter().map(|fd| fd.any().unwrap_or(false)).collect())
}

fn not_stalled(last_reply: Instant) -> anyhow::Result<()> {
    ensure!(last_reply.elapsed() < STALL_LIMIT, "no reply for {} s", STALL_LIMIT.as_secs());
    Ok(())
}
