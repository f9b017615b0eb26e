//! One row on each server in turn, A B A B: what the machine does besides falls on both.
//!
//! The first round of a row is not counted. It is the one that touches memory which the host has yet to give us, and that
//! costs four times as much as the rest.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;

use crate::kafka::batch;
use crate::kafka::request::Acks;
use crate::load::connection::{Connection, Reading, Target};
use crate::load::{Requests, Sample, closed, open, pinned};
use crate::rows::{Blob, DEPTH, LOG_BYTES, Load, Row};
use crate::server::{Server, Side, Topic};

/// Small, so that rolling belongs to what is measured.
const PRODUCE_SEGMENT_BYTES: u64 = 16 << 20;
/// A log that is read has one segment: a fetch ends where a segment does, and each must give all that it asks for.
const FETCH_SEGMENT_BYTES: u64 = 1 << 30;

/// The samples of the counted rounds, for each side.
pub fn compare(row: &Row, sides: &[Side], rounds: usize, scratch: &Path) -> anyhow::Result<Vec<Vec<Sample>>> {
    let mut samples: Vec<Vec<Sample>> = sides.iter().map(|_| Vec::new()).collect();
    for round in 0..=rounds {
        for (side, samples) in sides.iter().zip(&mut samples) {
            let sample = measure(row, side, scratch).with_context(|| format!("{} on {}", row.name, side.name()))?;
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    Ok(samples)
}

fn measure(row: &Row, side: &Side, scratch: &Path) -> anyhow::Result<Sample> {
    let segment_bytes = match row.load {
        Load::Produce { .. } | Load::Rate { .. } => PRODUCE_SEGMENT_BYTES,
        Load::Fetch { .. } => FETCH_SEGMENT_BYTES,
    };
    let topic = Topic { partitions: row.partitions, segment_bytes };
    let server = Server::start(side, topic, scratch)?;
    let name = format!("{}-{}", row.name, since_epoch().as_millis());
    server.create_topic(side, &name, topic)?;
    let sample = pinned(|| load(row, &server, &name))?;
    server.stop()?;
    Ok(sample)
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
    let batch = batch::build(blob.shape, since_epoch().as_millis() as i64);
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
