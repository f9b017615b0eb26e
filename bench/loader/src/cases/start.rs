//! `start` and `start-2000-*`: from the start of the process to the first acknowledged produce.

use crate::figure::{Goals, Taken};
use crate::kafka::reply;
use crate::kafka::request::{self, Acks};
use crate::server::{Caller, End, Server, Topic};

use super::{Round, one_record, write_to};

const EMPTY: Topic = Topic { partitions: 1, segment_bytes: 1 << 30 };
const PARTITIONS: Topic = Topic { partitions: 2_000, segment_bytes: 1 << 30 };

/// In an empty directory, so a topic is made on the way.
pub fn empty(round: &Round<'_>) -> anyhow::Result<Taken> {
    let server = Server::start(round.side, EMPTY, round.scratch)?;
    server.ask_for_topic(round.side, "first", EMPTY)?;
    let (wall_ms, cpu_ms) = until_served(&server, "first")?;
    server.stop()?;
    let mut taken = Taken::default();
    let wall_goals = Goals { itself: Some(150.0), ..Goals::of_kafka(0.05) };
    taken.add(round.case, "until the first produce is acknowledged", (wall_ms, "ms"), wall_goals);
    taken.add(round.case, "processor time of that", (cpu_ms, "ms"), Goals::of_kafka(0.02));
    Ok(taken)
}

/// On what an earlier process has left that was told to stop.
pub fn after_clean_stop(round: &Round<'_>) -> anyhow::Result<Taken> {
    on_partitions(round, End::Clean)
}

pub fn after_kill(round: &Round<'_>) -> anyhow::Result<Taken> {
    on_partitions(round, End::Killed)
}

fn on_partitions(round: &Round<'_>, how: End) -> anyhow::Result<Taken> {
    let server = Server::start(round.side, PARTITIONS, round.scratch)?;
    server.create_topic(round.side, "partitions", PARTITIONS)?;
    write_to(&server, "partitions", 0..=PARTITIONS.partitions as i32 - 1)?;
    let server = server.end(how)?.start()?;
    let (wall_ms, cpu_ms) = until_served(&server, "partitions")?;
    server.stop()?;
    let mut taken = Taken::default();
    taken.add(round.case, "until the first produce is acknowledged", (wall_ms, "ms"), Goals::of_kafka(0.05));
    taken.add(round.case, "processor time of that", (cpu_ms, "ms"), Goals::of_kafka(0.03));
    Ok(taken)
}

/// Milliseconds since the start of the process, and of its processor time.
pub fn until_served(server: &Server, topic: &str) -> anyhow::Result<(f64, f64)> {
    let produce = request::produce(topic, 0, Acks::Leader, &one_record());
    server.until(|| Caller::connect(server.address)?.call(produce.clone(), reply::produced))?;
    Ok((server.started.elapsed().as_secs_f64() * 1e3, server.cpu()?.as_secs_f64() * 1e3))
}
