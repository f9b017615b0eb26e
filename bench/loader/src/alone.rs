//! Figures of Ottla alone: memory at rest, and how soon a producer is served.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::compare::since_epoch;
use crate::kafka::batch::{self, Shape};
use crate::kafka::reply;
use crate::kafka::request::{self, Acks};
use crate::server::{Caller, Resident, Server, Side, Topic};

pub const NAMES: [&str; 4] = ["memory-idle", "memory-connection", "memory-partition", "start"];

const CONNECTIONS: u64 = 500;
const PARTITIONS: u64 = 2_000;
const STARTS: usize = 10;
/// What a server does after it has answered, it has done by then.
const REST: Duration = Duration::from_millis(500);

const ONE_PARTITION: Topic = Topic { partitions: 1, segment_bytes: 1 << 30 };
const ONE_RECORD: Shape = Shape { bytes: 170, records: 1 };

/// One figure, taken several times where that makes sense.
#[derive(Debug)]
pub struct Figure {
    pub name: &'static str,
    pub about: &'static str,
    pub unit: &'static str,
    pub values: Vec<f64>,
    /// In the same unit, where one is set.
    pub goal: Option<f64>,
}

/// The figures of this name, which is one of [`NAMES`].
pub fn measure(name: &'static str, side: &Side, scratch: &Path) -> anyhow::Result<Vec<Figure>> {
    let measured = match name {
        "memory-idle" => idle(side, scratch),
        "memory-connection" => connections(side, scratch),
        "memory-partition" => partitions(side, scratch),
        _ => start(side, scratch),
    };
    measured.with_context(|| format!("{name} on {}", side.name()))
}

fn idle(side: &Side, scratch: &Path) -> anyhow::Result<Vec<Figure>> {
    let server = Server::start(side, ONE_PARTITION, scratch)?;
    Caller::connect(server.address)?.call(request::api_versions(), reply::api_versions)?;
    let resident = rested(&server)?;
    server.stop()?;
    let mib = |bytes| vec![bytes as f64 / f64::from(1 << 20)];
    let figure = |about, bytes, goal| Figure { name: "memory-idle", about, unit: "MiB", values: mib(bytes), goal };
    Ok(vec![
        figure("resident after the first request", resident.all, Some(20.0)),
        figure("of that, without a file behind it", resident.anonymous, None),
    ])
}

fn connections(side: &Side, scratch: &Path) -> anyhow::Result<Vec<Figure>> {
    let server = Server::start(side, ONE_PARTITION, scratch)?;
    let mut caller = Caller::connect(server.address)?;
    caller.call(request::api_versions(), reply::api_versions)?;
    let before = rested(&server)?;
    let mut callers = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut caller = Caller::connect(server.address)?;
        caller.call(request::api_versions(), reply::api_versions)?;
        callers.push(caller);
    }
    let after = rested(&server)?;
    server.stop()?;
    let about = "resident for each of 500 idle connections that have asked for ApiVersions";
    let values = vec![kib_each(before, after, CONNECTIONS)];
    Ok(vec![Figure { name: "memory-connection", about, unit: "KiB", values, goal: Some(4.0) }])
}

fn partitions(side: &Side, scratch: &Path) -> anyhow::Result<Vec<Figure>> {
    let topic = Topic { partitions: PARTITIONS as usize, ..ONE_PARTITION };
    let server = Server::start(side, topic, scratch)?;
    let mut caller = Caller::connect(server.address)?;
    caller.call(request::api_versions(), reply::api_versions)?;
    let before = rested(&server)?;
    server.create_topic(side, "partitions", topic)?;
    let created = rested(&server)?;
    let batch = one_record();
    for partition in 0..PARTITIONS as i32 {
        let produce = request::produce("partitions", partition, Acks::Leader, &batch);
        caller.call(produce, reply::produced)?;
    }
    let written = rested(&server)?;
    server.stop()?;
    let figure = |about, after| {
        let values = vec![kib_each(before, after, PARTITIONS)];
        Figure { name: "memory-partition", about, unit: "KiB", values, goal: Some(8.0) }
    };
    Ok(vec![
        figure("resident for each of 2,000 partitions that were never written", created),
        figure("the same with a record in each", written),
    ])
}

/// From the start of the process to the first acknowledged produce, topic included.
fn start(side: &Side, scratch: &Path) -> anyhow::Result<Vec<Figure>> {
    let (mut wall_ms, mut cpu_ms) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let started = Instant::now();
        let server = Server::start(side, ONE_PARTITION, scratch)?;
        server.create_topic(side, "first", ONE_PARTITION)?;
        let produce = request::produce("first", 0, Acks::Leader, &one_record());
        Caller::connect(server.address)?.call(produce, reply::produced)?;
        wall_ms.push(started.elapsed().as_secs_f64() * 1e3);
        cpu_ms.push(server.cpu()?.as_secs_f64() * 1e3);
        server.stop()?;
    }
    let figure = |about, values, goal| Figure { name: "start", about, unit: "ms", values, goal };
    Ok(vec![
        figure("from the start to the first acknowledged produce, empty directory", wall_ms, Some(150.0)),
        figure("processor time of that", cpu_ms, None),
    ])
}

fn one_record() -> Vec<u8> {
    batch::build(ONE_RECORD, since_epoch().as_millis() as i64)
}

pub fn rested(server: &Server) -> anyhow::Result<Resident> {
    std::thread::sleep(REST);
    server.resident()
}

fn kib_each(before: Resident, after: Resident, count: u64) -> f64 {
    (after.all as f64 - before.all as f64) / 1024.0 / count as f64
}
