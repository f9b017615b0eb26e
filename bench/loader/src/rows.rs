//! The rows: each is one kind of load, of which a request costs so much. Their names are what `cargo xtask bench NAME` takes.
//!
//! A name tells all: what is sent, `-CxP` for C connections and P partitions, `-all` for acks=all, `-lz4` and `-zstd` for how it is
//! packed, `-long` for 2 GiB of it.

use crate::figure::Goals;
use crate::kafka::batch::{Codec, Shape};
use crate::kafka::request::Acks;
use crate::server::Side;

/// What a produce request carries, and what a log is made of.
#[derive(Clone, Copy, Debug)]
pub struct Blob {
    pub name: &'static str,
    /// Before it is packed.
    pub shape: Shape,
    pub codec: Option<Codec>,
}

const fn blob(name: &'static str, bytes: usize, records: usize) -> Blob {
    Blob { name, shape: Shape { bytes, records }, codec: None }
}

/// One record of 100 bytes, and what is around it.
pub const B100: Blob = blob("100b", 170, 1);
const B1K: Blob = blob("1k", 1094, 1);
/// Records of about 1 KiB each, in batches as a client makes them if nobody tells it otherwise.
pub const B16K: Blob = blob("16k", 16 << 10, 16);
/// The same of records of about 100 bytes.
const B16K_OF_100B: Blob = blob("16k-of-100b", 16 << 10, 150);
pub const B64K: Blob = blob("64k", 64 << 10, 64);
pub const B1M: Blob = blob("1m", 1 << 20, 1 << 10);
/// A batch of 1 KiB with its header, so that a fetch of 1 KiB is one of them.
const WHOLE1K: Blob = blob("whole-1k", 1 << 10, 1);

#[cfg(test)]
pub const BLOBS: [Blob; 7] = [B100, B1K, B16K, B16K_OF_100B, B64K, B1M, WHOLE1K];

#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub connections: usize,
    pub partitions: usize,
    pub load: Load,
    /// Counted requests of a round; where [`Pace`] is a share, those of a second are not known yet, and this is 0.
    pub requests: u64,
    /// Of the processor time of a request.
    pub goals: Goals,
    /// Whether `--quick` runs it, with a quarter of the requests.
    pub is_quick: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// A closed loop of produce requests.
    Produce { blob: Blob, acks: Acks },
    /// An open loop of produce requests. So many consumers read each partition as it grows.
    Rate { blob: Blob, pace: Pace, consumers: usize },
    /// A closed loop of produce requests, and a consumer of each partition that reads all of it meanwhile.
    Mixed { blob: Blob },
    /// A closed loop of fetches of so many bytes, one in flight a connection, from a log of such batches.
    Fetch { log: Blob, max_bytes: usize },
    /// An open loop of commits of so many partitions each, by a thousand groups in turn.
    Commit { per_second: u64, partitions: i32 },
}

/// Requests of an open loop.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    PerSecond(u64),
    /// Percent of what Kafka answers in a second of a closed loop on this machine.
    OfKafkasMost(u64),
}

/// Rows that are run on one process of Kafka.
#[derive(Debug)]
pub struct Group {
    pub name: &'static str,
    pub about: &'static str,
    pub rows: Vec<Row>,
}

/// Produce requests in flight on each connection of a closed loop.
pub const DEPTH: usize = 5;
/// What the partitions of a fetch row hold together.
pub const LOG_BYTES: usize = 64 << 20;
/// Connections and partitions of the rows at a fixed rate.
const RATE_CONNECTIONS: usize = 4;
const RATE_SECONDS: u64 = 3;
/// So many in a round that three have enough for a 99.9th percentile.
const RATE_REQUESTS_MIN: u64 = 4_000;
/// A consumer of these rows reads 25 MiB/s.
const TAIL_PER_SECOND: u64 = 1_600;

impl Load {
    /// The floor knows Produce and Fetch alone.
    pub fn runs_on(&self, side: &Side) -> bool {
        !matches!((self, side), (Load::Commit { .. }, Side::Floor { .. }))
    }
}

pub fn groups() -> Vec<Group> {
    let group = |name, about, rows| Group { name, about, rows };
    vec![
        group("produce-100b", "Produce requests of one record of 100 bytes.", unbatched(B100, 100_000, &[])),
        group(
            "produce-1k",
            "Produce requests of one record of 1 KiB.",
            unbatched(B1K, 60_000, &[(200, 16), (500, 64)]),
        ),
        group("produce-16k", "Produce requests of a batch of 16 KiB, the clients' default.", of_16k()),
        group("produce-large", "Produce requests of a batch of 64 KiB, and of one of 1 MiB.", {
            let mut rows = packed(produce(B64K, (4, 4), 6_000, (0.4, 1.3)));
            rows.push(produce(B1M, (1, 1), 400, (0.45, 1.3)));
            rows.extend(packed(produce(B1M, (4, 4), 400, (0.45, 1.3))));
            rows
        }),
        group("fetch", "Fetches from 64 MiB in the page cache, from start to end, again and again.", fetches()),
        group("rate-16k", "Batches of 16 KiB at a fixed rate.", rates(B16K, 2_000)),
        group("rate-1k", "Requests of one record of 1 KiB at a fixed rate.", rates(B1K, 5_000)),
        group(
            "tail",
            "Consumers that follow a producer of 25 MiB/s, and those that read all that is written.",
            tails(),
        ),
        group("commit", "Offset commits at a fixed rate, of 1,000 groups on all coordinators.", commits()),
    ]
}

const fn goals((of_kafka, of_floor): (f64, f64)) -> Goals {
    Goals { of_kafka: Some(of_kafka), of_floor: Some(of_floor), ..Goals::NONE }
}

fn unbatched(blob: Blob, requests: u64, more: &[(usize, usize)]) -> Vec<Row> {
    let mut rows = vec![
        produce(blob, (1, 1), requests, (0.15, 1.5)),
        produce(blob, (4, 4), requests, (0.25, 1.5)),
        all_acks(produce(blob, (4, 4), requests, (0.25, 1.5))),
        produce(blob, (16, 16), requests, (0.25, 1.5)),
    ];
    rows.extend(more.iter().map(|places| produce(blob, *places, requests, (0.3, 1.5))));
    rows
}

fn of_16k() -> Vec<Row> {
    const GOALS: (f64, f64) = (0.3, 1.5);
    const REQUESTS: u64 = 16_000;
    let mut rows = vec![produce(B16K, (1, 1), REQUESTS, GOALS)];
    rows.extend(packed(produce(B16K, (4, 4), REQUESTS, GOALS)));
    rows.push(all_acks(produce(B16K, (4, 4), REQUESTS, GOALS)));
    rows.push(produce(B16K_OF_100B, (4, 4), REQUESTS, GOALS));
    rows.extend([(64, 64), (500, 64), (64, 1)].map(|places| produce(B16K, places, REQUESTS, GOALS)));
    rows.push(long(produce(B16K, (4, 4), LONG_REQUESTS, GOALS)));
    rows
}

fn produce(blob: Blob, (connections, partitions): (usize, usize), requests: u64, most: (f64, f64)) -> Row {
    Row {
        name: format!("produce-{}-{connections}x{partitions}", blob.name),
        connections,
        partitions,
        load: Load::Produce { blob, acks: Acks::Leader },
        requests,
        goals: goals(most),
        is_quick: connections == 4,
    }
}

/// 2 GiB: four times as much as Ottla leaves without a flush, so that it belongs to what is measured.
const LONG_REQUESTS: u64 = 128 << 10;

fn long(row: Row) -> Row {
    Row { name: format!("{}-long", row.name), is_quick: false, ..row }
}

fn all_acks(row: Row) -> Row {
    let Load::Produce { blob, .. } = row.load else { unreachable!("a row that produces") };
    let (load, name) = (Load::Produce { blob, acks: Acks::All }, format!("{}-all", row.name));
    Row { name, load, is_quick: false, ..row }
}

/// The row, and the same packed, which is compared to a floor that does not look into what is packed.
fn packed(row: Row) -> Vec<Row> {
    let Load::Produce { blob, acks } = row.load else { unreachable!("a row that produces") };
    let pack = |(suffix, codec)| Row {
        name: format!("{}-{suffix}", row.name),
        load: Load::Produce { blob: Blob { codec: Some(codec), ..blob }, acks },
        goals: Goals { of_floor: Some(1.5), ..row.goals },
        is_quick: false,
        ..row.clone()
    };
    let packed = [("lz4", Codec::Lz4), ("zstd", Codec::Zstd)].map(pack);
    std::iter::once(row.clone()).chain(packed).collect()
}

fn fetches() -> Vec<Row> {
    let kinds = [("1k", WHOLE1K, 1 << 10, 40_000), ("64k", B16K, 64 << 10, 12_000), ("1m", B16K, 1 << 20, 2_000)];
    let rows = kinds.into_iter().flat_map(|(name, log, max_bytes, requests)| {
        [1, 4].map(|connections| Row {
            name: format!("fetch-{name}-{connections}x{connections}"),
            connections,
            partitions: connections,
            load: Load::Fetch { log, max_bytes },
            requests,
            goals: goals((0.8, 1.5)),
            is_quick: connections == 4,
        })
    });
    rows.collect()
}

/// Counted requests of a round at such a rate.
pub fn requests_at(per_second: u64) -> u64 {
    (per_second * RATE_SECONDS).max(RATE_REQUESTS_MIN)
}

/// At a rate that is always the same, and at a tenth and a half of what Kafka can do.
fn rates(blob: Blob, per_second: u64) -> Vec<Row> {
    let row = |name: String, pace, consumers| Row {
        name: format!("rate-{}-{name}", blob.name),
        connections: RATE_CONNECTIONS,
        partitions: RATE_CONNECTIONS,
        load: Load::Rate { blob, pace, consumers },
        requests: if let Pace::PerSecond(per_second) = pace { requests_at(per_second) } else { 0 },
        goals: without_floor_if(consumers > 0, goals((0.35, 1.5))),
        is_quick: consumers == 0 && matches!(pace, Pace::PerSecond(_)),
    };
    vec![
        row(format!("{per_second}"), Pace::PerSecond(per_second), 0),
        row(format!("{per_second}-followed"), Pace::PerSecond(per_second), 1),
        row("tenth".into(), Pace::OfKafkasMost(10), 0),
        row("half".into(), Pace::OfKafkasMost(50), 0),
    ]
}

/// Only to produce has a goal of the floor.
fn without_floor_if(reads_too: bool, goals: Goals) -> Goals {
    if reads_too { Goals { of_floor: None, ..goals } } else { goals }
}

fn tails() -> Vec<Row> {
    let follow = |consumers| Row {
        name: format!("tail-{consumers}"),
        connections: 1,
        partitions: 1,
        load: Load::Rate { blob: B16K, pace: Pace::PerSecond(TAIL_PER_SECOND), consumers },
        requests: requests_at(TAIL_PER_SECOND),
        goals: without_floor_if(consumers > 0, goals((0.3, 1.5))),
        is_quick: consumers == 5,
    };
    let mixed = Row {
        name: "mixed-16k-4x4".into(),
        connections: 4,
        partitions: 4,
        load: Load::Mixed { blob: B16K },
        requests: 16_000,
        goals: Goals::of_kafka(0.3),
        is_quick: false,
    };
    [0, 1, 5].map(follow).into_iter().chain([mixed]).collect()
}

fn commits() -> Vec<Row> {
    let row = |(per_second, partitions)| Row {
        name: format!("commit-{partitions}x{per_second}"),
        connections: RATE_CONNECTIONS,
        partitions: partitions as usize,
        load: Load::Commit { per_second, partitions },
        requests: requests_at(per_second),
        goals: Goals::of_kafka(0.25),
        is_quick: partitions == 1,
    };
    [(2_000, 1), (500, 10)].map(row).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::figure::ENOUGH;

    fn all() -> impl Iterator<Item = Row> {
        groups().into_iter().flat_map(|group| group.rows)
    }

    #[test]
    fn names_are_unique() {
        assert_eq!(all().map(|row| row.name).collect::<BTreeSet<_>>().len(), all().count());
    }

    #[test]
    fn three_rounds_at_a_rate_have_a_quantile_of_a_thousand() {
        let rates = all().filter(|row| matches!(row.load, Load::Rate { .. } | Load::Commit { .. }));
        let counted = rates.map(|row| row.requests).filter(|requests| *requests > 0);
        assert!(counted.chain([requests_at(1)]).all(|of_a_round| 3 * of_a_round >= ENOUGH));
    }

    #[test]
    fn a_fetch_is_whole_batches_and_a_log_whole_fetches() {
        for row in all() {
            if let Load::Fetch { log, max_bytes } = row.load {
                assert_eq!(max_bytes % log.shape.bytes, 0, "{}", row.name);
                assert_eq!(LOG_BYTES / row.partitions % max_bytes, 0, "{}", row.name);
            }
        }
    }

    #[test]
    fn every_connection_of_a_followed_row_has_a_partition_of_its_own() {
        for row in all() {
            if let Load::Rate { .. } | Load::Mixed { .. } = row.load {
                assert_eq!(row.connections, row.partitions, "{}", row.name);
            }
        }
    }
}
