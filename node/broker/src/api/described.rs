//! What Metadata, DescribeTopicPartitions and DescribeCluster say alike.

use std::sync::Arc;

use ottla_base::NodeId;
use ottla_metadata::image::{Broker, Image, Partition};
use ottla_wire::ErrorCode;

use crate::ctx::{Client, Ctx, Resource};

/// Where a broker is reached by the listener that the client has connected to; `None` if it has none of that name.
pub fn endpoint(broker: &Broker, client: &Client) -> Option<(Arc<str>, i32)> {
    let endpoint = broker.endpoints.iter().find(|endpoint| endpoint.name == client.listener)?;
    Some((endpoint.host.clone(), i32::from(endpoint.port)))
}

pub fn node_ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}

/// The replicas on brokers that do not serve the client, or in log directories that are offline.
pub fn offline_replicas(ctx: &Ctx, image: &Image, partition: &Partition) -> Vec<i32> {
    let serves = |node: &NodeId| {
        image.brokers().get(*node).is_some_and(|broker| {
            let is_reached = !broker.fenced && endpoint(broker, &ctx.client).is_some();
            is_reached && broker.has_online(partition.directory_on(*node))
        })
    };
    partition.replicas.iter().filter(|node| !serves(node)).map(|node| node.0).collect()
}

/// The leader; or -1, and why the client cannot be told of one.
pub fn leader(ctx: &Ctx, image: &Image, partition: &Partition) -> (i32, ErrorCode) {
    match image.brokers().get(partition.leader) {
        None => (NodeId::NONE.0, ErrorCode::LeaderNotAvailable),
        Some(broker) if endpoint(broker, &ctx.client).is_none() => (NodeId::NONE.0, ErrorCode::ListenerNotFound),
        Some(broker) => (broker.id.0, ErrorCode::None),
    }
}

/// The operations that the asker may do on a topic, if it asked: `i32::MIN` says that it did not.
pub fn topic_operations(ctx: &Ctx, name: &str, asked: bool) -> i32 {
    if asked { ctx.authorized_operations(Resource::Topic(name)) } else { i32::MIN }
}

pub fn cluster_operations(ctx: &Ctx, asked: bool) -> i32 {
    if asked { ctx.authorized_operations(Resource::Cluster) } else { i32::MIN }
}
