//! The members of a group, as their clients behave: each sends a heartbeat when its interval is over, and at once when it
//! has taken up or given up partitions; and none before the one before it was answered.
//!
//! Several members share a connection. A client has one for itself, but the coordinator cannot tell.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::ownership::Ownership;
use crate::kafka::groups::{self, Assignment, Heartbeat};
use crate::kafka::reply;
use crate::kafka::request::{CORRELATION_ID_AT, HEAD_BYTES};
use crate::load::{STALL_LIMIT, Socket, not_stalled, poll};

const CONNECTIONS: usize = 4;
const READ_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub struct Clients<'a> {
    pub group: &'a str,
    topic: &'a str,
    /// Their ids.
    members: &'a [String],
    pub ownership: Ownership,
    connections: Vec<Connection>,
    /// When each member's next heartbeat is due that has none in flight.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    sent_at: Vec<Instant>,
    /// By member, whether it has yet to say that what it owns has changed.
    has_news: Vec<bool>,
    pub heartbeats: u64,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    output: Vec<u8>,
    input: Vec<u8>,
    /// The members whose heartbeats are not answered, in order.
    in_flight: VecDeque<usize>,
    answered: i32,
}

impl<'a> Clients<'a> {
    pub fn new(
        server: SocketAddr,
        group: &'a str,
        topic: &'a str,
        members: &'a [String],
        partitions: usize,
    ) -> anyhow::Result<Clients<'a>> {
        let connections = (0..CONNECTIONS).map(|_| Connection::open(server)).collect::<anyhow::Result<_>>()?;
        let now = Instant::now();
        Ok(Clients {
            group,
            topic,
            members,
            ownership: Ownership::new(members.len(), partitions),
            connections,
            due: (0..members.len()).map(|member| Reverse((now, member))).collect(),
            sent_at: vec![now; members.len()],
            has_news: vec![false; members.len()],
            heartbeats: 0,
        })
    }

    /// From the first heartbeat until the group is settled, and nothing is in flight any more.
    pub fn settle(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut last_reply = began;
        while !self.ownership.is_settled() {
            self.send_due(Instant::now())?;
            let next = self.due.peek().map_or(STALL_LIMIT, |Reverse((at, _))| at.duration_since(Instant::now()));
            if self.take_replies(next)? > 0 {
                last_reply = Instant::now();
            }
            not_stalled(last_reply)?;
        }
        let settled = began.elapsed();
        while self.connections.iter().any(|connection| !connection.in_flight.is_empty()) {
            self.take_replies(STALL_LIMIT)?;
            not_stalled(last_reply)?;
        }
        Ok(settled)
    }

    fn send_due(&mut self, now: Instant) -> anyhow::Result<()> {
        while let Some(Reverse((at, member))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            let owned = self.ownership.owned(member);
            let frame = match self.ownership.epoch(member) {
                0 => self.beat(member, Some(self.topic), Some(&Assignment::default())),
                _ => self.beat(member, None, Some(owned).filter(|_| self.has_news[member])),
            };
            self.has_news[member] = false;
            self.sent_at[member] = now;
            self.heartbeats += 1;
            self.connections[member % CONNECTIONS].ask(member, frame);
        }
        self.connections.iter_mut().try_for_each(Connection::flush)
    }

    fn beat(&self, member: usize, subscribes_to: Option<&str>, owns: Option<&Assignment>) -> Vec<u8> {
        let epoch = self.ownership.epoch(member);
        let member = &self.members[member];
        groups::heartbeat(&Heartbeat { group: self.group, member, epoch, subscribes_to, owns })
    }

    /// Waits not longer than so, and gives the number of replies that came.
    fn take_replies(&mut self, wait: Duration) -> anyhow::Result<usize> {
        let sockets = self
            .connections
            .iter()
            .map(|connection| Socket { stream: &connection.stream, has_unsent: !connection.output.is_empty() });
        let ready = poll(sockets, wait)?;
        let mut replies = Vec::new();
        for (connection, _) in self.connections.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            connection.receive(&mut replies)?;
            connection.flush()?;
        }
        let count = replies.len();
        for (member, told) in replies {
            self.ownership.set_epoch(member, told.epoch);
            let is_news = told.assignment.map_or(Ok(false), |owns| self.ownership.assign(member, owns))?;
            let interval = Duration::from_millis(told.interval_ms.max(0) as u64);
            self.has_news[member] = is_news;
            let at = if is_news { Instant::now() } else { self.sent_at[member] + interval };
            self.due.push(Reverse((at, member)));
        }
        Ok(count)
    }

    pub fn members_and_epochs(&self) -> impl Iterator<Item = (&str, i32)> {
        self.members.iter().enumerate().map(|(at, member)| (member.as_str(), self.ownership.epoch(at)))
    }

    /// What members send who have nothing to say: for each connection, the frames of the members on it.
    pub fn steady_frames(&self) -> Vec<Vec<Vec<u8>>> {
        let of = |connection| (connection..self.members.len()).step_by(CONNECTIONS);
        (0..CONNECTIONS)
            .map(|connection| of(connection).map(|member| self.beat(member, None, None)).collect())
            .collect()
    }
}

impl Connection {
    fn open(server: SocketAddr) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(server).with_context(|| format!("cannot connect to {server}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Connection { stream, output: Vec::new(), input: Vec::new(), in_flight: VecDeque::new(), answered: 0 })
    }

    fn ask(&mut self, member: usize, mut frame: Vec<u8>) {
        let id = self.answered + self.in_flight.len() as i32;
        frame[CORRELATION_ID_AT..HEAD_BYTES].copy_from_slice(&id.to_be_bytes());
        self.output.extend(frame);
        self.in_flight.push_back(member);
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(bytes) => drop(self.output.drain(..bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("cannot send"),
            }
        }
        Ok(())
    }

    /// Takes what has come, and gives what members are told.
    fn receive(&mut self, replies: &mut Vec<(usize, groups::Told)>) -> anyhow::Result<()> {
        let before = self.input.len();
        self.input.resize(before + READ_BYTES, 0);
        let got = match self.stream.read(&mut self.input[before..]) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error).context("cannot receive"),
        };
        self.input.truncate(before + got);
        let mut at = 0;
        while let Some(bytes) = reply::frame_bytes(&self.input[at..]).filter(|bytes| at + bytes <= self.input.len()) {
            let told = groups::told(&self.input[at..at + bytes], self.answered)?;
            let member = self.in_flight.pop_front().context("a reply to no request")?;
            replies.push((member, told));
            self.answered += 1;
            at += bytes;
        }
        self.input.drain(..at);
        Ok(())
    }
}
