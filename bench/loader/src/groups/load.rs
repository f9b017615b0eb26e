//! `groups-load`: how soon a coordinator is back, and what it keeps in memory then.
//!
//! A partition of `__consumer_offsets` is filled with commits, each of a partition that its group has not committed before:
//! all of it is still true, and has to be remembered. Then the server stops in order and starts again.

use std::path::Path;
use std::time::Instant;

use anyhow::ensure;

use crate::figure::Figure;
use crate::kafka::groups::{self, Commit};
use crate::load::connection::Connection;
use crate::load::{closed, pinned};
use crate::rest::rested;
use crate::server::{End, Server, Settings, Side, Topic};

use super::Effort;

const TOPIC: &str = "committed";
const GROUPS: usize = 10_000;
/// That each group commits.
const PARTITIONS: i32 = 100;
/// In one request, and so in one batch of the log.
const TOGETHER: i32 = 10;
const OFFSET: i64 = 1 << 40;

const ONE_COORDINATOR: Settings<'_> = &[("offsets.topic.num.partitions", "1")];

pub fn figures(side: &Side, effort: Effort, scratch: &Path) -> anyhow::Result<Vec<Figure>> {
    let groups = GROUPS / effort.part as usize;
    let topic = Topic { partitions: PARTITIONS as usize, segment_bytes: 1 << 30 };
    let mut server = Server::start_set(side, topic, ONE_COORDINATOR, scratch)?;
    server.create_topic(side, TOPIC, topic)?;
    super::offset_of(&server, &group_name(0), TOPIC, 0)?;
    pinned(|| {
        let frames = frames(groups);
        let mut connection = Connection::in_turn(server.address, &frames, groups::committed)?;
        closed::fill(&mut connection, frames.len() as u64)
    })?;
    let (mut answered_s, mut ready_s, mut cpu_s) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        let stopped = server.end(End::Clean)?;
        let began = Instant::now();
        server = stopped.start()?;
        ready_s.push(began.elapsed().as_secs_f64());
        let offset = super::offset_of(&server, &group_name(groups - 1), TOPIC, PARTITIONS - 1)?;
        answered_s.push(began.elapsed().as_secs_f64());
        cpu_s.push(server.cpu()?.as_secs_f64());
        ensure!(offset == OFFSET, "offset {offset} is told, where {OFFSET} was committed");
    }
    let resident = rested(&server)?;
    server.stop()?;
    let figure = |about, unit, values, goal| Figure::alone("groups-load", (about, unit), values, goal);
    let mib = |bytes| vec![bytes as f64 / f64::from(1 << 20)];
    Ok(vec![
        figure(
            "from the start on 1,000,000 records (--quick: 250,000) to the first offset told",
            "s",
            answered_s,
            Some(1.0),
        ),
        figure("of that, until the server was ready", "s", ready_s, None),
        figure("processor time of all that", "s", cpu_s, None),
        figure("resident afterwards", "MiB", mib(resident.all), None),
        figure("of that, without a file behind it", "MiB", mib(resident.anonymous), None),
    ])
}

fn frames(groups: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for from in (0..PARTITIONS).step_by(TOGETHER as usize) {
        for group in 0..groups {
            let (group, partitions) = (group_name(group), from..from + TOGETHER);
            frames.push(groups::offset_commit(&Commit { group: &group, topic: TOPIC, partitions, offset: OFFSET }));
        }
    }
    frames
}

fn group_name(group: usize) -> String {
    format!("group-{group:06}")
}
