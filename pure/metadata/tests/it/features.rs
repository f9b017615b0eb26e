//! Features that are younger than the log.

use ottla_metadata::image::KeptRecord;
use ottla_metadata::{Bootstrap, Command, Record};
use ottla_wire::records::{BeginTransactionRecord, FeatureLevelRecord, UserScramCredentialRecord};

use crate::node::Node;

fn bootstrap(node: &mut Node) -> Vec<Record> {
    node.submit(Command::Bootstrap(Bootstrap { server: node.server.clone(), records: Vec::new() })).0
}

fn group_version(level: i16) -> Record {
    let name = "group.version".into();
    Record::FeatureLevel(FeatureLevelRecord { name, feature_level: level, ..Default::default() })
}

fn value_of(record: &Record) -> Vec<u8> {
    let mut value = Vec::new();
    record.encode(&mut value);
    value
}

/// A log as it was before groups, and then `more`.
fn old_log(more: &[Record]) -> Node {
    let mut new = Node::default();
    let mut records = bootstrap(&mut new);
    records.retain(|record| *record != group_version(1));
    records.extend_from_slice(more);
    let node = Node::of(records.iter().map(value_of).collect());
    assert_eq!(node.image.features().level("group.version"), 0);
    node
}

#[test]
fn a_log_that_says_nothing_of_a_feature_is_given_it_at_the_next_start() {
    let mut node = old_log(&[]);
    assert_eq!(bootstrap(&mut node), [group_version(1)]);
    assert_eq!(node.image.features().level("group.version"), 1);
    assert_eq!(bootstrap(&mut node), []);
    node.reload();
}

/// What Kafka's `format` has put beside a new log, and a transaction that nobody has ended.
#[test]
fn a_log_that_kafka_has_formatted_begins_as_it_was_formatted() {
    let level = |name: &str, feature_level| {
        Record::FeatureLevel(FeatureLevelRecord { name: name.into(), feature_level, ..Default::default() })
    };
    let credential = UserScramCredentialRecord { name: "alice".into(), mechanism: 1, ..Default::default() };
    let records = vec![
        level("metadata.version", 30),
        level("share.version", 1),
        Record::Kept(KeptRecord::ScramCredential(credential)),
    ];
    let begun = Record::BeginTransaction(BeginTransactionRecord::default());
    let log = [begun, level("metadata.version", 30)].map(|record| value_of(&record));
    for (mut node, is_open) in [(Node::default(), false), (Node::of(log.to_vec()), true)] {
        assert_eq!(
            (node.image.is_in_transaction(), node.image.settled().features().level("metadata.version")),
            (is_open, 0)
        );
        let bootstrap = Bootstrap { server: node.server.clone(), records: records.clone() };
        let (written, _) = node.submit(Command::Bootstrap(bootstrap));
        let written = if is_open { &written[1..] } else { &written };
        assert_eq!(written[1..4], records);
        assert!(!node.image.is_in_transaction());
        assert_eq!(node.image.features().level("share.version"), 1);
        assert_eq!(node.image.features().level("group.version"), 1);
        let told: Vec<_> = node.image.features().iter().map(|(name, _)| name).collect();
        assert_eq!(told, ["eligible.leader.replicas.version", "group.version", "metadata.version"]);
        assert_eq!(node.image.kept().scram_credentials().count(), 1);
        node.reload();
    }
}

#[test]
fn a_feature_that_was_taken_back_stays_so() {
    let mut node = old_log(&[group_version(1), group_version(0)]);
    assert_eq!(bootstrap(&mut node), []);
    let finalised: Vec<_> = node.image.features().iter().map(|(name, _)| name).collect();
    assert_eq!(finalised, ["eligible.leader.replicas.version", "metadata.version"]);
}
