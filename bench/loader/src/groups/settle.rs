//! `groups-settle`: many members join a group of the consumer protocol at one moment (KIP-848), and share a topic.
//!
//! A coordinator computes a target once a second at most (`group.consumer.assignment.interval.ms`), so that members who come
//! one after the other are served together. So the first member gets all, the others wait for the second target, and the
//! first has to let go before they can have theirs: one interval and a few heartbeats are what it takes at least.

use crate::cases::Round;
use crate::figure::{Goals, Taken};
use crate::kafka::groups::{self, CONSUMER_OFFSETS};
use crate::load::connection::Connection;
use crate::load::{Requests, closed, pinned};
use crate::rows::DEPTH;
use crate::server::{Caller, Server, Settings, Topic};

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

/// Of Ottla alone: Kafka is not told such intervals by requests.
pub fn round(round: &Round<'_>) -> anyhow::Result<Taken> {
    let server = Server::start_set(round.side, SHARED, SETTINGS, round.scratch)?;
    server.create_topic(round.side, TOPIC, SHARED)?;
    super::offset_of(&server, GROUP, TOPIC, 0)?;
    // Of one length, as Java's are.
    let members: Vec<String> = (0..MEMBERS).map(|member| format!("a-member-with-id-{member:05}")).collect();
    let mut taken = Taken::default();
    let mut add = |about: &str, value, unit, goals| taken.add(round.case, about, (value, unit), goals);
    pinned(|| {
        let mut clients = Clients::new(server.address, GROUP, TOPIC, &members, SHARED.partitions)?;
        let cpu_before = server.cpu()?;
        let wall = clients.settle()?;
        let cpu = server.cpu()? - cpu_before;
        add("until 1,000 members have their shares of 2,000 partitions", wall.as_secs_f64(), "s", Goals::itself(2.0));
        add("processor time of that", cpu.as_secs_f64() * 1e3, "ms", Goals::NONE);
        add("heartbeats of that", clients.heartbeats as f64, "", Goals::NONE);
        let end = end_of_log(&server)?;
        let connection = |frames: Vec<_>| Connection::in_turn(server.address, &frames, groups::nothing_new);
        let mut connections =
            clients.steady_frames().into_iter().map(connection).collect::<anyhow::Result<Vec<_>>>()?;
        let requests = Requests::counting(STEADY_BEATS / round.part, (DEPTH * connections.len()) as u64);
        let steady = closed::run(&mut connections, DEPTH, requests, &|| server.cpu())?;
        let steady_us = steady.cpu.as_secs_f64() * 1e6 / steady.requests as f64;
        add("processor time of a heartbeat that says nothing new", steady_us, "µs", Goals::NONE);
        let written = (end_of_log(&server)? - end) as f64;
        add("records written by all of those", written, "", Goals::itself(0.0));
        Ok(())
    })?;
    server.stop()?;
    Ok(taken)
}

fn end_of_log(server: &Server) -> anyhow::Result<i64> {
    Caller::connect(server.address)?.call(groups::list_ends(CONSUMER_OFFSETS, 1), groups::ends_sum)
}
