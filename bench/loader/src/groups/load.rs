//! `groups-load`: how soon a coordinator is back, and what it keeps in memory then.
//!
//! A partition of `__consumer_offsets` is filled with commits, each of a partition that its group has not committed before:
//! all of it is still true, and has to be remembered. Then the server stops in order and starts again.

use anyhow::ensure;

use crate::cases::{Round, mib, rested};
use crate::figure::{Goals, Taken};
use crate::kafka::groups::{self, Commit};
use crate::load::connection::Connection;
use crate::load::{closed, pinned};
use crate::server::{End, Server, Settings, Topic};

const TOPIC: &str = "committed";
const GROUPS: usize = 10_000;
/// That each group commits.
const PARTITIONS: i32 = 100;
/// In one request, and so in one batch of the log.
const TOGETHER: i32 = 10;
const OFFSET: i64 = 1 << 40;

const ONE_COORDINATOR: Settings<'_> = &[("offsets.topic.num.partitions", "1")];

/// Of Ottla alone: a partition of `__consumer_offsets` that holds everything is none of Kafka's defaults.
pub fn round(round: &Round<'_>) -> anyhow::Result<Taken> {
    let groups = GROUPS / round.part as usize;
    let topic = Topic { partitions: PARTITIONS as usize, segment_bytes: 1 << 30 };
    let server = Server::start_set(round.side, topic, ONE_COORDINATOR, round.scratch)?;
    server.create_topic(round.side, TOPIC, topic)?;
    super::offset_of(&server, &super::group_name(0), TOPIC, 0)?;
    pinned(|| {
        let frames = frames(groups);
        let mut connection = Connection::in_turn(server.address, &frames, groups::committed)?;
        closed::fill(&mut connection, frames.len() as u64)
    })?;
    let server = server.end(End::Clean)?.start()?;
    let ready_s = server.started.elapsed().as_secs_f64();
    let offset = super::offset_of(&server, &super::group_name(groups - 1), TOPIC, PARTITIONS - 1)?;
    let answered_s = server.started.elapsed().as_secs_f64();
    let cpu_s = server.cpu()?.as_secs_f64();
    ensure!(offset == OFFSET, "offset {offset} is told, where {OFFSET} was committed");
    let resident = rested(&server)?;
    server.stop()?;
    let mut taken = Taken::default();
    let mut add = |about: &str, reading, goals| taken.add(round.case, about, reading, goals);
    let first_told = "from the start on 1,000,000 records (--quick: 250,000) to the first offset told";
    add(first_told, (answered_s, "s"), Goals::itself(1.0));
    add("of that, until the server was ready", (ready_s, "s"), Goals::NONE);
    add("processor time of all that", (cpu_s, "s"), Goals::NONE);
    add("resident afterwards", (mib(resident.all), "MiB"), Goals::NONE);
    add("of that, without a file behind it", (mib(resident.anonymous), "MiB"), Goals::NONE);
    Ok(taken)
}

fn frames(groups: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for from in (0..PARTITIONS).step_by(TOGETHER as usize) {
        for group in 0..groups {
            let (group, partitions) = (super::group_name(group), from..from + TOGETHER);
            frames.push(groups::offset_commit(&Commit {
                group: &group,
                by: None,
                topic: TOPIC,
                partitions,
                offset: OFFSET,
            }));
        }
    }
    frames
}
