//! A disk that fills up: produce is refused, reading goes on, and with new room all is as before.
//!
//! Each batch says its number and is the only one under way. So the log must hold what was acknowledged and nothing else, to
//! the byte: while the disk is full, when there is room again, and after kill -9 in the middle of it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::batch;
use super::client::{Client, ErrorCode, KAFKA_STORAGE_ERROR};
use super::seconds;
use super::volume::Volume;
use crate::test::broker::Broker;
use crate::test::tally::{Tally, Trouble};

const TOPIC: &str = "full";
const PARTITIONS: i32 = 4;
const VALUE_BYTES: usize = 48 << 10;
/// The size of the disk, at first and each time that it grows.
const MIB: [u32; 3] = [64, 128, 192];
/// Requests that are refused, one after the other, while the disk is full.
const REFUSED: usize = 100;
/// How soon a broker must have noticed that there is room again.
const LIMIT: Duration = Duration::from_secs(10);

pub fn run(program: &Path, folder: &Path) -> Result<Tally, Trouble> {
    let volume = Volume::mount(folder, MIB[0])?;
    // The log is written by us, who do not see the disk: there is always room for it.
    drop(fs::remove_file(folder.join("broker.log")));
    let start = || Broker::start_again(volume.program(program), folder, &[]);
    let mut kept = Kept::default();

    let broker = start()?;
    let mut client = Client::connect(&broker.address)?;
    client.create_topic(TOPIC, PARTITIONS)?;
    kept.fill(&mut client)?;
    kept.is_refused(&mut client)?;
    kept.is_read(&mut client, "the disk is full")?;

    volume.resize(MIB[1])?;
    kept.is_served_again(&mut client)?;
    kept.is_read(&mut client, "there is room again")?;

    kept.fill(&mut client)?;
    broker.kill()?;
    volume.resize(MIB[2])?;
    let broker = start()?;
    let mut client = Client::connect(&broker.address)?;
    kept.is_read(&mut client, "kill -9 on the full disk, and room")?;
    kept.is_served_again(&mut client)?;
    let stopped = broker.stop()?;

    let broker = start()?;
    kept.is_read(&mut Client::connect(&broker.address)?, "a clean stop")?;
    broker.kill()?;
    Ok(stopped)
}

/// The numbers that were acknowledged, by partition; each has an offset.
#[derive(Default)]
struct Kept {
    partitions: [Vec<u64>; PARTITIONS as usize],
    /// Numbers that were sent.
    count: u64,
}

impl Kept {
    /// Sends the next number to the partition whose turn it is.
    fn send(&mut self, client: &mut Client) -> Result<Result<(), ErrorCode>, Trouble> {
        let partition = (self.count % PARTITIONS as u64) as usize;
        let produced = client.produce(TOPIC, partition as i32, &numbered(self.count))?;
        let numbers = &mut self.partitions[partition];
        if let Ok(offset) = produced {
            expect(offset, numbers.len() as i64, &format!("the offset of number {}", self.count))?;
            numbers.push(self.count);
        }
        self.count += 1;
        Ok(produced.map(drop))
    }

    /// Sends until a number is refused.
    fn fill(&mut self, client: &mut Client) -> Result<(), Trouble> {
        let before = self.count;
        let error = loop {
            if let Err(error) = self.send(client)? {
                break error;
            }
        };
        crate::say(&format!("refused with error {} after {} batches", error.0, self.count - before - 1));
        expect(error, ErrorCode(KAFKA_STORAGE_ERROR), "the error of a full disk")?;
        match self.count - before > 1 {
            true => Ok(()),
            false => Err(Trouble::Failed("the disk was full from the start".into())),
        }
    }

    fn is_refused(&mut self, client: &mut Client) -> Result<(), Trouble> {
        for _ in 0..REFUSED {
            expect(self.send(client)?, Err(ErrorCode(KAFKA_STORAGE_ERROR)), "the answer of a full disk")?;
        }
        crate::say(&format!("refused {REFUSED} more, one after the other"));
        Ok(())
    }

    fn is_served_again(&mut self, client: &mut Client) -> Result<(), Trouble> {
        let start = Instant::now();
        while let Err(error) = self.send(client)? {
            expect(error, ErrorCode(KAFKA_STORAGE_ERROR), "the error of a full disk")?;
            if start.elapsed() > LIMIT {
                return Err(Trouble::Failed(format!("produce is refused {} after there is room", seconds(LIMIT))));
            }
        }
        crate::say(&format!("accepted {} after there was room", seconds(start.elapsed())));
        Ok(())
    }

    /// Reads every partition from its start.
    fn is_read(&self, client: &mut Client, when: &str) -> Result<(), Trouble> {
        for (partition, numbers) in (0..).zip(&self.partitions) {
            let mut end = 0;
            loop {
                let place = format!("{when}: offset {end} of partition {partition}");
                let fetched = client.fetch(TOPIC, partition, end)?;
                let fetched = fetched.map_err(|error| Trouble::Failed(format!("{place} gives error {}", error.0)))?;
                let batches = batch::read(&fetched);
                if batches.is_empty() {
                    break;
                }
                for (offset, own) in batches {
                    expect(offset, end, &place)?;
                    let number = numbers.get(end as usize);
                    if number.is_none_or(|number| own != batch::own(&numbered(*number))) {
                        return Err(Trouble::Failed(format!(
                            "{place} is not what was acknowledged, number {number:?}"
                        )));
                    }
                    end += 1;
                }
            }
            expect(end, numbers.len() as i64, &format!("{when}: the end of partition {partition}"))?;
        }
        let count: usize = self.partitions.iter().map(Vec::len).sum();
        crate::say(&format!("read all {count} batches that were acknowledged, and no other: {when}"));
        Ok(())
    }
}

fn numbered(number: u64) -> Vec<u8> {
    batch::build(&number.to_be_bytes().repeat(VALUE_BYTES / 8), 1, 0)
}

fn expect<T: PartialEq + std::fmt::Debug>(got: T, wanted: T, what: &str) -> Result<(), Trouble> {
    match got == wanted {
        true => Ok(()),
        false => Err(Trouble::Failed(format!("{what} is {got:?}, expected {wanted:?}"))),
    }
}
