//! Features that are younger than the log.

use ottla_metadata::{Bootstrap, Command, Record};
use ottla_wire::records::FeatureLevelRecord;

use crate::node::Node;

fn bootstrap(node: &mut Node) -> Vec<Record> {
    node.submit(Command::Bootstrap(Bootstrap { server: node.server.clone() })).0
}

fn group_version(level: i16) -> Record {
    let name = "group.version".into();
    Record::FeatureLevel(FeatureLevelRecord { name, feature_level: level, ..Default::default() })
}

/// A log as it was before groups, and then `more`.
fn old_log(more: &[Record]) -> Node {
    let mut new = Node::default();
    let mut records = bootstrap(&mut new);
    records.retain(|record| *record != group_version(1));
    records.extend_from_slice(more);
    let value = |record: &Record| {
        let mut value = Vec::new();
        record.encode(&mut value);
        value
    };
    let node = Node::of(records.iter().map(value).collect());
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

#[test]
fn a_feature_that_was_taken_back_stays_so() {
    let mut node = old_log(&[group_version(1), group_version(0)]);
    assert_eq!(bootstrap(&mut node), []);
    let finalised: Vec<_> = node.image.features().iter().map(|(name, _)| name).collect();
    assert_eq!(finalised, ["eligible.leader.replicas.version", "metadata.version"]);
}
