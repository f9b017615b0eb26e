//! `idle`: processor time while nothing happens, alone and with connections that wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::ensure;

use crate::figure::{Goals, Taken};
use crate::kafka::reply;
use crate::kafka::request;
use crate::server::{Caller, Server, Topic};
use crate::warm;

use super::{Ends, REST, Round, greeted};

const TOPIC: Topic = Topic { partitions: 1, segment_bytes: 1 << 30 };
const IDLE_CONNECTIONS: usize = 500;
const LONG_POLLS: usize = 200;
/// This long after anything was asked of it a server is taken to be idle, and looked at for so long.
const IDLE_AFTER: Duration = Duration::from_secs(4);
const IDLE_FOR: Duration = Duration::from_secs(7);

pub fn round(round: &Round<'_>) -> anyhow::Result<Taken> {
    let server = round.kept_server(TOPIC)?;
    let _first = greeted(&server)?;
    warm::serve_usual_load(round.side, &server)?;
    warm::with_usual_load(round.side, &server)?;
    // Kafka at rest goes on getting cheaper, and no load makes it so.
    let taken = round.counted(&server, || rest(round, &server))?;
    round.kept.give_back(round.side, server)?;
    Ok(taken)
}

fn rest(round: &Round<'_>, server: &Server) -> anyhow::Result<Taken> {
    thread::sleep(IDLE_AFTER);
    let mut taken = Taken::default();
    let mut add = |about: &str, ms, goal| taken.add(round.case, about, (ms, "ms"), Goals::of_kafka(goal));
    add("processor time of a minute in which nothing happens", ms_a_minute(server)?, 0.05);
    let callers = (0..IDLE_CONNECTIONS).map(|_| greeted(server)).collect::<anyhow::Result<Vec<_>>>()?;
    thread::sleep(REST);
    add("the same with 500 idle connections", ms_a_minute(server)?, 0.05);
    drop(callers);
    let topic = &round.own_name("idle");
    server.create_topic(round.side, topic, TOPIC)?;
    let is_over = &AtomicBool::new(false);
    let polled = thread::scope(|scope| {
        // Whatever happens here.
        let _ends = Ends(is_over);
        let polls: Vec<_> = (0..LONG_POLLS).map(|_| scope.spawn(|| long_polls(server, topic, is_over))).collect();
        thread::sleep(REST);
        let polled = ms_a_minute(server);
        ensure!(polls.iter().all(|poll| !poll.is_finished()), "a fetch that should wait has failed");
        polled
    })?;
    add("the same with 200 fetches that wait half a second each for a first record", polled, 0.15);
    server.delete_topic(round.side, topic)?;
    Ok(taken)
}

fn long_polls(server: &Server, topic: &str, is_over: &AtomicBool) -> anyhow::Result<()> {
    let mut caller = Caller::connect(server.address)?;
    while !is_over.load(Ordering::Acquire) {
        caller.call(request::fetch(topic, 0, 0, 1 << 20), reply::fetched)?;
    }
    Ok(())
}

fn ms_a_minute(server: &Server) -> anyhow::Result<f64> {
    let before = server.cpu()?;
    thread::sleep(IDLE_FOR);
    let used = server.cpu()? - before;
    Ok(used.as_secs_f64() * 1e3 * 60.0 / IDLE_FOR.as_secs_f64())
}
