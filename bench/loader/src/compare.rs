//! The rows of a case on each server in turn, A B A B: what the machine does besides falls on all.
//!
//! The first round of a row is not counted. It is the one that touches memory which the host has yet to give us, and that
//! costs four times as much as the rest.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;

use crate::apache;
use crate::kafka::batch;
use crate::kafka::request::Acks;
use crate::load::connection::{Connection, Reading, Target};
use crate::load::{Requests, Sample, closed, open, pinned};
use crate::rows::{Blob, DEPTH, LOG_BYTES, Load, Row};
use crate::server::{Server, Side, Topic};

/// So that rolling belongs to what is measured, but not more than it does where somebody works with it.
const PRODUCE_SEGMENT_BYTES: u64 = 128 << 20;
/// A log that is read has one segment: a fetch ends where a segment does, and each must give all that it asks for.
const FETCH_SEGMENT_BYTES: u64 = 1 << 30;
/// What Kafka is warmed up with is a row with as many requests divided by this, again and again.
const WARM_PART: u64 = 4;

/// For each row of a case the samples of the counted rounds, for each side.
pub fn compare(case: &[Row], sides: &[Side], rounds: usize, scratch: &Path) -> anyhow::Result<Vec<Vec<Vec<Sample>>>> {
    let mut samples: Vec<Vec<Vec<Sample>>> = case.iter().map(|_| sides.iter().map(|_| Vec::new()).collect()).collect();
    for round in 0..=rounds {
        for (at, side) in sides.iter().enumerate() {
            let taken = match side {
                // It has touched all its memory when it is warm.
                Side::Kafka(_) if round == 0 => continue,
                Side::Kafka(_) => on_one_process(case, side, scratch),
                _ => case.iter().map(|row| on_its_own(row, side, scratch)).collect(),
            };
            let taken = taken.with_context(|| format!("on {}", side.name()))?;
            if round > 0 {
                samples.iter_mut().zip(taken).for_each(|(of_row, sample)| of_row[at].push(sample));
            }
        }
    }
    Ok(samples)
}

fn on_its_own(row: &Row, side: &Side, scratch: &Path) -> anyhow::Result<Sample> {
    let server = Server::start(side, topic_of(row), scratch)?;
    let sample = measure(row, side, &server)?;
    server.stop()?;
    Ok(sample)
}

fn on_one_process(case: &[Row], side: &Side, scratch: &Path) -> anyhow::Result<Vec<Sample>> {
    let server = Server::start(side, topic_of(&case[0]), scratch)?;
    warm_up(case, side, &server)?;
    let samples = case.iter().map(|row| measure(row, side, &server)).collect::<anyhow::Result<_>>()?;
    server.stop()?;
    Ok(samples)
}

fn warm_up(case: &[Row], side: &Side, server: &Server) -> anyhow::Result<()> {
    let began = Instant::now();
    for row in case.iter().cycle() {
        if began.elapsed() >= apache::WARM_WALL && server.cpu()? >= apache::WARM_CPU {
            break;
        }
        let load = match row.load {
            // At its own rate it would take minutes.
            Load::Rate { blob, .. } => Load::Produce { blob, acks: Acks::Leader },
            load => load,
        };
        measure(&Row { load, requests: row.requests / WARM_PART, ..row.clone() }, side, server)?;
    }
    Ok(())
}

fn topic_of(row: &Row) -> Topic {
    let segment_bytes = match row.load {
        Load::Produce { .. } | Load::Rate { .. } => PRODUCE_SEGMENT_BYTES,
        Load::Fetch { .. } => FETCH_SEGMENT_BYTES,
    };
    Topic { partitions: row.partitions, segment_bytes }
}

fn measure(row: &Row, side: &Side, server: &Server) -> anyhow::Result<Sample> {
    let name = format!("{}-{}", row.name, since_epoch().as_millis());
    server.create_topic(side, &name, topic_of(row))?;
    pinned(|| load(row, server, &name)).with_context(|| row.name.clone())
}

fn load(row: &Row, server: &Server, topic: &str) -> anyhow::Result<Sample> {
    let cpu = || server.cpu();
    match row.load {
        Load::Produce { blob, acks } => {
            let mut connections = producers(row.connections, row.partitions, server, topic, (blob, acks))?;
            let requests = Requests::counting(row.requests, (DEPTH * row.connections) as u64);
            closed::run(&mut connections, DEPTH, requests, &cpu)
        }
        Load::Rate { blob, per_second } => {
            let mut connections = producers(row.connections, row.partitions, server, topic, (blob, Acks::Leader))?;
            open::run(&mut connections, per_second, Requests::counting(row.requests, 0), &cpu)
        }
        Load::Fetch { log, max_bytes } => {
            let batches = (LOG_BYTES / row.partitions / log.shape.bytes) as u64;
            fill(row.partitions, batches, log, server, topic)?;
            let reading = Reading { max_bytes, batch: log.shape, batches };
            let consumer = |n| Connection::consumer(target(server, topic, n, row.partitions), reading);
            let mut connections = (0..row.connections).map(consumer).collect::<anyhow::Result<Vec<_>>>()?;
            closed::run(&mut connections, 1, Requests::counting(row.requests, row.connections as u64), &cpu)
        }
    }
}

/// Writes exactly so many batches to each partition.
fn fill(partitions: usize, batches: u64, log: Blob, server: &Server, topic: &str) -> anyhow::Result<()> {
    for partition in 0..partitions {
        let batch = batch::build(log.shape, since_epoch().as_millis() as i64);
        let mut producer = Connection::producer(target(server, topic, partition, partitions), Acks::Leader, &batch)?;
        closed::fill(&mut producer, batches)?;
    }
    Ok(())
}

fn producers(
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
fn target<'a>(server: &Server, topic: &'a str, n: usize, partitions: usize) -> Target<'a> {
    Target { server: server.address, topic, partition: (n % partitions) as i32 }
}

pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
