//! `clients`: what clients as people use them cost a server, Kafka's own perf tools and librdkafka. They write records of 1 KiB at
//! a rate, in batches of their own making, and read them in a group.

use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::figure::{Goals, Taken};
use crate::load::pinned;
use crate::row::warm_with_usual_load;
use crate::server::{Server, Topic};

use super::Round;

const TOPIC: Topic = Topic { partitions: 4, segment_bytes: 128 << 20 };
const JAVA: &str = "client-java";
const LIBRDKAFKA: &str = "client-librdkafka";
const RECORD_BYTES: u64 = 1 << 10;
const RECORDS: u64 = 80_000;
const PER_SECOND: u64 = 8_000;
/// Records whose latency is not told.
const WARM_UP_PART: u64 = 4;
const GIB: f64 = (1_u64 << 30) as f64;

/// What a client tells of its latencies, in ms.
type Quantiles = [(&'static str, f64); 3];

/// How to produce to a server, and to consume from it: to a topic of an address, so many records.
struct Client<'a> {
    row: &'static str,
    produce: &'a dyn Fn(&str, u64) -> Command,
    told: fn(&str) -> Option<Quantiles>,
    consume: &'a dyn Fn(&str, u64) -> Command,
}

pub fn round(round: &Round<'_>) -> anyhow::Result<Taken> {
    let server = Server::start(round.side, TOPIC, round.scratch)?;
    warm_with_usual_load(round.side, &server)?;
    let mut taken = java(round, &server)?;
    taken.append(librdkafka(round, &server)?);
    server.stop()?;
    Ok(taken)
}

/// ProducerPerformance and ConsumerPerformance.
fn java(round: &Round<'_>, server: &Server) -> anyhow::Result<Taken> {
    let jars = round.tools.jars.as_ref().context("Kafka's jars are needed, and there are none")?.join("*");
    let tool = |class: &str, address: &str, records: u64| {
        let mut command = Command::new("java");
        command.arg("-cp").arg(&jars).arg(format!("org.apache.kafka.tools.{class}"));
        command.args(["--topic", JAVA, "--bootstrap-server", address, "--num-records", &records.to_string()]);
        command
    };
    measure(
        round,
        server,
        &Client {
            row: JAVA,
            produce: &|address, records| {
                let mut command = tool("ProducerPerformance", address, records);
                command.args(["--record-size", &RECORD_BYTES.to_string(), "--throughput", &PER_SECOND.to_string()]);
                command.args(["--warmup-records", &(records / WARM_UP_PART).to_string()]);
                command
            },
            told: told_by_java,
            consume: &|address, records| tool("ConsumerPerformance", address, records),
        },
    )
}

fn librdkafka(round: &Round<'_>, server: &Server) -> anyhow::Result<Taken> {
    let python = round.tools.python.as_ref().context("confluent-kafka is needed, and --python tells of none")?;
    let script = |verb: &str, address: &str, records: u64| {
        let mut command = Command::new(python);
        command.args([
            "-c",
            include_str!("../../../clients/rdkafka.py"),
            verb,
            address,
            LIBRDKAFKA,
            &records.to_string(),
        ]);
        command
    };
    measure(
        round,
        server,
        &Client {
            row: LIBRDKAFKA,
            produce: &|address, records| {
                let mut command = script("produce", address, records);
                command.arg(PER_SECOND.to_string());
                command
            },
            told: told_as_json,
            consume: &|address, records| script("consume", address, records),
        },
    )
}

fn measure(round: &Round<'_>, server: &Server, client: &Client<'_>) -> anyhow::Result<Taken> {
    server.create_topic(round.side, client.row, TOPIC)?;
    let (address, records) = (server.address.to_string(), RECORDS / round.part);
    let gib = (records * RECORD_BYTES) as f64 / GIB;
    let mut taken = Taken::default();
    // What they start runs where they do.
    let cpu_of = |mut command: Command| {
        pinned(|| {
            let before = server.cpu()?;
            let output = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
            ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            Ok(((server.cpu()? - before).as_secs_f64() / gib, String::from_utf8_lossy(&output.stdout).into_owned()))
        })
    };
    let (cpu_s, said) = cpu_of((client.produce)(&address, records))?;
    taken.add(client.row, "processor time of a GiB written at 8 MiB/s", (cpu_s, "s"), Goals::of_kafka(0.35));
    for (quantile, ms) in (client.told)(&said).with_context(|| format!("no latencies in {said:?}"))? {
        taken.add(
            client.row,
            format!("latency of a record as the client tells it, {quantile}"),
            (ms, "ms"),
            Goals::NONE,
        );
    }
    let (cpu_s, _) = cpu_of((client.consume)(&address, records))?;
    taken.add(client.row, "processor time of a GiB read as fast as it goes", (cpu_s, "s"), Goals::of_kafka(0.6));
    Ok(taken)
}

/// The last line of `..., 1.23 ms avg latency, 9.00 ms max latency, 1 ms 50th, 3 ms 95th, 5 ms 99th, 8 ms 99.9th.`
fn told_by_java(said: &str) -> Option<Quantiles> {
    let line = said.lines().rfind(|line| line.contains("99.9th"))?;
    let of = |name: &str| {
        let part = line.split(", ").find_map(|part| part.trim_end_matches('.').strip_suffix(name))?;
        part.trim().strip_suffix(" ms")?.parse().ok()
    };
    Some([("p50", of("50th")?), ("p99", of(" 99th")?), ("p99.9", of("99.9th")?)])
}

fn told_as_json(said: &str) -> Option<Quantiles> {
    let told: Value = serde_json::from_str(said).ok()?;
    let of = |name: &'static str| Some((name, told[name].as_f64()?));
    Some([of("p50")?, of("p99")?, of("p99.9")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_tell() {
        let said = "9 records sent, 1.0 ms avg latency, 2.0 ms max latency.\n80000 records sent, 8000.1 records/sec (7.81 \
                    MB/sec), 1.23 ms avg latency, 89.00 ms max latency, 1 ms 50th, 3 ms 95th, 5 ms 99th, 8 ms 99.9th.\n";
        assert_eq!(told_by_java(said), Some([("p50", 1.0), ("p99", 5.0), ("p99.9", 8.0)]));
        assert_eq!(told_by_java("9 records sent"), None);
        let said = r#"{"p50": 0.5, "p99": 1.5, "p99.9": 2.0}"#;
        assert_eq!(told_as_json(said), Some([("p50", 0.5), ("p99", 1.5), ("p99.9", 2.0)]));
        assert_eq!(told_as_json("{}"), None);
    }
}
