//! The fixtures are answers of Kafka 4.3.1, started with `testdata/describe/server.properties`, or with what a test says. `broker.tsv` has the
//! rows that are not a plain default, and some that are.

use super::*;
use crate::server::ServerConfig;
use crate::topic_config::Overrides;

const PROPERTIES: &str = include_str!("../../testdata/describe/server.properties");

fn server() -> ServerConfig {
    ServerConfig::load(Some(PROPERTIES), &[]).unwrap().0
}

fn overrides(entries: &[(&str, &str)]) -> Overrides {
    entries.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

fn cluster() -> Overrides {
    overrides(&[("min.insync.replicas", "1"), ("log.segment.bytes", "2000000"), ("log.roll.ms", "6000000")])
}

fn topic() -> Overrides {
    overrides(&[
        ("retention.bytes", " 77 "),
        ("cleanup.policy", "delete , compact"),
        ("internal.segment.bytes", "5000"),
        ("segment.bytes", "3000000"),
    ])
}

fn row(described: &Described) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let flags = format!("{}{}", u8::from(described.is_read_only), u8::from(described.is_sensitive));
    let synonyms: Vec<_> = described
        .synonyms
        .iter()
        .map(|synonym| format!("{}={}@{}", synonym.name, text(&synonym.value), synonym.source.id()))
        .collect();
    [
        described.name.clone(),
        text(&described.value),
        described.source.id().to_string(),
        described.kind.map_or(0, Kind::id).to_string(),
        flags,
        synonyms.join(" | "),
    ]
    .join("\t")
}

fn check(answer: &[Described], fixture: &str) {
    assert!(answer.is_sorted_by(|a, b| a.name < b.name));
    for expected in fixture.lines().skip(1) {
        let (name, _) = expected.split_once('\t').unwrap();
        let described = answer.iter().find(|described| described.name == name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(without_own_default(row(described)), without_own_default(expected.to_owned()));
    }
}

/// The default is not compared where it is Ottla's own.
fn without_own_default(row: String) -> String {
    let own = ["broker.id\t", "controller.listener.names\t", "listeners\t", "node.id\t", "process.roles\t"];
    match row.rsplit_once('@') {
        Some((start, "5")) if own.iter().any(|name| row.starts_with(name)) => {
            start.rsplit_once(" | ").map_or(start, |(others, _)| others).to_owned()
        }
        _ => row,
    }
}

#[test]
fn a_broker_is_described_as_kafka_does() {
    let (server, cluster, none) = (server(), cluster(), Overrides::new());
    let answer = ServerLayers { broker: &none, cluster: &cluster, server: &server }.describe();
    check(&answer, include_str!("../../testdata/describe/broker.tsv"));
    // 340 keys, one of Ottla's own, one that is hidden, one for a listener, one that nobody knows.
    assert_eq!(answer.len(), 344);
}

#[test]
fn the_keys_of_all_brokers_are_described_as_kafka_does() {
    let (server, cluster, none) = (server(), cluster(), Overrides::new());
    let answer = ServerLayers { broker: &none, cluster: &cluster, server: &server }.describe_cluster();
    check(&answer, include_str!("../../testdata/describe/cluster.tsv"));
    assert_eq!(answer.len(), 3);
}

#[test]
fn a_topic_is_described_as_kafka_does() {
    let (server, cluster, topic) = (server(), cluster(), topic());
    let none = Overrides::new();
    let layers =
        TopicLayers { topic: &topic, server: ServerLayers { broker: &none, cluster: &cluster, server: &server } };
    let answer = layers.describe();
    check(&answer, include_str!("../../testdata/describe/topic.tsv"));
    assert_eq!(answer.len(), 34);

    let created: Vec<_> = layers.describe_created().iter().map(|d| format!("{}\t{}", d.name, d.source.id())).collect();
    let expected: Vec<_> = include_str!("../../testdata/describe/created.tsv").lines().skip(1).collect();
    assert_eq!(created, expected);
}

#[test]
fn a_group_is_described_as_kafka_does() {
    let settings = "group.consumer.heartbeat.interval.ms=+7000\ngroup.share.delivery.count.limit=6";
    let server = ServerConfig::load(Some(settings), &[]).unwrap().0;
    let cluster = overrides(&[("group.consumer.assignment.interval.ms", "77")]);
    let group = overrides(&[
        ("consumer.heartbeat.interval.ms", " 8000 "),
        ("consumer.session.timeout.ms", "45000"),
        ("share.isolation.level", "read_committed"),
        ("share.renew.acknowledge.enable", "FALSE"),
    ]);
    let none = Overrides::new();
    let answer =
        GroupLayers { group: &group, server: ServerLayers { broker: &none, cluster: &cluster, server: &server } }
            .describe();
    check(&answer, include_str!("../../testdata/describe/group.tsv"));
    assert_eq!(answer.len(), 17);
    for Described { name, documentation, .. } in answer {
        let has_effect = !documentation.unwrap().ends_with("It has no effect in Ottla yet.");
        assert_eq!(has_effect, name.starts_with("consumer."), "{name}");
    }
}

#[test]
fn documentation_says_what_ottla_does_with_a_key() {
    let server = server();
    let answer = ServerLayers::of(&server).describe();
    let doc = |name| answer.iter().find(|d| d.name == name).unwrap().documentation.as_deref();
    assert_eq!(doc("num.partitions"), Some("Partitions of a topic that is created without saying how many."));
    assert_eq!(
        doc("num.io.threads"),
        Some("Threads that handle requests. It has no effect in Ottla, which has nothing of the kind.")
    );
    assert_eq!(
        doc("ssl.protocol"),
        Some("TLS version that is used by preference. Ottla does not support it yet and refuses to start with it.")
    );
    assert_eq!(doc("my.unknown.key"), None);
}
