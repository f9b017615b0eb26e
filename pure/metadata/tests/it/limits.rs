//! How much one request may do.

use std::sync::Arc;

use ottla_metadata::{Bootstrap, Command, Reply};
use ottla_wire::ErrorCode;
use ottla_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_wire::messages::{
    CreatableTopic, CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest, IncrementalAlterConfigsRequest,
};

use crate::node::{Node, heartbeat, registration};

#[test]
fn a_request_deletes_ten_thousand_topics_at_most() {
    let mut node = Node::default();
    node.submit(Command::Bootstrap(Bootstrap { server: node.server.clone(), records: Vec::new() }));
    node.submit(Command::RegisterBroker(registration(1, -1)));
    node.submit(Command::BrokerHeartbeat(heartbeat(&node)));
    let names: Vec<String> = (0..10_001).map(|n| format!("topic{n}")).collect();
    for names in names.chunks(5_000) {
        let topic = |name: &String| CreatableTopic {
            name: name.as_str().into(),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        };
        let topics = names.iter().map(topic).collect();
        let command = node.create(CreateTopicsRequest { topics, ..Default::default() });
        node.submit(command);
    }
    assert_eq!(node.image.topics().len(), 10_001);

    let mut topics: Vec<DeleteTopicState> =
        names.iter().map(|name| DeleteTopicState { name: Some(name.as_str().into()), ..Default::default() }).collect();
    assert_eq!(deleted(&mut node, topics.clone()), vec![ErrorCode::PolicyViolation.code(); 10_001]);
    assert_eq!(node.image.topics().len(), 10_001);

    topics.pop();
    assert_eq!(deleted(&mut node, topics), vec![0; 10_000]);
    assert_eq!(node.image.topics().len(), 1);
}

fn deleted(node: &mut Node, topics: Vec<DeleteTopicState>) -> Vec<i16> {
    let (_, reply) = node.submit(Command::DeleteTopics(DeleteTopicsRequest { topics, ..Default::default() }));
    let Reply::DeleteTopics(response) = reply else { panic!("{reply:?}") };
    response.responses.iter().map(|topic| topic.error_code).collect()
}

const TWO: &[(&str, &str)] = &[("consumer.session.timeout.ms", "50000"), ("consumer.heartbeat.interval.ms", "6000")];

/// The same configs for each of so many groups, whose names begin with `prefix`.
fn altered(node: &mut Node, prefix: &str, groups: usize, configs: &[(&str, &str)]) -> Vec<i16> {
    let config = |(name, value): &(&str, &str)| AlterableConfig {
        name: (*name).into(),
        value: Some(Arc::from(*value)),
        ..Default::default()
    };
    let resource = |n: usize| AlterConfigsResource {
        resource_type: 32,
        resource_name: format!("{prefix}{n}").into(),
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    };
    let resources = (0..groups).map(resource).collect();
    let command = node.alter(IncrementalAlterConfigsRequest { resources, ..Default::default() });
    let (_, reply) = node.submit(command);
    let Reply::IncrementalAlterConfigs(response) = reply else { panic!("{reply:?}") };
    assert_eq!(response.responses.len(), groups);
    response.responses.iter().map(|resource| resource.error_code).collect()
}

#[test]
fn a_request_changes_ten_thousand_configs_at_most() {
    let mut node = Node::default();
    let too_much = ErrorCode::PolicyViolation.code();
    assert_eq!(altered(&mut node, "g", 5_001, TWO), vec![too_much; 5_001]);
    assert_eq!(altered(&mut node, "g", 10_001, &[]), vec![too_much; 10_001]);
    assert_eq!(altered(&mut node, "g", 10_000, &[]), vec![0; 10_000]);
    assert_eq!(node.image.configs().groups().count(), 0);
    assert_eq!(altered(&mut node, "g", 5_000, TWO), vec![0; 5_000]);
    assert_eq!(node.image.configs().groups().count(), 5_000);
}

#[test]
fn a_request_writes_eight_mebibytes_at_most() {
    let mut node = Node::default();
    let name = "g".repeat(32_000);
    assert_eq!(altered(&mut node, &name, 132, TWO), vec![ErrorCode::PolicyViolation.code(); 132]);
    assert_eq!(node.log.len(), 0);
    assert_eq!(altered(&mut node, &name, 130, TWO), vec![0; 130]);
}
