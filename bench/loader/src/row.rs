//! Runs rows on a server. Ottla and the floor have a process for each row and round, Kafka has one for all of a case, for it has to
//! be warmed up.

use std::path::Path;

use anyhow::{Context, bail, ensure};

use crate::figure::{Goals, Taken};
use crate::groups::commits;
use crate::kafka::request::Acks;
use crate::load::connection::Reading;
use crate::load::follow::{self, Following};
use crate::load::many::Place;
use crate::load::open::Schedule;
use crate::load::{Requests, Sample, closed, open, pinned};
use crate::machine::since_epoch;
use crate::rows::{DEPTH, LOG_BYTES, Load, Pace, Row, requests_at};
use crate::server::{Kept, Server, Side, Topic};
use crate::warm;

/// So that rolling belongs to what is measured, but not more than it does where somebody works with it.
const PRODUCE_SEGMENT_BYTES: u64 = 128 << 20;
/// A log that is read has one segment: a fetch ends where a segment does, and each must give all that it asks for.
pub const READ_SEGMENT_BYTES: u64 = 1 << 30;
/// How many requests are asked of a server whose best is looked for.
const MOST_REQUESTS: u64 = 40_000;
/// What a row is about first of all.
pub const ABOUT_REQUEST: &str = "processor time of a request";

/// A round of the rows on a side.
pub fn round(rows: &[Row], side: &Side, scratch: &Path, kept: &Kept) -> anyhow::Result<Taken> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.load.runs_on(side)).collect();
    let mut taken = Taken::default();
    if let Side::Kafka(_) = side {
        let Some(first) = rows.first() else { return Ok(taken) };
        let server = kept.take_or_start(side, topic_of(first), scratch)?;
        warm::with_rows(&rows, side, &server)?;
        rows.iter().try_for_each(|row| measured(row, side, &server).map(|more| taken.append(more)))?;
        kept.give_back(side, server)?;
        return Ok(taken);
    }
    for row in rows {
        let server = Server::start(side, topic_of(row), scratch)?;
        taken.append(measured(row, side, &server)?);
        server.stop()?;
    }
    Ok(taken)
}

/// Puts what Kafka can do in place of a share of it. The rows of a case send batches of one kind.
pub fn settle_paces(rows: &mut [Row], kafka: &Side, scratch: &Path, kept: &Kept) -> anyhow::Result<()> {
    let share = rows.iter().find_map(|row| match row.load {
        Load::Rate { blob, pace: Pace::OfKafkasMost(_), .. } => Some((row.clone(), blob)),
        _ => None,
    });
    let Some((first, blob)) = share else { return Ok(()) };
    let server = kept.take_or_start(kafka, topic_of(&first), scratch)?;
    warm::with_rows(&rows.iter().collect::<Vec<_>>(), kafka, &server)?;
    let load = Load::Produce { blob, acks: Acks::Leader };
    let most = most_of(&Row { load, requests: MOST_REQUESTS, ..first }, kafka, &server)?;
    for row in rows {
        if let Load::Rate { blob, pace: Pace::OfKafkasMost(percent), consumers } = row.load {
            let per_second = (most * percent as f64 / 100.0).max(1.0) as u64;
            row.load = Load::Rate { blob, pace: Pace::PerSecond(per_second), consumers };
            row.requests = requests_at(per_second);
        }
    }
    kept.give_back(kafka, server)
}

/// Requests a second of a closed loop.
fn most_of(row: &Row, side: &Side, server: &Server) -> anyhow::Result<f64> {
    let sample = sample(row, side, server)?;
    Ok(sample.requests as f64 / sample.wall.as_secs_f64())
}

pub fn topic_of(row: &Row) -> Topic {
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
    if let Load::Rate { pace: Pace::PerSecond(per_second), .. } = row.load {
        taken.add(&row.name, "requests due in a second", (per_second as f64, ""), Goals::NONE);
    }
    Ok(taken)
}

/// On a topic of its own, which has settled.
fn sample(row: &Row, side: &Side, server: &Server) -> anyhow::Result<Sample> {
    let name = name_of_topic(row);
    server.create_topic(side, &name, topic_of(row))?;
    let sample = load(row, server, &name)?;
    server.delete_topic(side, &name)?;
    Ok(sample)
}

pub fn name_of_topic(row: &Row) -> String {
    format!("{}-{}", row.name, since_epoch().as_millis())
}

/// On a topic that is there.
pub fn load(row: &Row, server: &Server, topic: &str) -> anyhow::Result<Sample> {
    if let Load::Commit { .. } = row.load {
        commits::make_groups(server, topic)?;
    }
    pinned(|| drive(row, server, topic)).with_context(|| row.name.clone())
}

fn drive(row: &Row, server: &Server, topic: &str) -> anyhow::Result<Sample> {
    let cpu = || server.cpu();
    let counting = |in_flight| Requests::counting(row.requests, in_flight);
    let place = Place { server, topic, partitions: row.partitions };
    match row.load {
        Load::Produce { blob, acks } => {
            let mut connections = place.producers(row.connections, blob, acks)?;
            closed::run(&mut connections, DEPTH, counting((DEPTH * row.connections) as u64), &cpu)
        }
        Load::Rate { pace: Pace::OfKafkasMost(_), .. } => {
            bail!("a share of what Kafka can do, of which nothing is known")
        }
        Load::Rate { blob, pace: Pace::PerSecond(per_second), consumers } => {
            let mut connections = place.producers(row.connections, blob, Acks::Leader)?;
            let requests = counting(0);
            let schedule = Schedule::new(per_second, row.connections, requests.warm_up);
            let followed = Following { place, consumers, batch: blob.shape, batches: requests.all() };
            let produce = || open::run(&mut connections, &schedule, requests, &cpu);
            let (sample, latency) = follow::meanwhile(followed, Some(&schedule), produce)?;
            Ok(Sample { end_to_end: Some(latency).filter(|_| consumers > 0), ..sample })
        }
        Load::Mixed { blob } => {
            let mut connections = place.producers(row.connections, blob, Acks::Leader)?;
            let each = row.requests / row.connections as u64;
            let batches = each * row.connections as u64;
            let followed = Following { place, consumers: 1, batch: blob.shape, batches };
            let before = cpu()?;
            let produce = || closed::exactly(&mut connections, DEPTH as u64, each, &cpu);
            let (sample, _) = follow::meanwhile(followed, None, produce)?;
            // The consumers may have had the last of it later.
            Ok(Sample { cpu: cpu()? - before, ..sample })
        }
        Load::Fetch { log, max_bytes } => {
            let batches = (LOG_BYTES / row.partitions / log.shape.bytes) as u64;
            place.fill(batches, log)?;
            let reading = Reading { max_bytes, batch: log.shape, batches: Some(batches) };
            let mut connections = place.consumers(row.connections, reading)?;
            closed::run(&mut connections, 1, counting(row.connections as u64), &cpu)
        }
        Load::Commit { per_second, partitions } => {
            ensure!(partitions as usize <= row.partitions, "commits of partitions that are not there");
            let mut connections = commits::connections(row.connections, server, topic, partitions)?;
            let requests = counting(0);
            open::run(&mut connections, &Schedule::new(per_second, row.connections, requests.warm_up), requests, &cpu)
        }
    }
}
