//! What Metadata, DescribeTopicPartitions and DescribeCluster say alike.

use std::sync::Arc;

use ottla_base::NodeId;
use ottla_metadata::image::{Broker, Image, Partition};
use ottla_wire::ErrorCode;

use crate::ctx::{Ctx, Resource};

/// Where a broker's clients reach it; `None` if it has no listener.
pub fn endpoint(broker: &Broker) -> Option<(Arc<str>, i32)> {
    broker.endpoints.first().map(|endpoint| (endpoint.host.clone(), i32::from(endpoint.port)))
}

pub fn node_ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}

/// The replicas on brokers that do not serve.
pub fn offline_replicas(image: &Image, partition: &Partition) -> Vec<i32> {
    let serves = |node: &NodeId| image.brokers().get(*node).is_some_and(|broker| !broker.fenced);
    partition.replicas.iter().filter(|node| !serves(node)).map(|node| node.0).collect()
}

pub fn partition_error(partition: &Partition) -> ErrorCode {
    if partition.leader == NodeId::NONE { ErrorCode::LeaderNotAvailable } else { ErrorCode::None }
}

/// The operations that the asker may do on a topic, if it asked: `i32::MIN` says that it did not.
pub fn topic_operations(ctx: &Ctx, name: &str, asked: bool) -> i32 {
    if asked { ctx.authorized_operations(Resource::Topic(name)) } else { i32::MIN }
}

pub fn cluster_operations(ctx: &Ctx, asked: bool) -> i32 {
    if asked { ctx.authorized_operations(Resource::Cluster) } else { i32::MIN }
}
