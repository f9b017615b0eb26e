//! `groups-steady`: 20 groups of ten members each, which have their partitions, send heartbeats and commit how far they are, each of
//! them every five seconds, as clients do that nobody tells otherwise.

use std::thread;
use std::time::Instant;

use crate::cases::Round;
use crate::figure::{Goals, Taken};
use crate::kafka::groups::{self, Commit, Heartbeat};
use crate::load::connection::{Check, Connection};
use crate::load::open::{self, Schedule};
use crate::load::{Requests, closed, pinned};
use crate::server::{Caller, Server, Topic};
use crate::warm;

use super::clients::Clients;

const TOPIC: &str = "shared";
const SHARED: Topic = Topic { partitions: MEMBERS, segment_bytes: 1 << 30 };
const GROUPS: usize = 20;
/// Of each group.
const MEMBERS: usize = 10;
const EVERY_SECONDS: u64 = 5;
const PER_SECOND: u64 = (GROUPS * MEMBERS) as u64 / EVERY_SECONDS;
const SECONDS: u64 = 12;
const CONNECTIONS: usize = 4;
const WARM_REQUESTS: u64 = 4_000;
/// The epoch of a member that leaves (KIP-848).
const LEAVES: i32 = -1;

pub fn round(round: &Round<'_>) -> anyhow::Result<Taken> {
    let server = round.kept_server(SHARED)?;
    let topic = &round.own_name(TOPIC);
    server.create_topic(round.side, topic, SHARED)?;
    let groups: Vec<(String, Vec<String>)> = (0..GROUPS)
        .map(|group| {
            (
                round.own_name(&format!("group-{group:02}")),
                (0..MEMBERS).map(|n| format!("member-{group:02}-{n:02}")).collect(),
            )
        })
        .collect();
    let mut taken = Taken::default();
    pinned(|| {
        let settled = settled(&server, topic, &groups)?;
        let beats = settled.iter().flat_map(|clients| clients.steady_frames().into_iter().flatten());
        let beats: Vec<Vec<u8>> = beats.collect();
        let commits: Vec<Vec<u8>> = settled.iter().flat_map(|clients| commits_of(clients, topic)).collect();
        warm::until_warm(round.side, &server, || {
            turn(&server, &beats, groups::nothing_new)?;
            turn(&server, &commits, groups::committed)
        })?;
        let requests = Requests { warm_up: 0, counted: PER_SECOND * SECONDS / round.part };
        let (before, began) = (server.cpu()?, Instant::now());
        thread::scope(|scope| {
            let server = &server;
            let (beats, commits) = (&beats, &commits);
            let loads = [
                scope.spawn(move || at_rest(server, beats, groups::nothing_new, requests)),
                scope.spawn(move || at_rest(server, commits, groups::committed, requests)),
            ];
            loads.into_iter().try_for_each(|load| load.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        let used = (server.cpu()? - before).as_secs_f64() / began.elapsed().as_secs_f64();
        let about = "processor time of a minute of 20 groups of ten members";
        taken.add(round.case, about, (used * 60e3, "ms"), Goals::of_kafka(0.2));
        leave(&server, &groups)
    })?;
    server.delete_topic(round.side, topic)?;
    round.kept.give_back(round.side, server)?;
    Ok(taken)
}

/// All groups at once, each by a thread: a member that joins learns of its partitions a heartbeat later.
fn settled<'a>(
    server: &Server,
    topic: &'a str,
    groups: &'a [(String, Vec<String>)],
) -> anyhow::Result<Vec<Clients<'a>>> {
    thread::scope(|scope| {
        let settle = |(group, members): &'a (String, Vec<String>)| {
            scope.spawn(move || {
                super::offset_of(server, group, topic, 0)?;
                let mut clients = Clients::new(server.address, group, topic, members, SHARED.partitions)?;
                clients.settle()?;
                Ok(clients)
            })
        };
        let settling: Vec<_> = groups.iter().map(settle).collect();
        settling.into_iter().map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// So that none is expired while the next round is measured.
fn leave(server: &Server, groups: &[(String, Vec<String>)]) -> anyhow::Result<()> {
    let mut caller = Caller::connect(server.address)?;
    for (group, members) in groups {
        for member in members {
            let leaves = Heartbeat { group, member, epoch: LEAVES, subscribes_to: None, owns: None };
            caller.call(groups::heartbeat(&leaves), groups::told)?;
        }
    }
    Ok(())
}

fn commits_of(clients: &Clients<'_>, topic: &str) -> Vec<Vec<u8>> {
    let commit = |(member, epoch): (&str, i32)| {
        let partitions = 0..1;
        groups::offset_commit(&Commit { group: clients.group, by: Some((member, epoch)), topic, partitions, offset: 1 })
    };
    clients.members_and_epochs().map(commit).collect()
}

/// Sends the frames in turn, each once in [`EVERY_SECONDS`].
fn at_rest(server: &Server, frames: &[Vec<u8>], check: Check, requests: Requests) -> anyhow::Result<()> {
    let schedule = Schedule::new(PER_SECOND, CONNECTIONS, 0);
    open::run(&mut connections(server, frames, check)?, &schedule, requests, &|| server.cpu()).map(drop)
}

/// Sends them as fast as it goes.
fn turn(server: &Server, frames: &[Vec<u8>], check: Check) -> anyhow::Result<()> {
    let each = WARM_REQUESTS / CONNECTIONS as u64;
    closed::exactly(&mut connections(server, frames, check)?, 1, each, &|| server.cpu()).map(drop)
}

fn connections(server: &Server, frames: &[Vec<u8>], check: Check) -> anyhow::Result<Vec<Connection>> {
    let of = |n| frames.iter().skip(n).step_by(CONNECTIONS).cloned().collect::<Vec<_>>();
    (0..CONNECTIONS).map(|n| Connection::in_turn(server.address, &of(n), check)).collect()
}
