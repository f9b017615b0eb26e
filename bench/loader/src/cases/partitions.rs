//! `partitions`: what 10,000 of them cost: to make, to keep in memory, and to come back with.

use std::time::Instant;

use crate::figure::{Goals, Taken};
use crate::server::{End, Server, Side, Topic};

use super::start::until_served;
use super::{Round, greeted, mib, rested, write_to};

/// The controller makes 10,000 records of one request at most.
const TOPICS: [&str; 10] = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9"];
const PARTITIONS_OF_EACH: usize = 1_000;
/// A twentieth of the 58 s that it took Kafka when the goals were set.
const RESTART_CPU_MS: f64 = 2_900.0;

pub fn round(round: &Round<'_>) -> anyhow::Result<Taken> {
    let topic = Topic { partitions: PARTITIONS_OF_EACH / round.part as usize, segment_bytes: 1 << 30 };
    let server = Server::start(round.side, topic, round.scratch)?;
    let mut taken = Taken::default();
    let mut add = |about: &str, reading, goals| taken.add(round.case, about, reading, goals);
    let _first = greeted(&server)?;
    let before = rested(&server)?;
    let (began, cpu_before) = (Instant::now(), server.cpu()?);
    TOPICS.iter().try_for_each(|name| server.ask_for_topic(round.side, name, topic))?;
    let last = topic.partitions as i32 - 1;
    TOPICS.iter().try_for_each(|name| write_to(&server, name, last..=last))?;
    add("until all are made", (began.elapsed().as_secs_f64(), "s"), Goals::of_kafka(0.05));
    let cpu_made = server.cpu()?;
    add("processor time of that", ((cpu_made - cpu_before).as_secs_f64(), "s"), Goals::of_kafka(0.05));
    TOPICS.iter().try_for_each(|name| write_to(&server, name, 0..=last))?;
    add("processor time of a first record for each", ((server.cpu()? - cpu_made).as_secs_f64(), "s"), Goals::NONE);
    let written = rested(&server)?;
    add("resident then", (mib(written.all), "MiB"), Goals::of_kafka(0.15));
    let each = (written.all as f64 - before.all as f64) / 1024.0 / (TOPICS.len() * topic.partitions) as f64;
    add("that is for each", (each, "KiB"), Goals::itself(8.0));
    // That takes Kafka more than the minute that a case may take; `start-2000` compares it.
    let server = match round.side {
        Side::Kafka(_) => server,
        _ => {
            let server = server.end(End::Killed)?.start()?;
            let (wall_ms, cpu_ms) = until_served(&server, TOPICS[0])?;
            add("from kill -9 and a start until a produce is acknowledged", (wall_ms, "ms"), Goals::NONE);
            add("processor time of that start", (cpu_ms, "ms"), Goals::itself(RESTART_CPU_MS));
            server
        }
    };
    server.stop()?;
    Ok(taken)
}
