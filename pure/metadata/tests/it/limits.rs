//! How much one request may do.

use ottla_metadata::{Bootstrap, Command, Reply};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{CreatableTopic, CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest};

use crate::node::{Node, heartbeat, registration};

#[test]
fn a_request_deletes_ten_thousand_topics_at_most() {
    let mut node = Node::default();
    node.submit(Command::Bootstrap(Bootstrap { server: node.server.clone() }));
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
