//! DescribeCluster: the brokers and the controller (KIP-700, KIP-919, KIP-1073). Versions 0-2.

use ottla_base::NodeId;
use ottla_wire::messages::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run, described};
use crate::ctx::Ctx;

pub const API: Api = Api { key: ApiKey::DescribeCluster, run: Run::Cold(|call| call.answer(handle)) };

/// Endpoint types of KIP-919.
const BROKERS: i8 = 1;

async fn handle(ctx: Ctx, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        return DescribeClusterResponse {
            error_code: ErrorCode::MismatchedEndpointType.code(),
            error_message: Some("this listener is for brokers, and the request asks for controllers".into()),
            ..Default::default()
        };
    }
    let published = ctx.broker.published();
    let brokers = published.image.brokers().iter().filter(|broker| !broker.fenced || request.include_fenced_brokers);
    let brokers: Vec<_> = brokers
        .filter_map(|broker| {
            let (host, port) = described::endpoint(broker, &ctx.client)?;
            Some(DescribeClusterBroker {
                broker_id: broker.id.0,
                host,
                port,
                rack: broker.rack.clone(),
                is_fenced: broker.fenced,
                ..Default::default()
            })
        })
        .collect();
    // A broker to which requests for the controller can be sent: one that the client can reach.
    let controller = brokers.iter().find(|broker| !broker.is_fenced);
    DescribeClusterResponse {
        cluster_id: ctx.broker.identity.cluster_id.clone(),
        controller_id: controller.map_or(NodeId::NONE.0, |broker| broker.broker_id),
        brokers,
        cluster_authorized_operations: described::cluster_operations(
            &ctx,
            request.include_cluster_authorized_operations,
        ),
        ..Default::default()
    }
}
