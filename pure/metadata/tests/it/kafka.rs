//! A log that Kafka 4.3.1 wrote: we read it, write the same bytes, and would have written the same records.

use std::sync::Arc;

use ottla_base::{LeaderEpoch, NodeId};
use ottla_machine::At;
use ottla_metadata::image::LeaderRecovery;
use ottla_metadata::{Bootstrap, Command, ConfigResource, Image, Record};
use ottla_wire::messages::broker_registration_request::{Feature, Listener};
use ottla_wire::messages::{
    AllocateProducerIdsRequest, BrokerHeartbeatRequest, BrokerRegistrationRequest, ControllerRegistrationRequest,
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest,
};
use ottla_wire::records::{RegisterBrokerRecord, RegisterControllerRecord};

use crate::node::{Node, heartbeat};
use crate::show::Names;

fn log() -> Vec<(i64, Vec<u8>)> {
    let bytes =
        |hex: &str| (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    let lines = include_str!("../../testdata/kafka-4.3.1.txt").lines().filter(|line| !line.starts_with('#'));
    let parsed = lines.map(|line| line.split_once(' ').unwrap());
    parsed.map(|(offset, value)| (offset.parse().unwrap(), bytes(value))).collect()
}

#[test]
fn every_record_is_written_as_kafka_writes_it() {
    for (offset, value) in log() {
        let mut again = Vec::new();
        Record::decode(&value).unwrap().encode(&mut again);
        assert_eq!(again, value, "at offset {offset}");
    }
}

#[test]
fn the_image_is_that_of_kafka() {
    let mut image = Image::default();
    for (offset, value) in log() {
        image.apply(At { offset }, &Record::decode(&value).unwrap()).unwrap();
    }
    assert_eq!(image.offset(), 123);
    let names: Vec<_> = image.topics().iter().map(|topic| (&*topic.name, topic.partition_count())).collect();
    assert_eq!(names, [("orders", 3), ("strict", 1)]);

    let orders = image.topics().get("orders").unwrap();
    let partition = orders.partition(2).unwrap();
    assert_eq!(partition.replicas, [NodeId(1)]);
    assert_eq!(partition.isr, []);
    assert_eq!(partition.leader, NodeId::NONE);
    assert_eq!(partition.leader_epoch, LeaderEpoch(5));
    assert_eq!(partition.partition_epoch, 6);
    assert_eq!(partition.leader_recovery, LeaderRecovery::Recovering);
    assert_eq!(partition.eligible_leader_replicas, [NodeId(1)]);
    assert_eq!(partition.last_known_elr, [NodeId(1)]);
    assert_eq!(partition.directories, image.brokers().get(NodeId(1)).unwrap().log_dirs);

    let configs = |resource| {
        let all = image.configs().of(&resource).iter();
        all.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(configs(ConfigResource::Topic("orders".into())), "cleanup.policy=compact retention.ms=86400000");
    assert_eq!(configs(ConfigResource::Topic("gone".into())), "");
    assert_eq!(configs(ConfigResource::BrokerDefault), "min.insync.replicas=1");

    let broker = image.brokers().get(NodeId(1)).unwrap();
    assert!(broker.fenced && broker.in_controlled_shutdown);
    assert_eq!((broker.epoch, &*broker.endpoints[0].name, broker.endpoints[0].port), (99, "PLAINTEXT", 31400));
    assert_eq!(&*image.controllers().get(NodeId(1)).unwrap().endpoints[0].name, "CONTROLLER");
    let features: Vec<_> = image.features().iter().collect();
    assert_eq!(features, [("eligible.leader.replicas.version", 1), ("metadata.version", 30)]);
    assert_eq!(image.producer_ids().next, 1000);
}

#[test]
fn the_controller_writes_the_records_that_kafka_writes() {
    let kafka: Vec<Record> = log().iter().map(|(_, value)| Record::decode(value).unwrap()).collect();
    let mut controllers = kafka.iter().filter_map(|record| match record {
        Record::RegisterController(record) => Some(record.clone()),
        _ => None,
    });
    let mut brokers = kafka.iter().filter_map(|record| match record {
        Record::RegisterBroker(record) => Some(record.clone()),
        _ => None,
    });

    let mut ottla = Ottla::default();
    ottla.submit(Command::Bootstrap(Bootstrap { server: ottla.node.server.clone(), records: Vec::new() }));
    ottla.start(controllers.next().unwrap(), brokers.next().unwrap(), -1);
    let command = ottla.node.create(CreateTopicsRequest {
        topics: vec![
            topic("orders", 3, &[("retention.ms", "86400000"), ("cleanup.policy", "compact")]),
            topic("gone", 2, &[("max.message.bytes", "1000")]),
            topic("strict", 1, &[("min.insync.replicas", "1")]),
        ],
        ..Default::default()
    });
    ottla.submit(command);
    let gone = DeleteTopicState { name: Some("gone".into()), ..Default::default() };
    ottla.submit(Command::DeleteTopics(DeleteTopicsRequest { topics: vec![gone], ..Default::default() }));
    ottla.submit(Command::AllocateProducerIds(AllocateProducerIdsRequest {
        broker_id: 1,
        broker_epoch: ottla.node.broker_epoch(),
        ..Default::default()
    }));
    ottla.stop();
    let clean = ottla.node.broker_epoch();
    ottla.start(controllers.next().unwrap(), brokers.next().unwrap(), clean);
    // kill -9
    ottla.start(controllers.next().unwrap(), brokers.next().unwrap(), -1);
    ottla.stop();

    assert_eq!(comparable(ottla.records), comparable(kafka));
}

#[derive(Default)]
struct Ottla {
    node: Node,
    records: Vec<Record>,
}

impl Ottla {
    fn submit(&mut self, command: Command) {
        self.records.extend(self.node.submit(command).0);
    }

    fn beat(&mut self, change: impl Fn(&mut BrokerHeartbeatRequest)) {
        let mut request = heartbeat(&self.node);
        change(&mut request);
        self.submit(Command::BrokerHeartbeat(request));
    }

    /// With the identities that Kafka had.
    fn start(&mut self, controller: RegisterControllerRecord, broker: RegisterBrokerRecord, previous_epoch: i64) {
        self.submit(Command::RegisterController(controller_request(controller)));
        self.submit(Command::RegisterBroker(broker_request(broker, previous_epoch)));
        self.beat(|request| (request.want_fence, request.cordoned_log_dirs) = (true, Some(Vec::new())));
        self.beat(|_| {});
    }

    fn stop(&mut self) {
        self.beat(|request| request.want_shut_down = true);
        self.beat(|request| request.want_shut_down = true);
    }
}

fn controller_request(record: RegisterControllerRecord) -> ControllerRegistrationRequest {
    use ottla_wire::messages::controller_registration_request::{Feature, Listener};
    let listeners = record.end_points.into_iter().map(|e| Listener {
        name: e.name,
        host: e.host,
        port: e.port,
        security_protocol: e.security_protocol,
        ..Default::default()
    });
    let features = record.features.into_iter().map(|f| Feature {
        name: f.name,
        min_supported_version: f.min_supported_version,
        max_supported_version: f.max_supported_version,
        ..Default::default()
    });
    ControllerRegistrationRequest {
        controller_id: record.controller_id,
        incarnation_id: record.incarnation_id,
        listeners: listeners.collect(),
        features: features.collect(),
        ..Default::default()
    }
}

fn broker_request(record: RegisterBrokerRecord, previous_broker_epoch: i64) -> BrokerRegistrationRequest {
    let listeners = record.end_points.into_iter().map(|e| Listener {
        name: e.name,
        host: e.host,
        port: e.port,
        security_protocol: e.security_protocol,
        ..Default::default()
    });
    let features = record.features.into_iter().map(|f| Feature {
        name: f.name,
        min_supported_version: f.min_supported_version,
        max_supported_version: f.max_supported_version,
        ..Default::default()
    });
    BrokerRegistrationRequest {
        broker_id: record.broker_id,
        incarnation_id: record.incarnation_id,
        listeners: listeners.collect(),
        features: features.collect(),
        rack: record.rack,
        log_dirs: record.log_dirs,
        previous_broker_epoch,
        ..Default::default()
    }
}

fn topic(name: &str, num_partitions: i32, configs: &[(&str, &str)]) -> CreatableTopic {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).into(),
        value: Some(Arc::from(*value)),
        ..Default::default()
    };
    CreatableTopic {
        name: name.into(),
        num_partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    }
}

/// Lines without what differs for good reasons: offsets, epochs and topic ids, NO_OPs, `group.version`, which was left out
/// when that Kafka was formatted, and the order of the changes of partitions, which Kafka makes in that of a hash.
fn comparable(records: Vec<Record>) -> Vec<String> {
    let mut names = Names::default();
    let mut starts = 0;
    let mut lines = Vec::new();
    for mut record in records {
        match &mut record {
            Record::NoOp(_) => continue,
            Record::FeatureLevel(record) if &*record.name == "group.version" => continue,
            Record::RegisterBroker(record) => {
                starts += 1;
                record.broker_epoch = starts;
            }
            Record::BrokerRegistrationChange(record) => record.broker_epoch = starts,
            Record::ProducerIds(record) => record.broker_epoch = starts,
            _ => {}
        }
        lines.push(match record {
            Record::RegisterBroker(_) | Record::RegisterController(_) => format!("{record:?}"),
            _ => names.record(&record),
        });
    }
    let is_change = |line: &String| line.starts_with("PARTITION_CHANGE");
    lines.chunk_by_mut(|a, b| is_change(a) && is_change(b)).for_each(|run| run.sort());
    lines
}
