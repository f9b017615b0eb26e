//! What a whole broker answers to requests of cold keys.

use ottla_base::Uuid;
use ottla_broker::Running;
use ottla_wire::messages::{
    DescribeClusterRequest, DescribeConfigsRequest, DescribeConfigsResource, ListOffsetsPartition, ListOffsetsRequest,
    ListOffsetsTopic, MetadataRequest, MetadataRequestTopic, OffsetForLeaderEpochRequest, OffsetForLeaderPartition,
    OffsetForLeaderTopic,
};
use ottla_wire::{ErrorCode, Request};

use crate::support::*;

const PORT: u16 = 9092;
const METADATA: i16 = 12;
const DESCRIBE_CONFIGS: i16 = 4;
const BROKER: i8 = 4;

/// A broker, and clients that ask one thing.
struct Site<'m> {
    machine: &'m Machine,
    _running: Running,
}

fn run(settings: &[(&str, &str)], story: impl AsyncFnOnce(&Site<'_>)) {
    let machine = Machine::new();
    machine.world.block_on(async {
        let running = machine.start_with(settings).await;
        story(&Site { machine: &machine, _running: running }).await
    });
}

impl Site<'_> {
    /// Asks the listener on a port.
    async fn ask<R: Request>(&self, port: u16, version: i16, request: &R) -> R::Response {
        self.machine.connect_to(port).await.call(request, version).await
    }

    async fn create(&self, port: u16, name: &str) {
        assert_eq!(self.machine.connect_to(port).await.create(name, &[]).await, ErrorCode::None);
    }
}

fn named(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic { name: Some(name.into()), ..Default::default() }
}

/// What a listener says of where the broker is, in Metadata and in DescribeCluster.
async fn hosts(site: &Site<'_>, port: u16) -> [Vec<String>; 2] {
    let metadata = site.ask(port, METADATA, &MetadataRequest { topics: Some(Vec::new()), ..Default::default() }).await;
    let cluster = site.ask(port, 2, &DescribeClusterRequest { endpoint_type: 1, ..Default::default() }).await;
    let of_metadata = metadata.brokers.iter().map(|broker| format!("{}:{}", broker.host, broker.port));
    let of_cluster = cluster.brokers.iter().map(|broker| format!("{}:{}", broker.host, broker.port));
    [of_metadata.collect(), of_cluster.collect()]
}

const TWO_LISTENERS: &[(&str, &str)] = &[
    ("listeners", "INTERNAL://127.0.0.1:1,EXTERNAL://127.0.0.1:2"),
    ("listener.security.protocol.map", "INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT"),
    ("inter.broker.listener.name", "INTERNAL"),
];

#[test]
fn each_listener_says_where_it_is_reached() {
    let advertised = ("advertised.listeners", "INTERNAL://inside:29092,EXTERNAL://outside:9092");
    run(&[TWO_LISTENERS, &[advertised]].concat(), async |site| {
        assert_eq!(hosts(site, 1).await, [["inside:29092"], ["inside:29092"]]);
        assert_eq!(hosts(site, 2).await, [["outside:9092"], ["outside:9092"]]);
    });
}

#[test]
fn a_listener_that_is_not_advertised_has_no_brokers() {
    let advertised = ("advertised.listeners", "INTERNAL://inside:29092");
    run(&[TWO_LISTENERS, &[advertised]].concat(), async |site| {
        assert_eq!(hosts(site, 2).await, [Vec::<String>::new(), Vec::new()]);
        site.create(1, "t").await;
        let request = MetadataRequest { topics: Some(vec![named("t")]), ..Default::default() };
        for (version, error) in [(5, ErrorCode::LeaderNotAvailable), (METADATA, ErrorCode::ListenerNotFound)] {
            let answer = site.ask(2, version, &request).await;
            let partition = &answer.topics[0].partitions[0];
            assert_eq!((partition.error_code, partition.leader_id), (error.code(), -1));
            assert_eq!(partition.offline_replicas, [1]);
        }
    });
}

#[test]
fn each_topic_that_cannot_be_made_is_answered_with_why() {
    // More than the controller writes at once.
    const TOPICS: usize = 12_000;
    run(&[], async |site| {
        let topics = (0..TOPICS).map(|n| named(&format!("t{n}")));
        let request =
            MetadataRequest { topics: Some(topics.collect()), allow_auto_topic_creation: true, ..Default::default() };
        let answer = site.ask(PORT, METADATA, &request).await;
        let told: Vec<_> = answer.topics.iter().filter_map(|topic| topic.name.as_deref()).collect();
        assert!(told.iter().copied().eq((0..TOPICS).map(|n| format!("t{n}"))));
        assert!(answer.topics.iter().all(|topic| topic.error_code == ErrorCode::PolicyViolation.code()));
    });
}

#[test]
fn a_topic_is_described_once_whatever_stands_beside_its_id() {
    run(&[], async |site| {
        site.create(PORT, "t").await;
        let known = MetadataRequest { topics: Some(vec![named("t")]), ..Default::default() };
        let topic_id = site.ask(PORT, METADATA, &known).await.topics[0].topic_id;
        let by_id = |name: &str, topic_id: Uuid| MetadataRequestTopic { topic_id, ..named(name) };
        let topics = vec![by_id("a", topic_id), by_id("b", topic_id), by_id("c", Uuid([9; 16])), by_id("d", topic_id)];
        let answer = site.ask(PORT, METADATA, &MetadataRequest { topics: Some(topics), ..Default::default() }).await;
        let told: Vec<_> = answer.topics.iter().map(|topic| topic.error_code).collect();
        assert_eq!(told, [0, ErrorCode::UnknownTopicId.code()]);
    });
}

#[test]
fn the_configs_of_a_resource_are_answered_once() {
    run(&[], async |site| {
        let broker = |name: &str| DescribeConfigsResource {
            resource_type: BROKER,
            resource_name: name.into(),
            ..Default::default()
        };
        let resources = ["1", "01", "", "1", "+1", ""].map(broker).into();
        let request = DescribeConfigsRequest { resources, ..Default::default() };
        let answer = site.ask(PORT, DESCRIBE_CONFIGS, &request).await;
        let told: Vec<_> = answer.results.iter().map(|result| &*result.resource_name).collect();
        assert_eq!(told, ["1", ""]);
    });
}

#[test]
fn offsets_of_a_partition_that_is_named_twice_are_refused_once() {
    run(&[], async |site| {
        site.create(PORT, "t").await;
        let latest = |index| ListOffsetsPartition { partition_index: index, timestamp: -1, ..Default::default() };
        let topic = |name: &str, partitions: &[i32]| ListOffsetsTopic {
            name: name.into(),
            partitions: partitions.iter().copied().map(latest).collect(),
            ..Default::default()
        };
        let topics = vec![topic("t", &[0, 1]), topic("t", &[1, 1, 2]), topic("u", &[0])];
        let answer = site.ask(PORT, 7, &ListOffsetsRequest { replica_id: -1, topics, ..Default::default() }).await;
        let told: Vec<Vec<_>> = answer
            .topics
            .iter()
            .map(|topic| topic.partitions.iter().map(|p| (p.partition_index, p.error_code)).collect())
            .collect();
        let [twice, unknown] = [ErrorCode::InvalidRequest, ErrorCode::UnknownTopicOrPartition].map(ErrorCode::code);
        assert_eq!(told, [vec![(0, 0), (1, twice)], vec![(2, unknown)], vec![(0, unknown)]]);
    });
}

#[test]
fn ends_of_epochs_are_told_for_each_partition() {
    run(&[], async |site| {
        site.create(PORT, "t").await;
        let asked = |partition| OffsetForLeaderPartition {
            partition,
            current_leader_epoch: -1,
            leader_epoch: 0,
            ..Default::default()
        };
        let topic = |name: &str| OffsetForLeaderTopic {
            topic: name.into(),
            partitions: vec![asked(0), asked(1)],
            ..Default::default()
        };
        let request = OffsetForLeaderEpochRequest {
            replica_id: -1,
            topics: [topic("t"), topic("u")].into_iter().collect(),
            ..Default::default()
        };
        let answer = site.ask(PORT, 4, &request).await;
        let told = answer.topics.iter().flat_map(|topic| topic.partitions.iter().map(|p| p.error_code));
        let unknown = ErrorCode::UnknownTopicOrPartition.code();
        assert_eq!(told.collect::<Vec<_>>(), [0, unknown, unknown, unknown]);
    });
}
