//! `groups-settle`: many members join a group of the consumer protocol at one moment (KIP-848), and share a topic.
//!
//! A coordinator computes a target once a second at most (`group.consumer.assignment.interval.ms`), so that members who come
//! one after the other are served together. So the first member gets all, the others wait for the second target, and the
//! first has to let go before they can have theirs: one interval and a few heartbeats are what it takes at least.

use std::path::Path;

use crate::figure::Figure;
use crate::kafka::groups::{self, CONSUMER_OFFSETS};
use crate::load::connection::Connection;
use crate::load::{Requests, closed, pinned};
use crate::rows::DEPTH;
use crate::server::{Caller, Server, Settings, Side, Topic};

use super::Effort;
use super::clients::Clients;

const GROUP: &str = "settle";
const TOPIC: &str = "shared";
const MEMBERS: usize = 1_000;
const SHARED: Topic = Topic { partitions: 2_000, segment_bytes: 1 << 30 };
/// Heartbeats without news, once all is settled.
const STEADY_BEATS: u64 = 40_000;

/// Members that learn of a target after 200 ms; one partition of `__consumer_offsets`, whose end tells what was written.
const SETTINGS: Settings<'_> = &[
    ("group.consumer.min.heartbeat.interval.ms", "200"),
    ("group.consumer.heartbeat.interval.ms", "200"),
    ("offsets.topic.num.partitions", "1"),
];

/// What a round came to.
#[derive(Clone, Copy, Debug)]
struct Settled {
    wall_s: f64,
    cpu_ms: f64,
    heartbeats: f64,
    steady_us: f64,
    steady_records: f64,
}

pub fn figures(side: &Side, effort: Effort, scratch: &Path) -> anyhow::Result<Vec<Figure>> {
    let rounds = (0..effort.rounds).map(|_| round(side, effort, scratch)).collect::<anyhow::Result<Vec<_>>>()?;
    let figure = |about, unit, goal, value: fn(&Settled) -> f64| {
        let values = rounds.iter().map(value).collect();
        Figure::alone("groups-settle", (about, unit), values, goal)
    };
    Ok(vec![
        figure("until 1,000 members have their shares of 2,000 partitions", "s", Some(2.0), |round| round.wall_s),
        figure("processor time of that", "ms", None, |round| round.cpu_ms),
        figure("heartbeats of that", "", None, |round| round.heartbeats),
        figure("processor time of a heartbeat that says nothing new", "µs", None, |round| round.steady_us),
        figure("records written by all of those", "", Some(0.0), |round| round.steady_records),
    ])
}

fn round(side: &Side, effort: Effort, scratch: &Path) -> anyhow::Result<Settled> {
    let server = Server::start_set(side, SHARED, SETTINGS, scratch)?;
    server.create_topic(side, TOPIC, SHARED)?;
    super::offset_of(&server, GROUP, TOPIC, 0)?;
    // Of one length, as Java's are.
    let members: Vec<String> = (0..MEMBERS).map(|member| format!("a-member-with-id-{member:05}")).collect();
    let settled = pinned(|| {
        let mut clients = Clients::new(server.address, GROUP, TOPIC, &members, SHARED.partitions)?;
        let cpu_before = server.cpu()?;
        let wall = clients.settle()?;
        let cpu = server.cpu()? - cpu_before;
        let end = end_of_log(&server)?;
        let connection = |frames: Vec<_>| Connection::in_turn(server.address, &frames, groups::nothing_new);
        let mut connections =
            clients.steady_frames().into_iter().map(connection).collect::<anyhow::Result<Vec<_>>>()?;
        let requests = Requests::counting(STEADY_BEATS / effort.part, (DEPTH * connections.len()) as u64);
        let steady = closed::run(&mut connections, DEPTH, requests, &|| server.cpu())?;
        Ok(Settled {
            wall_s: wall.as_secs_f64(),
            cpu_ms: cpu.as_secs_f64() * 1e3,
            heartbeats: clients.heartbeats as f64,
            steady_us: steady.cpu.as_secs_f64() * 1e6 / steady.requests as f64,
            steady_records: (end_of_log(&server)? - end) as f64,
        })
    })?;
    server.stop()?;
    Ok(settled)
}

fn end_of_log(server: &Server) -> anyhow::Result<i64> {
    Caller::connect(server.address)?.call(groups::list_ends(CONSUMER_OFFSETS, 1), groups::ends_sum)
}
