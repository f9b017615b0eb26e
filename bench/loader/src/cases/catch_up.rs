//! `catch-up`: consumers that read a log from its start: out of the page cache, and from the disk once the cache has let go of it.

use std::fs::{self, File};
use std::path::Path;

use anyhow::Context;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::figure::{Goals, Taken};
use crate::load::connection::Reading;
use crate::load::{Requests, Sample, closed, pinned};
use crate::row::{READ_SEGMENT_BYTES, consumers, fill, until_warm};
use crate::rows::B1M;
use crate::server::{Server, Topic};

use super::Round;

const GIB: f64 = (1_u64 << 30) as f64;
const TOPIC: Topic = Topic { partitions: 4, segment_bytes: READ_SEGMENT_BYTES };
const NAME: &str = "catch-up";

pub fn round(round: &Round<'_>) -> anyhow::Result<Taken> {
    let server = Server::start(round.side, TOPIC, round.scratch)?;
    server.create_topic(round.side, NAME, TOPIC)?;
    // Of each partition: with four of them 4 GiB.
    let batches = (1 << 10) / round.part;
    pinned(|| fill(TOPIC.partitions, batches, B1M, &server, NAME))?;
    let read = |connections: usize, requests: u64| {
        pinned(|| {
            let reading = Reading { max_bytes: B1M.shape.bytes, batch: B1M.shape, batches: Some(batches) };
            let mut connections = consumers(connections, TOPIC.partitions, &server, NAME, reading)?;
            // As many more are asked for as are in flight at the end.
            let requests = Requests { warm_up: 0, counted: requests - connections.len() as u64 };
            closed::run(&mut connections, 1, requests, &|| server.cpu())
        })
    };
    until_warm(round.side, &server, || read(4, batches).map(drop))?;
    let mut taken = Taken::default();
    let mut add = |about: &str, sample: Sample| {
        let bytes = sample.requests as f64 * B1M.shape.bytes as f64;
        let cpu_ms = sample.cpu.as_secs_f64() * 1e3 * GIB / bytes;
        taken.add(round.case, format!("processor time of a GiB, {about}"), (cpu_ms, "ms"), Goals::of_kafka(0.8));
        let seconds = sample.wall.as_secs_f64() * GIB / bytes;
        taken.add(round.case, format!("seconds for a GiB, {about}"), (seconds, "s"), Goals::NONE);
    };
    add("from the page cache, one connection", read(1, batches)?);
    add("from the page cache, four connections", read(4, 4 * batches)?);
    forget(server.dir().context("a server that we started")?)?;
    add("from the disk, four connections", read(4, 4 * batches)?);
    server.stop()?;
    Ok(taken)
}

/// Has the page cache let go of all files in the folder.
fn forget(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            forget(&path)?;
        } else {
            let file = File::open(&path)?;
            file.sync_all()?;
            posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        }
    }
    Ok(())
}
