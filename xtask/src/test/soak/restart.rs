//! How soon a broker with much to keep is back: 1,000 partitions, 10 GiB.
//!
//! After a clean stop nothing needs to be read; after kill -9 only what the flusher had not come to. So both are far below
//! the time that reading all of it would take. A ready line is cheap: the first produce must be acknowledged within the
//! limit, too. Afterwards each partition is written to, and the offset that it gives tells whether it has lost anything.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::batch;
use super::client::Client;
use super::{Removed, failed, seconds};
use crate::test::broker::Broker;
use crate::test::tally::{Tally, Trouble};

const TOPIC: &str = "restarted";
const PARTITIONS: i32 = 1_000;
const BYTES: u64 = 10 << 30;
/// What must be acknowledged under load before the broker is killed.
const LOAD_BYTES: u64 = 1 << 30;
const WRITERS: i32 = 4;
const FREE_BYTES_MIN: u64 = 14 << 30;

const LIMIT_CLEAN: Duration = Duration::from_secs(1);
const LIMIT_KILLED: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);

const RECORD_BYTES: usize = 1_000;
/// Records of a batch of nearly 1 MiB, and of one of 16 KiB.
const LARGE: usize = 1_023;
const SMALL: usize = 16;

pub fn run(program: &Path, folder: &Path) -> Result<Tally, Trouble> {
    fs::create_dir_all(folder).map_err(failed("the folder of the data"))?;
    // The broker's log stays.
    let _gone_afterwards = Removed(folder.join("data"));
    let free = free_bytes(folder)?;
    if free < FREE_BYTES_MIN {
        let what = format!("{} has {} free, and {} are needed", folder.display(), gib(free), gib(FREE_BYTES_MIN));
        return Err(Trouble::Failed(what));
    }
    let broker = Broker::start(program, folder, &[])?;
    let mut ends = fill(&broker)?;
    // At once, when most is left to be found again.
    kill_under_load(broker, &mut ends)?;

    let broker = Broker::start_again(Command::new(program), folder, &[])?;
    // What was under way may have been kept.
    let after = "after kill -9";
    let mut tally = within(&broker, &mut ends, after, LIMIT_KILLED, |end, acknowledged| end >= acknowledged)?;

    let stopping = Instant::now();
    tally += broker.stop()?;
    crate::say(&format!("stopped in {}", seconds(stopping.elapsed())));
    let broker = Broker::start_again(Command::new(program), folder, &[])?;
    let after = "after a clean stop";
    tally += within(&broker, &mut ends, after, LIMIT_CLEAN, |end, acknowledged| end == acknowledged)?;
    // A clean stop would bring to the disk what is about to be removed.
    broker.kill()?;
    Ok(tally)
}

/// Writes to all partitions in turn; gives the ends of their logs.
fn fill(broker: &Broker) -> Result<Vec<i64>, Trouble> {
    let mut client = Client::connect(&broker.address)?;
    let start = Instant::now();
    client.create_topic(TOPIC, PARTITIONS)?;
    crate::say(&format!("created {PARTITIONS} partitions in {}", seconds(start.elapsed())));
    let (start, mut ends, mut bytes) = (Instant::now(), vec![0; PARTITIONS as usize], 0);
    while bytes < BYTES {
        let batch = batch_of(LARGE);
        for (partition, end) in (0..).zip(&mut ends) {
            *end = acknowledged(&mut client, partition, &batch)? + LARGE as i64;
            bytes += batch.len() as u64;
        }
    }
    crate::say(&format!("wrote {} to them in {}", gib(bytes), seconds(start.elapsed())));
    Ok(ends)
}

/// Compares the times of a start to their limit, and the ends of the logs to what was acknowledged.
fn within(
    broker: &Broker,
    ends: &mut [i64],
    after: &str,
    limit: Duration,
    is_right: impl Fn(i64, i64) -> bool,
) -> Result<Tally, Trouble> {
    let batch = batch_of(1);
    let mut client = Client::connect(&broker.address)?;
    let (mut first, mut wrong) = (None, 0);
    for (partition, end) in (0..).zip(ends) {
        let base_offset = acknowledged(&mut client, partition, &batch)?;
        first.get_or_insert_with(|| broker.started.elapsed());
        if !is_right(base_offset, *end) {
            if wrong == 0 {
                crate::say(&format!("partition {partition} ends at {base_offset}, and {end} was acknowledged"));
            }
            wrong += 1;
        }
        *end = base_offset + 1;
    }
    let (first, all) = (first.unwrap_or_default(), broker.started.elapsed());
    let is_good = first <= limit && wrong == 0;
    let verdict = if is_good { "PASS" } else { "FAIL" };
    crate::say(&format!(
        "{verdict} {after}: ready in {}, first produce acknowledged after {} (limit {}), one to each partition after {}; \
         {wrong} partitions have lost something",
        seconds(broker.ready),
        seconds(first),
        seconds(limit),
        seconds(all),
    ));
    if !is_good {
        broker.print_log();
    }
    let passed = u64::from(is_good);
    Ok(Tally { passed, failed: 1 - passed, skipped: 0 })
}

/// Kills the broker while it is written to.
fn kill_under_load(broker: Broker, ends: &mut [i64]) -> Result<(), Trouble> {
    let (acknowledge, acknowledged) = mpsc::channel();
    for writer in 0..WRITERS {
        let (address, acknowledge) = (broker.address.clone(), acknowledge.clone());
        thread::spawn(move || write(&address, writer, &acknowledge));
    }
    drop(acknowledge);
    let (start, mut bytes) = (Instant::now(), 0);
    while bytes < LOAD_BYTES {
        let silence = |_| Trouble::Failed(format!("no writer was answered, or all have failed, after {}", gib(bytes)));
        let Ack { partition, end, bytes: more } = acknowledged.recv_timeout(PATIENCE).map_err(silence)??;
        ends[partition as usize] = end;
        bytes += more;
    }
    broker.kill()?;
    crate::say(&format!("killed after {} and {} of load", gib(bytes), seconds(start.elapsed())));
    // What was acknowledged before the writers noticed. Their trouble is that there is no broker.
    for Ack { partition, end, .. } in acknowledged.iter().flatten() {
        ends[partition as usize] = end;
    }
    Ok(())
}

struct Ack {
    partition: i32,
    end: i64,
    bytes: u64,
}

/// Writes to each partition whose turn it is, until the first trouble. No two writers share a partition.
fn write(address: &str, writer: i32, acknowledge: &Sender<Result<Ack, Trouble>>) {
    let batch = batch_of(SMALL);
    let mut client = Client::connect(address);
    for partition in (0..PARTITIONS).cycle().filter(|partition| partition % WRITERS == writer) {
        let ack = match &mut client {
            Ok(client) => acknowledged(client, partition, &batch),
            Err(trouble) => Err(trouble.clone()),
        };
        let ack = ack.map(|base| Ack { partition, end: base + SMALL as i64, bytes: batch.len() as u64 });
        let is_over = ack.is_err();
        if acknowledge.send(ack).is_err() || is_over {
            return;
        }
    }
}

fn acknowledged(client: &mut Client, partition: i32, batch: &[u8]) -> Result<i64, Trouble> {
    let produced = client.produce(TOPIC, partition, batch)?;
    produced.map_err(|error| Trouble::Failed(format!("produce to partition {partition}: error {}", error.0)))
}

fn batch_of(records: usize) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    batch::build(&[b'x'; RECORD_BYTES], records, now.as_millis() as i64)
}

fn free_bytes(folder: &Path) -> Result<u64, Trouble> {
    let output = Command::new("df").arg("-Pk").arg(folder).output().map_err(failed("df"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    available(&text).ok_or_else(|| Trouble::Failed(format!("df told no free space: {text}")))
}

/// Bytes, of the fourth column of `df -Pk`.
fn available(text: &str) -> Option<u64> {
    text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn gib(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space() {
        let text = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 264116016 33554432 4 35% /\n";
        assert_eq!(available(text), Some(4096));
        assert_eq!(available("Filesystem\n"), None);
    }
}
