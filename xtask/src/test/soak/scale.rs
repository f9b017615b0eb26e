//! 10,000 partitions on one broker: what they cost to make, to keep and to start with, most of them idle.
//!
//! The time to make them is mostly the disk's, and disks differ, also from hour to hour: one that still discards the blocks
//! of files that were removed a moment ago takes ten times as long. So a plain program makes as many directories and files
//! first, and the limit follows it where the disk is slow.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::batch;
use super::client::Client;
use super::{Removed, failed, seconds};
use crate::test::broker::Broker;
use crate::test::tally::{Tally, Trouble};

const TOPICS: i32 = 100;
const PARTITIONS: i32 = 100;
const ALL: u64 = TOPICS as u64 * PARTITIONS as u64;

const LIMIT_CREATE: Duration = Duration::from_secs(5);
/// How many times as long as the plain program a broker may take on a slow disk.
const LIMIT_PLAIN: u32 = 2;
const LIMIT_START: Duration = Duration::from_secs(2);
const LIMIT_SCRAPE: Duration = Duration::from_millis(100);
/// Resident, for each partition.
const LIMIT_BYTES: u64 = 8 << 10;
/// Files that a broker has open whose partitions are idle.
const LIMIT_OPEN: u64 = 100;
/// The best of so many scrapes counts.
const SCRAPES: usize = 3;

const METRICS: &[&str] = &["ottla.http.listener=127.0.0.1:0"];

pub fn run(program: &Path, folder: &Path) -> Result<Tally, Trouble> {
    fs::create_dir_all(folder).map_err(failed("the folder of the data"))?;
    let _gone_afterwards = [Removed(folder.join("plain")), Removed(folder.join("data"))];
    let plain = plainly_made(&folder.join("plain"))?;
    crate::say(&format!("a plain program makes directories and files for {ALL} partitions in {}", seconds(plain)));

    let broker = Broker::start(program, folder, METRICS)?;
    let empty = Process::of(&broker)?;
    let (mut client, start) = (Client::connect(&broker.address)?, Instant::now());
    for topic in 0..TOPICS {
        client.create_topic(&name(topic), PARTITIONS)?;
    }
    let mut tally = within("created", start.elapsed(), LIMIT_CREATE.max(plain * LIMIT_PLAIN));
    tally += idle(&broker, &empty)?;
    stopped(broker, "empty")?;

    let broker = Broker::start_again(Command::new(program), folder, METRICS)?;
    tally += served(&broker, "after a clean stop")?;
    tally += idle(&broker, &empty)?;
    let written = batch::build(&[b'x'; 100], 1, 0);
    let mut client = Client::connect(&broker.address)?;
    for topic in 0..TOPICS {
        for partition in 0..PARTITIONS {
            let produced = client.produce(&name(topic), partition, &written)?;
            produced.map_err(|error| Trouble::Failed(format!("{}-{partition}: error {}", name(topic), error.0)))?;
        }
    }
    broker.kill()?;

    let broker = Broker::start_again(Command::new(program), folder, METRICS)?;
    tally += served(&broker, "after kill -9, all of them written to")?;
    stopped(broker, "written to")?;
    let broker = Broker::start_again(Command::new(program), folder, METRICS)?;
    tally += served(&broker, "after a clean stop, all of them written to")?;
    tally += idle(&broker, &empty)?;
    broker.kill()?;
    Ok(tally)
}

fn name(topic: i32) -> String {
    format!("scale-{topic:03}")
}

/// What a broker cannot do without: for each partition a directory with a log and a file that says whose it is, and for each
/// topic a record that survives a loss of power.
fn plainly_made(folder: &Path) -> Result<Duration, Trouble> {
    drop(fs::remove_dir_all(folder));
    let make = || {
        fs::create_dir_all(folder)?;
        let (start, mut journal) = (Instant::now(), File::create(folder.join("journal"))?);
        for topic in 0..TOPICS {
            journal.write_all(name(topic).as_bytes())?;
            journal.sync_data()?;
            for partition in 0..PARTITIONS {
                let replica = folder.join(format!("{}-{partition}", name(topic)));
                fs::create_dir(&replica)?;
                File::create(replica.join("00000000000000000000.log"))?;
                fs::write(replica.join("partition.metadata"), "version: 0")?;
            }
        }
        Ok(start.elapsed())
    };
    make().map_err(failed("directories of a plain program"))
}

/// That it serves: a ready line is cheap, so a batch must be acknowledged, too.
fn served(broker: &Broker, after: &str) -> Result<Tally, Trouble> {
    let produced = Client::connect(&broker.address)?.produce(&name(0), 0, &batch::build(b"x", 1, 0))?;
    produced.map_err(|error| Trouble::Failed(format!("produce {after}: error {}", error.0)))?;
    Ok(within(&format!("first produce acknowledged {after}"), broker.started.elapsed(), LIMIT_START))
}

/// What partitions take of which nobody wants anything.
fn idle(broker: &Broker, empty: &Process) -> Result<Tally, Trouble> {
    let now = Process::of(broker)?;
    let bytes = now.resident.saturating_sub(empty.resident) / ALL;
    let mut tally = verdict(bytes <= LIMIT_BYTES, &format!("{bytes} bytes for each (limit {LIMIT_BYTES})"));
    let open = now.open_files;
    tally += verdict(open <= LIMIT_OPEN, &format!("{open} files and sockets open (limit {LIMIT_OPEN})"));
    let address = broker.metrics_address()?;
    let mut best = Duration::MAX;
    for _ in 0..SCRAPES {
        let start = Instant::now();
        let bytes = scrape(&address).map_err(failed("the metrics"))?;
        if bytes < ALL as usize {
            return Err(Trouble::Failed(format!("{bytes} bytes of metrics do not tell of {ALL} partitions")));
        }
        best = best.min(start.elapsed());
    }
    tally += within("scraped", best, LIMIT_SCRAPE);
    Ok(tally)
}

fn scrape(address: &str) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut body = Vec::new();
    stream.read_to_end(&mut body)
}

/// No limit: how long a stop takes is the disk's affair, and no client waits for it.
fn stopped(broker: Broker, what: &str) -> Result<(), Trouble> {
    let start = Instant::now();
    broker.stop()?;
    crate::say(&format!("stopped in {}, {what}", seconds(start.elapsed())));
    Ok(())
}

fn within(what: &str, took: Duration, limit: Duration) -> Tally {
    verdict(took <= limit, &format!("{what} in {} (limit {})", seconds(took), seconds(limit)))
}

fn verdict(is_good: bool, what: &str) -> Tally {
    crate::say(&format!("{} {what}", if is_good { "PASS" } else { "FAIL" }));
    let passed = u64::from(is_good);
    Tally { passed, failed: 1 - passed, skipped: 0 }
}

/// What `/proc` tells of a process.
struct Process {
    resident: u64,
    open_files: u64,
}

impl Process {
    fn of(broker: &Broker) -> Result<Process, Trouble> {
        let folder = Path::new("/proc").join(broker.pid.to_string());
        let status = fs::read_to_string(folder.join("status")).map_err(failed("the broker's memory"))?;
        let resident = resident(&status).ok_or_else(|| Trouble::Failed("/proc tells no VmRSS".into()))?;
        let open_files = fs::read_dir(folder.join("fd")).map_err(failed("the broker's files"))?.count() as u64;
        Ok(Process { resident, open_files })
    }
}

/// Bytes, of the line `VmRSS: 9424 kB`.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory() {
        assert_eq!(resident("Name:\tottla\nVmRSS:\t    9424 kB\nThreads:\t8\n"), Some(9_650_176));
        assert_eq!(resident("Name:\tottla\n"), None);
    }
}
