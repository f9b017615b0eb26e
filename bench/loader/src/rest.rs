//! Figures of a server that has nothing to do, or has just begun: memory, processor time at rest, and how soon a producer is
//! served. Of Ottla, and in turn with it of Kafka.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context;

use crate::compare::since_epoch;
use crate::figure::{Figure, OfKafka};
use crate::kafka::batch::{self, Shape};
use crate::kafka::reply;
use crate::kafka::request::{self, Acks};
use crate::load::connection::{Connection, Target};
use crate::load::{Requests, closed, pinned};
use crate::rows::DEPTH;
use crate::server::{Caller, End, Resident, Server, Side, Topic};

/// When a figure is taken of Kafka, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfKafkaToo {
    Always,
    /// It takes Kafka long.
    UnlessQuick,
    /// The heap that a JVM begins with hides it.
    Never,
}

pub const NAMES: [(&str, OfKafkaToo); 7] = [
    ("memory-idle", OfKafkaToo::Always),
    ("memory-connection", OfKafkaToo::Never),
    ("memory-loaded", OfKafkaToo::UnlessQuick),
    ("memory-partition", OfKafkaToo::UnlessQuick),
    ("idle", OfKafkaToo::UnlessQuick),
    ("start", OfKafkaToo::Always),
    ("start-2000", OfKafkaToo::UnlessQuick),
];

const CONNECTIONS: u64 = 500;
const PARTITIONS: u64 = 2_000;
/// What a server does after it has answered, it has done by then.
const REST: Duration = Duration::from_millis(500);
/// And this long after its start it is taken to be idle, and looked at for so long.
const IDLE_AFTER: Duration = Duration::from_secs(5);
const IDLE_FOR: Duration = Duration::from_secs(15);

const ONE_PARTITION: Topic = Topic { partitions: 1, segment_bytes: 1 << 30 };
const ONE_RECORD: Shape = Shape { bytes: 170, records: 1 };
/// What a client makes of records of 1 KiB if nobody tells it otherwise.
const USUAL: Shape = Shape { bytes: 16 << 10, records: 16 };
const LOADED_CONNECTIONS: usize = 64;
const LOADED_REQUESTS: u64 = 30_000;

/// One taking of a figure.
struct Reading {
    about: &'static str,
    unit: &'static str,
    value: f64,
    goal: Option<f64>,
    kafka_goal: Option<f64>,
}

/// The figures of this name, which is one of [`NAMES`]: in each round of each side, Ottla first.
pub fn measure(name: &'static str, sides: &[&Side], rounds: usize, scratch: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut figures: Vec<Figure> = Vec::new();
    for round in 0..rounds {
        for side in sides {
            let readings = readings(name, side, scratch).with_context(|| format!("{name} on {}", side.name()))?;
            for (at, Reading { about, unit, value, goal, kafka_goal }) in readings.into_iter().enumerate() {
                match side {
                    Side::Kafka(_) if round == 0 => {
                        figures[at].kafka = Some(OfKafka { values: vec![value], goal: kafka_goal });
                    }
                    Side::Kafka(_) => figures[at].kafka.iter_mut().for_each(|kafka| kafka.values.push(value)),
                    _ if round == 0 => figures.push(Figure::alone(name, (about, unit), vec![value], goal)),
                    _ => figures[at].values.push(value),
                }
            }
        }
    }
    Ok(figures)
}

fn readings(name: &str, side: &Side, scratch: &Path) -> anyhow::Result<Vec<Reading>> {
    match name {
        "memory-idle" => memory_idle(side, scratch),
        "memory-connection" => connections(side, scratch),
        "memory-loaded" => loaded(side, scratch),
        "memory-partition" => partitions(side, scratch),
        "idle" => idle(side, scratch),
        "start" => start(side, scratch),
        _ => start_with_partitions(side, scratch),
    }
}

fn memory_idle(side: &Side, scratch: &Path) -> anyhow::Result<Vec<Reading>> {
    let server = Server::start(side, ONE_PARTITION, scratch)?;
    greeted(&server)?;
    let resident = rested(&server)?;
    server.stop()?;
    let reading = |about, bytes, goal, kafka_goal| Reading { about, unit: "MiB", value: mib(bytes), goal, kafka_goal };
    Ok(vec![
        reading("resident after the first request", resident.all, Some(20.0), Some(0.05)),
        reading("of that, without a file behind it", resident.anonymous, None, None),
    ])
}

fn connections(side: &Side, scratch: &Path) -> anyhow::Result<Vec<Reading>> {
    let server = Server::start(side, ONE_PARTITION, scratch)?;
    let _first = greeted(&server)?;
    let before = rested(&server)?;
    let _callers = (0..CONNECTIONS).map(|_| greeted(&server)).collect::<anyhow::Result<Vec<_>>>()?;
    let after = rested(&server)?;
    server.stop()?;
    let about = "resident for each of 500 idle connections that have asked for ApiVersions";
    let value = kib_each(before, after, CONNECTIONS);
    Ok(vec![Reading { about, unit: "KiB", value, goal: Some(4.0), kafka_goal: None }])
}

/// Many connections write as much as clients usually do in a request, for a while.
fn loaded(side: &Side, scratch: &Path) -> anyhow::Result<Vec<Reading>> {
    let topic = Topic { partitions: LOADED_CONNECTIONS, ..ONE_PARTITION };
    let server = Server::start(side, topic, scratch)?;
    server.create_topic(side, "loaded", topic)?;
    let batch = batch::build(USUAL, since_epoch().as_millis() as i64);
    pinned(|| {
        let target = |n| Target { server: server.address, topic: "loaded", partition: n as i32 };
        let producer = |n| Connection::producer(target(n), Acks::Leader, &batch);
        let mut connections = (0..LOADED_CONNECTIONS).map(producer).collect::<anyhow::Result<Vec<_>>>()?;
        let requests = Requests::counting(LOADED_REQUESTS, (DEPTH * LOADED_CONNECTIONS) as u64);
        closed::run(&mut connections, DEPTH, requests, &|| server.cpu())
    })?;
    let resident = server.resident()?;
    server.stop()?;
    let about = "resident after 500 MiB of 16 KiB batches over 64 connections";
    let value = mib(resident.all);
    Ok(vec![Reading { about, unit: "MiB", value, goal: None, kafka_goal: Some(0.1) }])
}

fn partitions(side: &Side, scratch: &Path) -> anyhow::Result<Vec<Reading>> {
    let topic = Topic { partitions: PARTITIONS as usize, ..ONE_PARTITION };
    let server = Server::start(side, topic, scratch)?;
    let _first = greeted(&server)?;
    let before = rested(&server)?;
    server.create_topic(side, "partitions", topic)?;
    let created = rested(&server)?;
    write_to_all(&server, "partitions", PARTITIONS as i32)?;
    let written = rested(&server)?;
    server.stop()?;
    let reading = |about, after| {
        let value = kib_each(before, after, PARTITIONS);
        Reading { about, unit: "KiB", value, goal: Some(8.0), kafka_goal: None }
    };
    Ok(vec![
        reading("resident for each of 2,000 partitions that were never written", created),
        reading("the same with a record in each", written),
        Reading {
            about: "resident with 2,000 partitions, in all",
            unit: "MiB",
            value: mib(written.all),
            goal: None,
            kafka_goal: Some(0.15),
        },
    ])
}

fn idle(side: &Side, scratch: &Path) -> anyhow::Result<Vec<Reading>> {
    let server = Server::start(side, ONE_PARTITION, scratch)?;
    let _first = greeted(&server)?;
    thread::sleep(IDLE_AFTER);
    let alone = cpu_ms_a_minute(&server)?;
    let _callers = (0..CONNECTIONS).map(|_| greeted(&server)).collect::<anyhow::Result<Vec<_>>>()?;
    thread::sleep(REST);
    let connected = cpu_ms_a_minute(&server)?;
    server.stop()?;
    let reading = |about, value| Reading { about, unit: "ms", value, goal: None, kafka_goal: Some(0.05) };
    Ok(vec![
        reading("processor time of a minute in which nothing happens", alone),
        reading("the same with 500 idle connections", connected),
    ])
}

fn cpu_ms_a_minute(server: &Server) -> anyhow::Result<f64> {
    let before = server.cpu()?;
    thread::sleep(IDLE_FOR);
    let used = server.cpu()? - before;
    Ok(used.as_secs_f64() * 1e3 * 60.0 / IDLE_FOR.as_secs_f64())
}

/// From the start of the process to the first acknowledged produce, topic included.
fn start(side: &Side, scratch: &Path) -> anyhow::Result<Vec<Reading>> {
    let server = Server::start(side, ONE_PARTITION, scratch)?;
    server.ask_for_topic(side, "first", ONE_PARTITION)?;
    let (wall_ms, cpu_ms) = until_served(&server, "first")?;
    server.stop()?;
    let about = ["from the start to the first acknowledged produce, empty directory", "processor time of that"];
    Ok(vec![
        Reading { about: about[0], unit: "ms", value: wall_ms, goal: Some(150.0), kafka_goal: Some(0.05) },
        Reading { about: about[1], unit: "ms", value: cpu_ms, goal: None, kafka_goal: Some(0.02) },
    ])
}

/// The same on what an earlier process has left: 2,000 partitions with a record in each.
fn start_with_partitions(side: &Side, scratch: &Path) -> anyhow::Result<Vec<Reading>> {
    let topic = Topic { partitions: PARTITIONS as usize, ..ONE_PARTITION };
    let mut server = Server::start(side, topic, scratch)?;
    server.create_topic(side, "partitions", topic)?;
    write_to_all(&server, "partitions", PARTITIONS as i32)?;
    let mut readings = Vec::new();
    let about = [
        ["to the first acknowledged produce with 2,000 partitions, after a clean stop", "processor time of that"],
        ["the same after kill -9", "processor time of that start"],
    ];
    for (how, about) in [End::Clean, End::Killed].into_iter().zip(about) {
        server = server.end(how)?.start()?;
        let (wall_ms, cpu_ms) = until_served(&server, "partitions")?;
        readings.push(Reading { about: about[0], unit: "ms", value: wall_ms, goal: None, kafka_goal: None });
        readings.push(Reading { about: about[1], unit: "ms", value: cpu_ms, goal: None, kafka_goal: Some(0.03) });
    }
    server.stop()?;
    Ok(readings)
}

/// Milliseconds since the start of the process, and of its processor time.
fn until_served(server: &Server, topic: &str) -> anyhow::Result<(f64, f64)> {
    let produce = request::produce(topic, 0, Acks::Leader, &one_record());
    server.until(|| Caller::connect(server.address)?.call(produce.clone(), reply::produced))?;
    Ok((server.started.elapsed().as_secs_f64() * 1e3, server.cpu()?.as_secs_f64() * 1e3))
}

fn greeted(server: &Server) -> anyhow::Result<Caller> {
    let mut caller = Caller::connect(server.address)?;
    caller.call(request::api_versions(), reply::api_versions)?;
    Ok(caller)
}

fn write_to_all(server: &Server, topic: &str, partitions: i32) -> anyhow::Result<()> {
    let (batch, mut caller) = (one_record(), Caller::connect(server.address)?);
    // Kafka tells that a topic is there before all of its partitions are.
    (0..partitions).try_for_each(|partition| {
        let produce = request::produce(topic, partition, Acks::Leader, &batch);
        server.until(|| caller.call(produce.clone(), reply::produced)).map(drop)
    })
}

fn one_record() -> Vec<u8> {
    batch::build(ONE_RECORD, since_epoch().as_millis() as i64)
}

pub fn rested(server: &Server) -> anyhow::Result<Resident> {
    thread::sleep(REST);
    server.resident()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn kib_each(before: Resident, after: Resident, count: u64) -> f64 {
    (after.all as f64 - before.all as f64) / 1024.0 / count as f64
}
