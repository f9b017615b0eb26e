//! `busy-disk`: what producers, consumers and members of a group notice of another program that writes to the same disk as fast as
//! it takes it.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use crate::figure::{Goals, Taken};
use crate::groups::lone_member;
use crate::kafka::groups::{self, Heartbeat};
use crate::kafka::request::Acks;
use crate::load::connection::Connection;
use crate::load::follow::{self, Following};
use crate::load::many::Place;
use crate::load::open::{self, Schedule};
use crate::load::{Requests, Sample, closed, pinned};
use crate::rows::B16K;
use crate::server::{Server, Side, Topic};
use crate::warm;

use super::{Ends, Round};

const TOPIC: Topic = Topic { partitions: 4, segment_bytes: 128 << 20 };
const OTHERS: [(&str, Other); 2] = [("busy-disk-direct", Other::Direct), ("busy-disk-cached", Other::Cached)];
const GROUP: &str = "beside";
const MEMBER: &str = "member";
const PER_SECOND: u64 = 500;
const BEATS_PER_SECOND: u64 = 100;
const WARM_BEATS: u64 = 20_000;
const SECONDS: u64 = 10;
/// The other writer: so much at a time, over and over the same file.
const WRITE_BYTES: usize = 8 << 20;
/// What a write past the page cache has to begin at a multiple of, in memory and in the file.
const SECTOR_BYTES: usize = 4 << 10;
const FILE_BYTES: u64 = 1 << 30;
/// Until the disk has its hands full.
const LEAD: Duration = Duration::from_secs(1);

/// How the other writes.
#[derive(Clone, Copy, Debug)]
enum Other {
    /// Past the page cache: it takes the disk, and no processor.
    Direct,
    /// Through it, and to the disk at once: it takes a processor, and pages, as well.
    Cached,
}

pub fn round(round: &Round<'_>) -> anyhow::Result<Taken> {
    let mut taken = Taken::default();
    for (row, other) in OTHERS.into_iter().take(if round.is_quick() { 1 } else { OTHERS.len() }) {
        let server = round.kept_server(TOPIC)?;
        let topic = &round.own_name(row);
        server.create_topic(round.side, topic, TOPIC)?;
        warm::with_usual_load(round.side, &server)?;
        let member = match round.side {
            // It keeps no groups.
            Side::Floor { .. } => None,
            _ => Some(beats(&server, topic, round)?),
        };
        let has_ended = &AtomicBool::new(false);
        thread::scope(|scope| {
            let writer = scope.spawn(move || write_on(round.scratch, other, has_ended));
            let ends = Ends(has_ended);
            thread::sleep(LEAD);
            measure(row, round, &server, member.as_deref(), &mut taken)?;
            drop(ends);
            let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            taken.add(row, "what the other writes meanwhile", (written, "MiB/s"), Goals::NONE);
            anyhow::Ok(())
        })?;
        server.delete_topic(round.side, topic)?;
        round.kept.give_back(round.side, server)?;
    }
    Ok(taken)
}

fn measure(
    row: &'static str,
    round: &Round<'_>,
    server: &Server,
    beat: Option<&[u8]>,
    taken: &mut Taken,
) -> anyhow::Result<()> {
    let (part, topic) = (round.part, &round.own_name(row));
    pinned(|| {
        thread::scope(|scope| {
            let beats = beat.map(|beat| scope.spawn(move || beat_on(server, beat, part)));
            let place = Place { server, topic, partitions: TOPIC.partitions };
            let mut connections = place.producers(TOPIC.partitions, B16K, Acks::Leader)?;
            let requests = Requests { warm_up: PER_SECOND, counted: PER_SECOND * SECONDS / part };
            let schedule = Schedule::new(PER_SECOND, connections.len(), requests.warm_up);
            let followed = Following { place, consumers: 1, batch: B16K.shape, batches: requests.all() };
            let produce = || open::run(&mut connections, &schedule, requests, &|| server.cpu());
            let (sample, latency) = follow::meanwhile(followed, Some(&schedule), produce)?;
            sample.latency.into_iter().for_each(|latency| taken.add_latency(row, "produce", latency));
            taken.add_latency(row, "until a consumer has it", latency);
            if let Some(beats) = beats {
                let sample = beats.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                sample.latency.into_iter().for_each(|latency| taken.add_latency(row, "heartbeat", latency));
            }
            Ok(())
        })
    })
}

/// The heartbeat of a member of a group, which has its partitions. Kafka is warm with it.
fn beats(server: &Server, topic: &str, round: &Round<'_>) -> anyhow::Result<Vec<u8>> {
    let group = &format!("{GROUP}-{topic}");
    let epoch = lone_member(server, group, MEMBER, topic)?;
    let beat = groups::heartbeat(&Heartbeat { group, member: MEMBER, epoch, subscribes_to: None, owns: None });
    if let Side::Kafka(_) = round.side {
        let mut connection = Connection::in_turn(server.address, std::slice::from_ref(&beat), is_told)?;
        closed::fill(&mut connection, WARM_BEATS / round.part)?;
    }
    Ok(beat)
}

fn is_told(frame: &[u8], correlation_id: i32) -> anyhow::Result<()> {
    groups::told(frame, correlation_id).map(drop)
}

fn beat_on(server: &Server, beat: &[u8], part: u64) -> anyhow::Result<Sample> {
    let mut connections = [Connection::in_turn(server.address, &[beat.to_vec()], is_told)?];
    let requests = Requests { warm_up: BEATS_PER_SECOND, counted: BEATS_PER_SECOND * SECONDS / part };
    let schedule = Schedule::new(BEATS_PER_SECOND, 1, requests.warm_up);
    open::run(&mut connections, &schedule, requests, &|| server.cpu())
}

/// Writes until it is told that it is enough. Gives the MiB of a second.
fn write_on(scratch: &Path, other: Other, has_ended: &AtomicBool) -> anyhow::Result<f64> {
    let path = scratch.join("other-writer");
    let flags = if let Other::Direct = other { OFlag::O_DIRECT } else { OFlag::empty() };
    let file = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags.bits()).open(&path)?;
    // It is gone when it is closed, whatever happens.
    std::fs::remove_file(path)?;
    let bytes = vec![0x5a; WRITE_BYTES + SECTOR_BYTES];
    let aligned = &bytes[bytes.as_ptr().align_offset(SECTOR_BYTES)..][..WRITE_BYTES];
    let (mut written, began) = (0, Instant::now());
    while !has_ended.load(Ordering::Acquire) {
        file.write_all_at(aligned, written % FILE_BYTES)?;
        if let Other::Cached = other {
            file.sync_data()?;
        }
        written += WRITE_BYTES as u64;
    }
    Ok(super::mib(written) / began.elapsed().as_secs_f64())
}
