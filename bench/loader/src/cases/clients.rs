//! `clients`: what clients as people use them cost a server, Kafka's own perf tools and librdkafka. They write records of 1 KiB at
//! a rate, in batches of their own making; and read a GiB in a group, as fast as they can.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::figure::{Goals, Taken};
use crate::groups::offset_of;
use crate::kafka::groups::{ends_sum, list_ends};
use crate::load::many::Place;
use crate::load::pinned;
use crate::rows::B64K;
use crate::server::{Caller, Server, Topic};
use crate::warm;

use super::{GIB, Round};

const TOPIC: Topic = Topic { partitions: 4, segment_bytes: 1 << 30 };
/// What is read.
const LOG: &str = "log";
const LOG_RECORDS: u64 = 1 << 20;
const RECORD_BYTES: u64 = 1 << 10;
/// What is written in a round, and how many of the first have no latency: a client that has just started is slow.
const RECORDS: u64 = 40_000;
const WARM_UP_RECORDS: u64 = 16_000;
const PER_SECOND: u64 = 8_000;

/// Kafka's consumer says so when nothing has come for long, and ends as if all were well.
const CONSUMED_TOO_FEW: &str = "Exiting before consuming";

/// What a client tells of its latencies, in ms.
type Quantiles = [(&'static str, f64); 3];

/// What a client is to do.
struct Order<'a> {
    address: &'a str,
    topic: &'a str,
    records: String,
}

struct Client<'a> {
    row: &'static str,
    produce: &'a dyn Fn(&Order<'_>) -> Command,
    told: fn(&str) -> Option<Quantiles>,
    consume: &'a dyn Fn(&Order<'_>) -> Command,
}

/// Without a client's program its row is left out.
pub fn round(round: &Round<'_>) -> anyhow::Result<Taken> {
    let server = round.kept_server(TOPIC)?;
    let log = &round.own_name(LOG);
    server.create_topic(round.side, log, TOPIC)?;
    let place = Place { server: &server, topic: log, partitions: TOPIC.partitions };
    let batches = LOG_RECORDS / round.part / (TOPIC.partitions * B64K.shape.records) as u64;
    pinned(|| place.fill(batches, B64K))?;
    warm::with_usual_load(round.side, &server)?;
    // Kafka makes what it keeps groups in when it is first asked for one.
    offset_of(&server, "any", log, 0)?;
    // Small batches at a low rate are another load than what it is warm with.
    let taken = round.counted(&server, || with_all(round, &server))?;
    server.delete_topic(round.side, log)?;
    round.kept.give_back(round.side, server)?;
    Ok(taken)
}

fn with_all(round: &Round<'_>, server: &Server) -> anyhow::Result<Taken> {
    let mut taken = Taken::default();
    // A JVM as a client starts as slowly as one that serves.
    if let Some(jars) = round.tools.jars.as_ref().filter(|_| !round.is_quick()) {
        taken.append(java(round, server, &jars.join("*"))?);
    }
    if let Some(python) = &round.tools.python {
        taken.append(librdkafka(round, server, python)?);
    }
    Ok(taken)
}

/// ProducerPerformance and ConsumerPerformance.
fn java(round: &Round<'_>, server: &Server, jars: &Path) -> anyhow::Result<Taken> {
    let tool = |class: &str, Order { address, topic, records }: &Order<'_>| {
        let mut command = Command::new("java");
        command.arg("-cp").arg(jars).arg(format!("org.apache.kafka.tools.{class}"));
        command.args(["--topic", topic, "--bootstrap-server", address, "--num-records", records]);
        command
    };
    let warm_up = (WARM_UP_RECORDS / round.part).to_string();
    let produce = |order: &Order<'_>| {
        let mut command = tool("ProducerPerformance", order);
        command.args(["--record-size", &RECORD_BYTES.to_string(), "--throughput", &PER_SECOND.to_string()]);
        command.args(["--warmup-records", &warm_up]);
        command
    };
    let consume = |order: &Order<'_>| tool("ConsumerPerformance", order);
    measure(round, server, &Client { row: "client-java", produce: &produce, told: told_by_java, consume: &consume })
}

fn librdkafka(round: &Round<'_>, server: &Server, python: &Path) -> anyhow::Result<Taken> {
    let script = |verb: &str, Order { address, topic, records }: &Order<'_>| {
        let mut command = Command::new(python);
        command.args(["-c", include_str!("../../../clients/rdkafka.py"), verb, address, topic, records]);
        command
    };
    let warm_up = (WARM_UP_RECORDS / round.part).to_string();
    let produce = |order: &Order<'_>| {
        let mut command = script("produce", order);
        command.args([&PER_SECOND.to_string(), &warm_up]);
        command
    };
    let consume = |order: &Order<'_>| script("consume", order);
    let client = Client { row: "client-librdkafka", produce: &produce, told: told_as_json, consume: &consume };
    measure(round, server, &client)
}

fn measure(round: &Round<'_>, server: &Server, client: &Client<'_>) -> anyhow::Result<Taken> {
    let (row, address) = (client.row, &server.address.to_string());
    let (written, read) = (&round.own_name(row), &round.own_name(LOG));
    server.create_topic(round.side, written, TOPIC)?;
    let mut taken = Taken::default();
    // What it starts runs where it does.
    let run = |mut command: Command, records: u64| {
        pinned(|| {
            let before = server.cpu()?;
            let output = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
            ensure!(output.status.success(), "{row}: {}", String::from_utf8_lossy(&output.stderr));
            let cpu_s = (server.cpu()? - before).as_secs_f64() * GIB / (records * RECORD_BYTES) as f64;
            Ok((cpu_s, String::from_utf8_lossy(&output.stdout).into_owned()))
        })
    };
    let records = (WARM_UP_RECORDS + RECORDS) / round.part;
    let order = Order { address, topic: written, records: records.to_string() };
    let (cpu_s, said) = run((client.produce)(&order), records)?;
    taken.add(row, "processor time of a GiB written at 8 MiB/s", (cpu_s, "s"), Goals::of_kafka(0.35));
    for (quantile, ms) in (client.told)(&said).with_context(|| format!("no latencies in {said:?}"))? {
        let about = format!("latency of a record as the client tells it, {quantile}");
        taken.add(row, about, (ms, "ms"), Goals::NONE);
    }
    // Kafka's producer tells of what was refused, and ends as if all were well.
    let ends = Caller::connect(server.address)?.call(list_ends(written, TOPIC.partitions as i32), ends_sum)?;
    ensure!(ends == records as i64, "{row}: {ends} of {records} records were written");
    server.delete_topic(round.side, written)?;
    let records = LOG_RECORDS / round.part;
    let (cpu_s, said) = run((client.consume)(&Order { address, topic: read, records: records.to_string() }), records)?;
    ensure!(!said.contains(CONSUMED_TOO_FEW), "{row}: {said}");
    taken.add(row, "processor time of a GiB read as fast as it goes", (cpu_s, "s"), Goals::of_kafka(0.6));
    Ok(taken)
}

/// Of the Python that has it.
pub fn librdkafka_version(python: &Path) -> String {
    let asked = "import confluent_kafka as c; print(c.libversion()[0], 'in confluent-kafka', c.__version__)";
    let said = Command::new(python).args(["-c", asked]).output().ok().filter(|output| output.status.success());
    said.map_or("unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
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
