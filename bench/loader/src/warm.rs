//! A JVM that has just started costs five to ten times what it costs once it has compiled what it runs. So Kafka serves, and nothing
//! is counted, until it has used [`Apache::warm_up`] for it and as much time has passed. Others need no such thing.
//!
//! On one day, at 2,000 batches of 16 KiB a second, it cost 250 µs for each of them after 25 s and 180 after 75 s.

use std::time::Instant;

use anyhow::Context;

use crate::apache::Apache;
use crate::figure::Goals;
use crate::kafka::request::Acks;
use crate::row::{load, name_of_topic, topic_of};
use crate::rows::{B16K, B100, Load, Pace, Row};
use crate::server::{Server, Side};

/// A turn is a row with as many requests divided by this, so that all rows have theirs.
const PART: u64 = 4;
const REQUESTS_MIN: u64 = 100;
/// Of a row at a fixed rate, while it is run without one.
const RATE_REQUESTS: u64 = 4_000;

/// Does the work again and again.
pub fn until_warm(side: &Side, server: &Server, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
    if let Side::Kafka(Apache { warm_up, .. }) = side
        && !server.is_warm()
    {
        let (began, before) = (Instant::now(), server.cpu()?);
        while began.elapsed() < *warm_up || server.cpu()? - before < *warm_up {
            work()?;
        }
        server.until_at_rest()?;
    }
    Ok(())
}

/// With the rows that are to be measured.
pub fn with_rows(rows: &[&Row], side: &Side, server: &Server) -> anyhow::Result<()> {
    let mut turns = rows.iter().cycle().enumerate();
    until_warm(side, server, || {
        let (number, row) = turns.next().context("nothing to warm up with")?;
        // A thread that has to be woken for each request runs other code than one that never rests: both are compiled.
        let is_at_its_rate = number / rows.len() % 2 == 1;
        let (load, requests) = match row.load {
            Load::Rate { pace: Pace::PerSecond(per_second), .. } if is_at_its_rate => (row.load, per_second),
            Load::Rate { blob, consumers: 0, .. } => (Load::Produce { blob, acks: Acks::Leader }, RATE_REQUESTS),
            Load::Rate { blob, .. } => (Load::Mixed { blob }, RATE_REQUESTS),
            Load::Commit { partitions, .. } => {
                (Load::Commit { per_second: COMMITS_PER_SECOND, partitions }, row.requests / PART)
            }
            load => (load, row.requests / PART),
        };
        turn(&Row { load, requests: requests.max(REQUESTS_MIN), ..(*row).clone() }, side, server)
    })
}

/// More than a cold JVM can do, so that it has no rest.
const COMMITS_PER_SECOND: u64 = 20_000;

/// With a little of everything.
pub fn with_usual_load(side: &Side, server: &Server) -> anyhow::Result<()> {
    with_rows(&usual().each_ref(), side, server)
}

/// The same once, for one that needs not be warm but shall have served.
pub fn serve_usual_load(side: &Side, server: &Server) -> anyhow::Result<()> {
    usual().iter().try_for_each(|row| turn(&Row { requests: row.requests / PART, ..row.clone() }, side, server))
}

fn usual() -> [Row; 2] {
    let loads = [Load::Mixed { blob: B16K }, Load::Produce { blob: B100, acks: Acks::Leader }];
    loads.map(|load| Row {
        name: "warm".into(),
        connections: 4,
        partitions: 4,
        load,
        requests: 16_000,
        goals: Goals::NONE,
        is_quick: false,
    })
}

/// On a topic of its own, for the disk would fill. It is not waited for: what a server does besides is not counted.
fn turn(row: &Row, side: &Side, server: &Server) -> anyhow::Result<()> {
    let name = name_of_topic(row);
    server.ask_for_topic(side, &name, topic_of(row))?;
    // Its partitions come one after the other.
    server.until(|| load(row, server, &name))?;
    server.delete_topic(side, &name)
}
