//! `partitions`: what 10,000 of them cost: to make, to keep in memory, and to come back with.

use std::time::Instant;

use crate::figure::{Goals, Taken};
use crate::server::{End, Server, Topic};

use super::start::until_served;
use super::{Round, greeted, mib, rested, write_to_all};

const PARTITIONS: usize = 10_000;
const NAME: &str = "partitions";

pub fn round(round: &Round<'_>) -> anyhow::Result<Taken> {
    let topic = Topic { partitions: PARTITIONS / round.part as usize, segment_bytes: 1 << 30 };
    let server = Server::start(round.side, topic, round.scratch)?;
    let mut taken = Taken::default();
    let mut add = |about: &str, reading, goals| taken.add(round.case, about, reading, goals);
    let _first = greeted(&server)?;
    let before = rested(&server)?;
    let (began, cpu_before) = (Instant::now(), server.cpu()?);
    server.ask_for_topic(round.side, NAME, topic)?;
    write_to_all(&server, NAME, topic.partitions as i32)?;
    add("until all are made and have a record", (began.elapsed().as_secs_f64(), "s"), Goals::of_kafka(0.05));
    add("processor time of that", ((server.cpu()? - cpu_before).as_secs_f64(), "s"), Goals::of_kafka(0.05));
    let written = rested(&server)?;
    add("resident then", (mib(written.all), "MiB"), Goals::of_kafka(0.15));
    let each = (written.all as f64 - before.all as f64) / 1024.0 / topic.partitions as f64;
    add("that is for each", (each, "KiB"), Goals::itself(8.0));
    let server = server.end(End::Killed)?.start()?;
    let (wall_ms, cpu_ms) = until_served(&server, NAME)?;
    add("from kill -9 and a start until a produce is acknowledged", (wall_ms, "ms"), Goals::of_kafka(0.05));
    add("processor time of that start", (cpu_ms, "ms"), Goals::of_kafka(0.05));
    server.stop()?;
    Ok(taken)
}
