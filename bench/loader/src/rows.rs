//! The rows of the table: each is one kind of load. Their names are what `cargo xtask bench NAME` takes.
//!
//! A name tells all: what is sent, `-CxP` for C connections and P partitions, `-all` for acks=all, `-lz4` and `-zstd` for how it is
//! packed.

use crate::kafka::batch::{Codec, Shape};
use crate::kafka::request::Acks;

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
const B100: Blob = blob("100b", 170, 1);
const B1K: Blob = blob("1k", 1094, 1);
/// Records of about 1 KiB each.
const B16K: Blob = blob("16k", 16 << 10, 16);
const B1M: Blob = blob("1m", 1 << 20, 1 << 10);
/// A batch of 1 KiB with its header, so that a fetch of 1 KiB is one of them.
const WHOLE1K: Blob = blob("whole-1k", 1 << 10, 1);

#[cfg(test)]
pub const BLOBS: [Blob; 5] = [B100, B1K, B16K, B1M, WHOLE1K];

#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    /// What rows have in common that are run on one process of Kafka.
    pub case: String,
    pub connections: usize,
    pub partitions: usize,
    pub load: Load,
    /// Counted requests of a round.
    pub requests: u64,
    /// The goal for Ottla's processor time for a request, as a multiple of Kafka's.
    pub kafka_goal: f64,
    /// And of the floor's. It does not look into what is packed.
    pub floor_goal: Option<f64>,
    /// Whether `--quick` runs it, with a quarter of the requests.
    pub is_quick: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// A closed loop of produce requests.
    Produce { blob: Blob, acks: Acks },
    /// An open loop of produce requests.
    Rate { blob: Blob, per_second: u64 },
    /// A closed loop of fetches of so many bytes, one in flight a connection, from a log of such batches.
    Fetch { log: Blob, max_bytes: usize },
}

/// Produce requests in flight on each connection of a closed loop.
pub const DEPTH: usize = 5;
/// What the partitions of a fetch row hold together.
pub const LOG_BYTES: usize = 64 << 20;
/// Connections and partitions of the rows at a fixed rate.
const RATE_CONNECTIONS: usize = 4;
const RATE_SECONDS: u64 = 4;
const FLOOR_GOAL: Option<f64> = Some(1.5);

pub fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    let blobs = [(B100, 200_000), (B1K, 100_000), (B16K, 16_000), (B1M, 400)];
    for (blob, requests) in blobs {
        for (connections, partitions) in [(1, 1), (4, 4), (32, 16)] {
            rows.push(produce(blob, Acks::Leader, (connections, partitions), requests));
        }
        rows.push(produce(blob, Acks::All, (4, 4), requests));
        if blob.name == B1K.name {
            rows.push(produce(blob, Acks::Leader, (500, 16), requests));
        }
        if blob.shape.records > 1 {
            for (suffix, codec) in [("lz4", Codec::Lz4), ("zstd", Codec::Zstd)] {
                let packed = Blob { codec: Some(codec), ..blob };
                let row = produce(packed, Acks::Leader, (4, 4), requests);
                rows.push(Row { name: format!("{}-{suffix}", row.name), floor_goal: None, is_quick: false, ..row });
            }
        }
        if blob.name == B16K.name {
            rows.push(produce(blob, Acks::Leader, (64, 64), requests));
        }
    }
    for (name, log, max_bytes, requests) in
        [("1k", WHOLE1K, 1 << 10, 60_000), ("64k", B16K, 64 << 10, 16_000), ("1m", B16K, 1 << 20, 2_000)]
    {
        for connections in [1, 4] {
            rows.push(Row {
                name: format!("fetch-{name}-{connections}x{connections}"),
                case: format!("fetch-{name}"),
                connections,
                partitions: connections,
                load: Load::Fetch { log, max_bytes },
                requests,
                kafka_goal: 0.8,
                floor_goal: FLOOR_GOAL,
                is_quick: connections == 4,
            });
        }
    }
    for (blob, per_second) in [(B16K, 2_000), (B100, 20_000), (B100, 10_000)] {
        rows.push(Row {
            name: format!("rate-{}-{per_second}", blob.name),
            case: format!("rate-{}", blob.name),
            connections: RATE_CONNECTIONS,
            partitions: RATE_CONNECTIONS,
            load: Load::Rate { blob, per_second },
            requests: per_second * RATE_SECONDS,
            kafka_goal: 0.35,
            floor_goal: FLOOR_GOAL,
            // That of `groups-commit`, to compare with.
            is_quick: per_second != 10_000,
        });
    }
    rows
}

fn produce(blob: Blob, acks: Acks, (connections, partitions): (usize, usize), requests: u64) -> Row {
    let suffix = if acks == Acks::All { "-all" } else { "" };
    Row {
        name: format!("produce-{}-{connections}x{partitions}{suffix}", blob.name),
        case: format!("produce-{}", blob.name),
        connections,
        partitions,
        load: Load::Produce { blob, acks },
        requests,
        kafka_goal: match (blob.shape.records, connections) {
            (1, 1) => 0.15,
            (1, 4) => 0.25,
            (1, _) => 0.3,
            (2..1024, _) => 0.3,
            _ => 0.45,
        },
        floor_goal: FLOOR_GOAL,
        is_quick: connections == 4 && acks == Acks::Leader,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let rows = all();
        assert_eq!(rows.iter().map(|row| &row.name).collect::<BTreeSet<_>>().len(), rows.len());
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
}
