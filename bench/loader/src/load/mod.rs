//! Load on a server, and what it cost the server.
//!
//! A closed loop keeps a fixed number of requests in flight: it finds the cost of a request when there is always a next one.
//! It says nothing of latency, since it sends less when the server is slow. An open loop sends at its rate whatever happens.
//!
//! One thread drives all connections, pinned to the last processor so that where it runs is no chance; the server may use
//! every processor. Both servers meet the same loader in the same place.

pub mod closed;
pub mod connection;
pub mod follow;
pub mod many;
pub mod open;

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl::set_timerslack;
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;

use crate::histogram::Histogram;

/// No server is this slow: without a reply for so long, the run fails.
pub const STALL_LIMIT: Duration = Duration::from_secs(30);

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
    /// To that at which a consumer had what it carried, where one reads along.
    pub end_to_end: Option<Histogram>,
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
        let requests = end.replies - self.replies;
        Sample { requests, cpu: end.cpu - self.cpu, wall: end.at - self.at, latency, end_to_end: None }
    }
}

/// Runs the load on a thread that is pinned to the last processor.
pub fn pinned<T: Send>(load: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let this_thread = Pid::from_raw(0);
            let allowed = sched_getaffinity(this_thread)?;
            let last = (0..CpuSet::count()).rfind(|processor| allowed.is_set(*processor).unwrap_or(false));
            let mut last_alone = CpuSet::new();
            last_alone.set(last.context("this thread may run nowhere")?)?;
            sched_setaffinity(this_thread, &last_alone)?;
            // The kernel delays timers by 50 µs where it is not told otherwise.
            set_timerslack(1)?;
            load()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What is waited for: that something comes, and, if there is something to send, that there is room for it.
#[derive(Clone, Copy, Debug)]
pub struct Socket<'a> {
    pub stream: &'a TcpStream,
    pub has_unsent: bool,
}

/// Waits until a socket has something to read, or room for what it has to write; not longer than `wait`.
pub fn poll<'a>(sockets: impl Iterator<Item = Socket<'a>>, wait: Duration) -> anyhow::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = sockets
        .map(|Socket { stream, has_unsent }| {
            let wanted = if has_unsent { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
            PollFd::new(stream.as_fd(), wanted)
        })
        .collect();
    ppoll(&mut polled, Some(TimeSpec::from_duration(wait)), None)?;
    Ok(polled.iter().map(|fd| fd.any().unwrap_or(false)).collect())
}

pub fn not_stalled(last_reply: Instant) -> anyhow::Result<()> {
    ensure!(last_reply.elapsed() < STALL_LIMIT, "no reply for {} s", STALL_LIMIT.as_secs());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::kafka::fields::Fields;
    use crate::kafka::fixture;
    use crate::kafka::groups::{self, Commit};
    use crate::kafka::request::{Acks, CORRELATION_ID_AT};
    use connection::{Connection, Target};
    use open::Schedule;

    /// Answers produce requests, the first only when so many have come. Gives the number of all.
    fn produce_server(mut stream: TcpStream, held_back: u64) -> u64 {
        let reply_to = |correlation_id: [u8; 4], base_offset: u64| {
            let mut reply = fixture("produce-reply");
            reply[4..8].copy_from_slice(&correlation_id);
            reply[23..31].copy_from_slice(&base_offset.to_be_bytes());
            reply
        };
        let (mut requests, mut replies) = (0, Vec::new());
        let mut size = [0; 4];
        while stream.read_exact(&mut size).is_ok() {
            let mut frame = vec![0; i32::from_be_bytes(size) as usize];
            stream.read_exact(&mut frame).unwrap();
            let id = frame[CORRELATION_ID_AT - 4..CORRELATION_ID_AT].try_into().unwrap();
            replies.extend(reply_to(id, requests));
            requests += 1;
            if requests >= held_back {
                stream.write_all(&replies).unwrap();
                replies.clear();
            }
        }
        requests
    }

    /// Runs the load on one connection to such a server, whose clock ticks 1 ms at each look.
    fn check(
        held_back: u64,
        load: impl FnOnce(&mut [Connection], &dyn Fn() -> anyhow::Result<Duration>) -> anyhow::Result<Sample>,
    ) -> (Sample, u64) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target { server: listener.local_addr().unwrap(), topic: "bench", partition: 3 };
        let server = thread::spawn(move || produce_server(listener.accept().unwrap().0, held_back));
        let mut connections = [Connection::producer(target, Acks::Leader, &fixture("batch-1")).unwrap()];
        let clock = Cell::new(Duration::ZERO);
        let tick = || Ok(clock.replace(clock.get() + Duration::from_millis(1)));
        let sample = load(&mut connections, &tick).unwrap();
        drop(connections);
        (sample, server.join().unwrap())
    }

    #[test]
    fn a_closed_loop_keeps_its_depth_in_flight() {
        let requests = Requests::counting(500, 5);
        let (sample, seen) = check(5, |connections, cpu| closed::run(connections, 5, requests, cpu));
        assert!(sample.requests.abs_diff(500) <= 5, "{sample:?}");
        assert_eq!(sample.cpu, Duration::from_millis(1), "the clock was read twice");
        assert!((550..=560).contains(&seen), "{seen}");
    }

    #[test]
    fn an_open_loop_waits_for_no_reply_and_charges_the_wait() {
        let requests = Requests { warm_up: 0, counted: 20 };
        let (sample, seen) =
            check(20, |connections, cpu| open::run(connections, &Schedule::new(1_000, 1, 0), requests, cpu));
        assert_eq!((sample.requests, seen), (20, 20));
        let latency = sample.latency.unwrap();
        assert!(latency.quantile(1.0) >= 19_000_000, "the first was due 19 ms before the last, and answered with it");
        assert!(latency.quantile(1.0) - latency.quantile(0.0) >= 18_000_000, "{latency:?}");
    }

    #[test]
    fn an_open_loop_counts_what_was_due_after_the_warm_up_though_it_came_with_it() {
        let requests = Requests { warm_up: 5, counted: 25 };
        let (sample, _) =
            check(10, |connections, cpu| open::run(connections, &Schedule::new(1_000, 1, 5), requests, cpu));
        let latency = sample.latency.unwrap();
        assert_eq!(latency.total(), 25, "five of them with the ten that the server held back");
        assert!(latency.quantile(1.0) >= 4_000_000, "{latency:?}");
    }

    #[test]
    fn a_log_is_filled_with_neither_more_nor_less() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target { server: listener.local_addr().unwrap(), topic: "bench", partition: 3 };
        let server = thread::spawn(move || produce_server(listener.accept().unwrap().0, 0));
        let mut producer = Connection::producer(target, Acks::All, &fixture("batch-1")).unwrap();
        closed::fill(&mut producer, 123).unwrap();
        drop(producer);
        assert_eq!(server.join().unwrap(), 123);
    }

    /// Answers commits, and gives the last letter of the group of each.
    fn commit_server(mut stream: TcpStream) -> String {
        let mut reply = fixture("offset-commit-reply");
        let (mut groups, mut size) = (String::new(), [0; 4]);
        while stream.read_exact(&mut size).is_ok() {
            let mut frame = vec![0; i32::from_be_bytes(size) as usize];
            stream.read_exact(&mut frame).unwrap();
            reply[4..8].copy_from_slice(&frame[CORRELATION_ID_AT - 4..CORRELATION_ID_AT]);
            stream.write_all(&reply).unwrap();
            let group = Fields(&frame[2 + 2 + 4 + 2 + "bench".len() + 1..]).compact_string().unwrap();
            groups.extend(group.chars().last());
        }
        groups
    }

    #[test]
    fn frames_take_turns() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || commit_server(listener.accept().unwrap().0));
        let commit =
            |group| groups::offset_commit(&Commit { group, by: None, topic: "bench", partitions: 0..1, offset: 1 });
        let frames = ["group-a", "group-b", "group-c"].map(commit);
        let mut connection = Connection::in_turn(address, &frames, groups::committed).unwrap();
        closed::fill(&mut connection, 100).unwrap();
        drop(connection);
        assert_eq!(server.join().unwrap(), "abc".repeat(34)[..100]);
        assert!(Connection::in_turn(address, &["a", "bc"].map(commit), groups::committed).is_err(), "of two lengths");
    }
}
