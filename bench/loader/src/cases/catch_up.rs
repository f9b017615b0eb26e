//! `catch-up`: consumers that read a log from its start: out of the page cache, and from the disk once the cache has let go of it.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, ensure};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::figure::{Goals, Taken};
use crate::load::connection::Reading;
use crate::load::many::Place;
use crate::load::{Sample, closed, pinned};
use crate::row::READ_SEGMENT_BYTES;
use crate::rows::B1M;
use crate::server::Topic;
use crate::warm::until_warm;

use super::{GIB, Round};

const TOPIC: Topic = Topic { partitions: 4, segment_bytes: READ_SEGMENT_BYTES };
const NAME: &str = "catch-up";

pub fn round(round: &Round<'_>) -> anyhow::Result<Taken> {
    let server = round.kept_server(TOPIC)?;
    let topic = &round.own_name(NAME);
    server.create_topic(round.side, topic, TOPIC)?;
    // Of each partition: with four of them 4 GiB.
    let batches = (1 << 10) / round.part;
    let place = Place { server: &server, topic, partitions: TOPIC.partitions };
    pinned(|| place.fill(batches, B1M))?;
    // Whoever writes it back does so now and not while it is read.
    let dir = server.dir().context("a server that we started")?;
    in_files(dir, &|file| Ok(file.sync_all()?))?;
    let read = |connections: usize| {
        pinned(|| {
            let reading = Reading { max_bytes: B1M.shape.bytes, batch: B1M.shape, batches: Some(batches) };
            let mut connections = place.consumers(connections, reading)?;
            closed::exactly(&mut connections, 1, batches, &|| server.cpu())
        })
    };
    until_warm(round.side, &server, || read(4).map(drop))?;
    let mut taken = Taken::default();
    let mut add = |about: &str, sample: Sample| {
        let bytes = sample.requests as f64 * B1M.shape.bytes as f64;
        let cpu_ms = sample.cpu.as_secs_f64() * 1e3 * GIB / bytes;
        taken.add(round.case, format!("processor time of a GiB, {about}"), (cpu_ms, "ms"), Goals::of_kafka(0.8));
        let seconds = sample.wall.as_secs_f64() * GIB / bytes;
        taken.add(round.case, format!("seconds for a GiB, {about}"), (seconds, "s"), Goals::NONE);
    };
    add("from the page cache, one connection", read(1)?);
    add("from the page cache, four connections", read(4)?);
    in_files(dir, &|file| Ok(posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?))?;
    let before = server.disk_bytes_read()?;
    add("from the disk, four connections", read(4)?);
    let (all, from_disk) =
        (TOPIC.partitions as u64 * batches * B1M.shape.bytes as u64, server.disk_bytes_read()? - before);
    ensure!(from_disk >= all / 10 * 9, "of {all} bytes {from_disk} came from the disk: the cache had not let go");
    server.delete_topic(round.side, topic)?;
    round.kept.give_back(round.side, server)?;
    Ok(taken)
}

/// Of all files in the folder, and in those in it.
fn in_files(folder: &Path, act: &dyn Fn(&File) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { in_files(&path, act)? } else { act(&File::open(&path)?)? }
    }
    Ok(())
}
