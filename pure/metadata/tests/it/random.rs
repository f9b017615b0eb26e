//! Whatever commands come in whatever order: the log says all, and nothing panics.

use proptest::collection::vec;
use proptest::prelude::*;

use ottla_base::{NodeId, Uuid};
use ottla_config::ServerConfig;
use ottla_metadata::{Bootstrap, Command, Image};
use ottla_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_wire::messages::{
    AllocateProducerIdsRequest, CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
    DeleteTopicState, DeleteTopicsRequest, IncrementalAlterConfigsRequest,
};

use crate::node::{Node, heartbeat, registration};

#[derive(Clone, Debug)]
enum Act {
    Create(Vec<CreatableTopic>, Flag),
    /// Names, and positions among the topics that there are, whose ids are taken.
    Delete(Vec<String>, Vec<usize>),
    CreateInternal,
    Alter(Vec<AlterConfigsResource>, Flag),
    AllocateProducerIds,
    Heartbeat {
        want_fence: Flag,
        want_shut_down: Flag,
        behind: Flag,
    },
    CleanRestart,
    CrashedRestart,
    Reload,
}

type Flag = bool;

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[ab._]{0,3}", "__cluster_metadata"]
}

fn topic() -> impl Strategy<Value = CreatableTopic> {
    let config = (
        prop::sample::select(vec!["retention.ms", "min.insync.replicas", "cleanup.policy", "nope"]),
        prop::option::of(prop::sample::select(vec!["1", "compact", ""])),
    );
    let assignment = (-1..3i32, vec(0..3i32, 0..3));
    (name(), -2..4i32, -1..3i16, vec(assignment, 0..2), vec(config, 0..3)).prop_map(
        |(name, num_partitions, replication_factor, assignments, configs)| CreatableTopic {
            name: name.into(),
            num_partitions: if assignments.is_empty() { num_partitions } else { -1 },
            replication_factor: if assignments.is_empty() { replication_factor } else { -1 },
            assignments: assignments
                .into_iter()
                .map(|(partition_index, broker_ids)| CreatableReplicaAssignment {
                    partition_index,
                    broker_ids,
                    ..Default::default()
                })
                .collect(),
            configs: configs
                .into_iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name: name.into(),
                    value: value.map(Into::into),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        },
    )
}

fn altered() -> impl Strategy<Value = AlterConfigsResource> {
    let key = prop::sample::select(vec![
        "consumer.session.timeout.ms",
        "consumer.heartbeat.interval.ms",
        "share.auto.offset.reset",
        "nope",
    ]);
    let value = prop::option::of(prop::sample::select(vec!["45000", " 6000", "15000", "1", "latest", ""]));
    let config = (key, -1..5i8, value).prop_map(|(name, config_operation, value)| AlterableConfig {
        name: name.into(),
        config_operation,
        value: value.map(Into::into),
        ..Default::default()
    });
    let resource_type = prop_oneof![8 => Just(32i8), 1 => any::<i8>()];
    (resource_type, "[gh]?", vec(config, 0..3)).prop_map(|(resource_type, name, configs)| AlterConfigsResource {
        resource_type,
        resource_name: name.into(),
        configs,
        ..Default::default()
    })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (vec(topic(), 0..5), any::<bool>()).prop_map(|(topics, validate)| Act::Create(topics, validate)),
        3 => (vec(name(), 0..4), vec(0..9usize, 0..3)).prop_map(|(names, ids)| Act::Delete(names, ids)),
        1 => Just(Act::CreateInternal),
        3 => (vec(altered(), 0..4), any::<bool>()).prop_map(|(resources, validate)| Act::Alter(resources, validate)),
        1 => Just(Act::AllocateProducerIds),
        2 => (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(want_fence, want_shut_down, behind)| {
            Act::Heartbeat { want_fence, want_shut_down, behind }
        }),
        1 => Just(Act::CleanRestart),
        1 => Just(Act::CrashedRestart),
        1 => Just(Act::Reload),
    ]
}

fn run(node: &mut Node, act: Act) {
    let command = match act {
        Act::Create(topics, validate_only) => {
            node.create(CreateTopicsRequest { topics, validate_only, ..Default::default() })
        }
        Act::Delete(names, positions) => {
            let by_name = names.into_iter().map(|name| (Some(name.into()), Uuid::ZERO));
            let ids =
                positions.into_iter().filter_map(|n| node.image.topics().iter().nth(n)).map(|topic| (None, topic.id));
            let topics = by_name
                .chain(ids)
                .map(|(name, topic_id)| DeleteTopicState { name, topic_id, ..Default::default() })
                .collect();
            Command::DeleteTopics(DeleteTopicsRequest { topics, ..Default::default() })
        }
        Act::CreateInternal => node.create_internal("__consumer_offsets"),
        Act::Alter(resources, validate_only) => {
            node.alter(IncrementalAlterConfigsRequest { resources, validate_only, ..Default::default() })
        }
        Act::AllocateProducerIds => Command::AllocateProducerIds(AllocateProducerIdsRequest {
            broker_id: 1,
            broker_epoch: node.broker_epoch(),
            ..Default::default()
        }),
        Act::Heartbeat { want_fence, want_shut_down, behind } => {
            let mut request = heartbeat(node);
            request.want_fence = want_fence;
            request.want_shut_down = want_shut_down;
            request.current_metadata_offset = if behind { -1 } else { request.current_metadata_offset };
            Command::BrokerHeartbeat(request)
        }
        Act::CleanRestart => Command::RegisterBroker(registration(1, node.broker_epoch())),
        Act::CrashedRestart => Command::RegisterBroker(registration(1, -1)),
        Act::Reload => return node.reload(),
    };
    node.submit(command);
}

/// What must be true after each command.
fn check(image: &Image, server: &ServerConfig) {
    for (name, group) in image.configs().groups() {
        assert!(!name.is_empty() && !group.is_empty());
        assert_eq!(image.configs().group_layers(name, server).check(), Ok(()));
    }
    let Some(broker) = image.brokers().get(NodeId(1)) else { return };
    for topic in image.topics().iter() {
        assert!(topic.partition_count() > 0);
        assert_eq!(image.topics().get_by_id(&topic.id), Some(topic));
        for (index, (partition, state)) in topic.partitions().enumerate() {
            assert_eq!(partition, index as i32);
            assert_eq!(state.leader == NodeId(1), state.isr == [NodeId(1)], "{state:?}");
            assert_eq!(state.leader == NodeId::NONE, state.isr.is_empty(), "{state:?}");
            assert!(!broker.fenced || state.leader == NodeId::NONE, "a fenced broker leads nothing");
            assert!(!broker.is_usable() || state.leader == NodeId(1), "a broker that serves leads all");
            assert!(state.isr.is_empty() || state.eligible_leader_replicas.is_empty());
        }
    }
}

proptest! {
    #[test]
    fn the_log_says_all(acts in vec(act(), 0..40)) {
        let mut node = Node::default();
        node.submit(Command::Bootstrap(Bootstrap { server: node.server.clone(), records: Vec::new() }));
        for act in acts {
            run(&mut node, act);
            check(&node.image, &node.server);
        }
        node.reload();
    }
}
