//! Runs rows on a server. Ottla and the floor have a process for each row, Kafka has one for all of a group, for it has to be
//! warmed up.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};

use crate::apache;
use crate::figure::{Goals, Taken};
use crate::groups::commits;
use crate::kafka::batch;
use crate::kafka::request::Acks;
use crate::load::connection::{Connection, Reading, Target};
use crate::load::follow::{self, Following};
use crate::load::open::Schedule;
use crate::load::{Requests, Sample, closed, open, pinned};
use crate::rows::{B16K, B100, Blob, DEPTH, LOG_BYTES, Load, Pace, RATE_SECONDS, Row};
use crate::server::{Server, Side, Topic};

/// So that rolling belongs to what is measured, but not more than it does where somebody works with it.
const PRODUCE_SEGMENT_BYTES: u64 = 128 << 20;
/// A log that is read has one segment: a fetch ends where a segment does, and each must give all that it asks for.
pub const READ_SEGMENT_BYTES: u64 = 1 << 30;
/// What Kafka is warmed up with is a row with as many requests divided by this, again and again.
const WARM_PART: u64 = 4;
/// How many requests of a second at most are asked of a server whose best is looked for.
const MOST_REQUESTS: u64 = 40_000;

/// A round of the rows on a side.
pub fn round(rows: &[Row], side: &Side, scratch: &Path) -> anyhow::Result<Taken> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.load.runs_on(side)).collect();
    let mut taken = Taken::default();
    if let Side::Kafka(_) = side {
        let Some(first) = rows.first() else { return Ok(taken) };
        let server = Server::start(side, topic_of(first), scratch)?;
        warm_up(&rows, side, &server)?;
        rows.iter().try_for_each(|row| measured(row, side, &server).map(|more| taken.append(more)))?;
        server.stop()?;
        return Ok(taken);
    }
    for row in rows {
        let server = Server::start(side, topic_of(row), scratch)?;
        taken.append(measured(row, side, &server)?);
        server.stop()?;
    }
    Ok(taken)
}

/// Puts what Kafka can do in place of a share of it.
pub fn settle_paces(rows: &mut [Row], kafka: &Side, scratch: &Path) -> anyhow::Result<()> {
    let mut most = None;
    for row in rows {
        if let Load::Rate { blob, pace: Pace::OfKafkasMost(percent), consumers } = row.load {
            let most = match most {
                Some(most) => most,
                None => *most.insert(kafkas_most(row, blob, kafka, scratch)?),
            };
            let per_second = (most * percent as f64 / 100.0).max(1.0) as u64;
            row.load = Load::Rate { blob, pace: Pace::PerSecond(per_second), consumers };
            row.requests = per_second * RATE_SECONDS;
        }
    }
    Ok(())
}

/// Requests a second of a closed loop.
fn kafkas_most(row: &Row, blob: Blob, kafka: &Side, scratch: &Path) -> anyhow::Result<f64> {
    let load = Load::Produce { blob, acks: Acks::Leader };
    let row = Row { load, requests: MOST_REQUESTS, ..row.clone() };
    let server = Server::start(kafka, topic_of(&row), scratch)?;
    warm_up(&[&row], kafka, &server)?;
    let sample = sample(&row, kafka, &server)?;
    server.stop()?;
    Ok(sample.requests as f64 / sample.wall.as_secs_f64())
}

fn warm_up(rows: &[&Row], side: &Side, server: &Server) -> anyhow::Result<()> {
    let mut rows = rows.iter().cycle();
    until_warm(side, server, || {
        let row = rows.next().context("nothing to warm up with")?;
        let load = match row.load {
            // At its own rate it would take minutes.
            Load::Rate { blob, consumers: 0, .. } => Load::Produce { blob, acks: Acks::Leader },
            Load::Rate { blob, .. } => Load::Mixed { blob },
            load => load,
        };
        let requests = (row.requests / WARM_PART).max(1_000);
        sample(&Row { load, requests, ..(*row).clone() }, side, server).map(drop)
    })
}

/// Does it again and again until a JVM has compiled what it runs. Others need no such thing.
pub fn until_warm(side: &Side, server: &Server, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
    if let Side::Kafka(_) = side {
        let began = Instant::now();
        while began.elapsed() < apache::WARM_WALL || server.cpu()? < apache::WARM_CPU {
            work()?;
        }
    }
    Ok(())
}

/// Produces a little of everything, on a topic of its own, until a JVM is warm.
pub fn warm_with_usual_load(side: &Side, server: &Server) -> anyhow::Result<()> {
    let loads = [Load::Mixed { blob: B16K }, Load::Produce { blob: B100, acks: Acks::Leader }];
    let row = |load| Row {
        name: "warm".into(),
        connections: 4,
        partitions: 4,
        load,
        requests: 4_000,
        goals: Goals::NONE,
        is_quick: false,
    };
    warm_up(&loads.map(row).each_ref(), side, server)
}

fn topic_of(row: &Row) -> Topic {
    let segment_bytes = match row.load {
        Load::Produce { .. } | Load::Rate { .. } => PRODUCE_SEGMENT_BYTES,
        Load::Fetch { .. } | Load::Mixed { .. } | Load::Commit { .. } => READ_SEGMENT_BYTES,
    };
    Topic { partitions: row.partitions, segment_bytes }
}

fn measured(row: &Row, side: &Side, server: &Server) -> anyhow::Result<Taken> {
    let Sample { requests, cpu, latency, end_to_end, .. } = sample(row, side, server)?;
    let mut taken = Taken::default();
    taken.add(&row.name, ABOUT_REQUEST, (cpu.as_secs_f64() * 1e6 / requests as f64, "µs"), row.goals);
    latency.into_iter().for_each(|latency| taken.add_latency(&row.name, "latency", latency));
    end_to_end.into_iter().for_each(|latency| taken.add_latency(&row.name, "until a consumer has it", latency));
    Ok(taken)
}

/// What a row is about first of all.
pub const ABOUT_REQUEST: &str = "processor time of a request";

fn sample(row: &Row, side: &Side, server: &Server) -> anyhow::Result<Sample> {
    let name = format!("{}-{}", row.name, since_epoch().as_millis());
    server.create_topic(side, &name, topic_of(row))?;
    if let Load::Commit { .. } = row.load {
        commits::make_groups(server, &name)?;
    }
    let sample = pinned(|| load(row, server, &name)).with_context(|| row.name.clone())?;
    server.delete_topic(side, &name)?;
    Ok(sample)
}

fn load(row: &Row, server: &Server, topic: &str) -> anyhow::Result<Sample> {
    let cpu = || server.cpu();
    let counting = |in_flight| Requests::counting(row.requests, in_flight);
    let depth = (DEPTH * row.connections) as u64;
    match row.load {
        Load::Produce { blob, acks } => {
            let mut connections = producers(row, server, topic, (blob, acks))?;
            closed::run(&mut connections, DEPTH, counting(depth), &cpu)
        }
        Load::Rate { pace: Pace::OfKafkasMost(_), .. } => {
            bail!("a share of what Kafka can do, of which nothing is known")
        }
        Load::Rate { blob, pace: Pace::PerSecond(per_second), consumers } => {
            let mut connections = producers(row, server, topic, (blob, Acks::Leader))?;
            let requests = counting(0);
            let schedule = Schedule::new(per_second, row.connections, requests.warm_up);
            let followed = Following { server, topic, partitions: row.partitions, consumers, batch: blob.shape };
            let produce = || open::run(&mut connections, &schedule, requests, &cpu);
            let (sample, followed) = follow::meanwhile(followed, Some(&schedule), produce)?;
            Ok(Sample { end_to_end: Some(followed.latency).filter(|_| consumers > 0), ..sample })
        }
        Load::Mixed { blob } => {
            let mut connections = producers(row, server, topic, (blob, Acks::Leader))?;
            let followed = Following { server, topic, partitions: row.partitions, consumers: 1, batch: blob.shape };
            let (began, before) = (Instant::now(), cpu()?);
            let produce = || closed::run(&mut connections, DEPTH, counting(depth), &cpu);
            let (sample, followed) = follow::meanwhile(followed, None, produce)?;
            ensure!(followed.batches >= sample.requests, "{} batches were read, of {sample:?}", followed.batches);
            // The consumers may have had the last of it later.
            Ok(Sample { requests: followed.batches, cpu: cpu()? - before, wall: began.elapsed(), ..sample })
        }
        Load::Fetch { log, max_bytes } => {
            let batches = (LOG_BYTES / row.partitions / log.shape.bytes) as u64;
            fill(row.partitions, batches, log, server, topic)?;
            let mut connections = consumers(
                row.connections,
                row.partitions,
                server,
                topic,
                Reading { max_bytes, batch: log.shape, batches: Some(batches) },
            )?;
            closed::run(&mut connections, 1, counting(row.connections as u64), &cpu)
        }
        Load::Commit { per_second, partitions } => {
            let mut connections = commits::connections(row.connections, server, topic, partitions)?;
            let requests = counting(0);
            open::run(&mut connections, &Schedule::new(per_second, row.connections, requests.warm_up), requests, &cpu)
        }
    }
}

/// Writes exactly so many batches to each partition.
pub fn fill(partitions: usize, batches: u64, log: Blob, server: &Server, topic: &str) -> anyhow::Result<()> {
    for partition in 0..partitions {
        let batch = batch::build(log.shape, since_epoch().as_millis() as i64);
        let mut producer = Connection::producer(target(server, topic, partition, partitions), Acks::Leader, &batch)?;
        closed::fill(&mut producer, batches)?;
    }
    Ok(())
}

pub fn consumers(
    connections: usize,
    partitions: usize,
    server: &Server,
    topic: &str,
    reading: Reading,
) -> anyhow::Result<Vec<Connection>> {
    let consumer = |n| Connection::consumer(target(server, topic, n, partitions), reading);
    (0..connections).map(consumer).collect()
}

fn producers(row: &Row, server: &Server, topic: &str, what: (Blob, Acks)) -> anyhow::Result<Vec<Connection>> {
    producing(row.connections, row.partitions, server, topic, what)
}

pub fn producing(
    connections: usize,
    partitions: usize,
    server: &Server,
    topic: &str,
    (blob, acks): (Blob, Acks),
) -> anyhow::Result<Vec<Connection>> {
    let now_ms = since_epoch().as_millis() as i64;
    let batch = match blob.codec {
        None => batch::build(blob.shape, now_ms),
        Some(codec) => batch::build_packed(blob.shape, now_ms, codec),
    };
    let producer = |n| Connection::producer(target(server, topic, n, partitions), acks, &batch);
    (0..connections).map(producer).collect()
}

/// What the `n`th connection works on.
pub fn target<'a>(server: &Server, topic: &'a str, n: usize, partitions: usize) -> Target<'a> {
    Target { server: server.address, topic, partition: (n % partitions) as i32 }
}

pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
