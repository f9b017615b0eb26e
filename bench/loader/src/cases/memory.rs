//! `memory`: what is resident after a start, with many connections that do nothing, under load, and with many that do.

use crate::figure::{Goals, Taken};
use crate::kafka::request::Acks;
use crate::load::many::Place;
use crate::load::{Requests, closed, pinned};
use crate::rows::{B16K, DEPTH};
use crate::server::{Resident, Server, Side, Topic};

use super::{Round, greeted, mib, rested};

const CONNECTIONS: usize = 500;
const TOPIC: Topic = Topic { partitions: 64, segment_bytes: 1 << 30 };
/// Connections that write as much as clients usually do in a request, and how often, all together.
const LOADS: [(usize, u64, &str); 2] = [
    (64, 30_000, "after 500 MiB of 16 KiB batches over 64 connections"),
    (CONNECTIONS, 30_000, "after as much over 500 busy connections, those beside it"),
];

pub fn round(round: &Round<'_>) -> anyhow::Result<Taken> {
    let server = Server::start(round.side, TOPIC, round.scratch)?;
    let mut taken = Taken::default();
    let mut add = |about: &str, reading, goals| taken.add(round.case, about, reading, goals);
    let resident = |resident: Resident| (mib(resident.all), "MiB");
    let first = greeted(&server)?;
    let idle = rested(&server)?;
    add("after the first request", resident(idle), Goals { itself: Some(20.0), ..Goals::of_kafka(0.05) });
    add("of that, without a file behind it", (mib(idle.anonymous), "MiB"), Goals::NONE);
    let callers = (0..CONNECTIONS).map(|_| greeted(&server)).collect::<anyhow::Result<Vec<_>>>()?;
    let connected = rested(&server)?;
    add("with 500 idle connections", resident(connected), Goals::of_kafka(0.05));
    if let Side::Ottla { .. } = round.side {
        // The heap that a JVM begins with hides it.
        let each = (connected.all as f64 - idle.all as f64) / 1024.0 / CONNECTIONS as f64;
        add("for each of them", (each, "KiB"), Goals::itself(4.0));
    }
    server.create_topic(round.side, "loaded", TOPIC)?;
    let place = Place { server: &server, topic: "loaded", partitions: TOPIC.partitions };
    for (connections, requests, about) in LOADS {
        let loaded = pinned(|| {
            let mut connections = place.producers(connections, B16K, Acks::Leader)?;
            let requests = Requests::counting(requests / round.part, (DEPTH * connections.len()) as u64);
            closed::run(&mut connections, DEPTH, requests, &|| server.cpu())?;
            // While they are there.
            server.resident()
        })?;
        add(about, resident(loaded), Goals::of_kafka(0.1));
    }
    drop((first, callers));
    server.stop()?;
    Ok(taken)
}
