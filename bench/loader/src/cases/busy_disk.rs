//! `busy-disk`: what producers, consumers and members of a group notice of another program that writes to the same disk as fast as
//! it takes it.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::fcntl::OFlag;

use crate::figure::{Goals, Taken};
use crate::groups::lone_member;
use crate::kafka::groups::{self, Heartbeat};
use crate::kafka::request::Acks;
use crate::load::connection::Connection;
use crate::load::follow::{self, Following};
use crate::load::open::{self, Schedule};
use crate::load::{Requests, Sample, pinned};
use crate::row::{producing, warm_with_usual_load};
use crate::rows::B16K;
use crate::server::{Server, Side, Topic};

use super::Round;

const TOPIC: Topic = Topic { partitions: 4, segment_bytes: 128 << 20 };
const NAME: &str = "beside";
const GROUP: &str = "beside";
const MEMBER: &str = "member";
const PER_SECOND: u64 = 500;
const BEATS_PER_SECOND: u64 = 100;
const SECONDS: u64 = 10;
/// The other writer: so much at a time, past the page cache so that it takes the disk and no processor, over and over the same file.
const WRITE_BYTES: usize = 8 << 20;
/// What a write past the page cache has to begin at a multiple of, in memory and in the file.
const SECTOR_BYTES: usize = 4 << 10;
const FILE_BYTES: u64 = 1 << 30;
/// Until the disk has its hands full.
const LEAD: Duration = Duration::from_secs(2);

pub fn round(round: &Round<'_>) -> anyhow::Result<Taken> {
    let server = Server::start(round.side, TOPIC, round.scratch)?;
    server.create_topic(round.side, NAME, TOPIC)?;
    warm_with_usual_load(round.side, &server)?;
    // The floor keeps no groups.
    let epoch = match round.side {
        Side::Floor { .. } => None,
        _ => Some(lone_member(&server, GROUP, MEMBER, NAME)?),
    };
    let mut taken = Taken::default();
    let has_ended = AtomicBool::new(false);
    let other = round.scratch.join("other-writer");
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_on(&other, &has_ended));
        thread::sleep(LEAD);
        let measured = measure(round, &server, epoch, &mut taken);
        has_ended.store(true, Ordering::Release);
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        taken.add(round.case, "what the other writes meanwhile", (written, "MiB/s"), Goals::NONE);
        measured
    })?;
    server.stop()?;
    Ok(taken)
}

fn measure(round: &Round<'_>, server: &Server, epoch: Option<i32>, taken: &mut Taken) -> anyhow::Result<()> {
    pinned(|| {
        thread::scope(|scope| {
            let beats = epoch.map(|epoch| scope.spawn(move || beat(server, epoch, round.part)));
            let mut connections = producing(4, TOPIC.partitions, server, NAME, (B16K, Acks::Leader))?;
            let requests = Requests { warm_up: PER_SECOND, counted: PER_SECOND * SECONDS / round.part };
            let schedule = Schedule::new(PER_SECOND, connections.len(), requests.warm_up);
            let followed =
                Following { server, topic: NAME, partitions: TOPIC.partitions, consumers: 1, batch: B16K.shape };
            let produce = || open::run(&mut connections, &schedule, requests, &|| server.cpu());
            let (sample, followed) = follow::meanwhile(followed, Some(&schedule), produce)?;
            sample.latency.into_iter().for_each(|latency| taken.add_latency(round.case, "produce", latency));
            taken.add_latency(round.case, "until a consumer has it", followed.latency);
            if let Some(beats) = beats {
                let sample = beats.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                sample.latency.into_iter().for_each(|latency| taken.add_latency(round.case, "heartbeat", latency));
            }
            Ok(())
        })
    })
}

/// A member of a group that says that it is there.
fn beat(server: &Server, epoch: i32, part: u64) -> anyhow::Result<Sample> {
    let beat = groups::heartbeat(&Heartbeat { group: GROUP, member: MEMBER, epoch, subscribes_to: None, owns: None });
    let mut connections =
        [Connection::in_turn(server.address, &[beat], |frame, id| groups::told(frame, id).map(drop))?];
    let requests = Requests { warm_up: BEATS_PER_SECOND, counted: BEATS_PER_SECOND * SECONDS / part };
    let schedule = Schedule::new(BEATS_PER_SECOND, 1, requests.warm_up);
    open::run(&mut connections, &schedule, requests, &|| server.cpu())
}

/// Writes until it is told that it is enough. Gives the MiB of a second.
fn write_on(path: &Path, has_ended: &AtomicBool) -> anyhow::Result<f64> {
    let file = OpenOptions::new().write(true).create(true).custom_flags(OFlag::O_DIRECT.bits()).open(path)?;
    let bytes = vec![0x5a; WRITE_BYTES + SECTOR_BYTES];
    let aligned = &bytes[bytes.as_ptr().align_offset(SECTOR_BYTES)..][..WRITE_BYTES];
    let (mut written, began) = (0, std::time::Instant::now());
    while !has_ended.load(Ordering::Acquire) {
        file.write_all_at(aligned, written % FILE_BYTES)?;
        written += WRITE_BYTES as u64;
    }
    std::fs::remove_file(path)?;
    Ok(super::mib(written) / began.elapsed().as_secs_f64())
}
