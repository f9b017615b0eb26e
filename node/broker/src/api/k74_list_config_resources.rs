//! ListConfigResources: the resources that have, or can have, configs. Versions 0-1 (KIP-1142).
//!
//! Version 0 was ListClientMetricsResources, and knows no other type.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_wire::messages::{ConfigResource as Listed, ListConfigResourcesRequest, ListConfigResourcesResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::loggers::BROKER_LOGGER;
use super::{Api, Run};
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::ListConfigResources, run: Run::Cold(|call| call.answer(handle)) };

/// Kafka's ids of resource types, in the order in which all are listed.
const BROKER: i8 = 4;
const TOPIC: i8 = 2;
const GROUP: i8 = 32;
const CLIENT_METRICS: i8 = 16;
const ALL: [i8; 5] = [BROKER, BROKER_LOGGER, TOPIC, GROUP, CLIENT_METRICS];

async fn handle(ctx: Ctx, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    if !ctx.may(Operation::DescribeConfigs, Resource::Cluster) {
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        return ListConfigResourcesResponse { error_code, ..Default::default() };
    }
    let asked: BTreeSet<i8> = request.resource_types.iter().copied().collect();
    if asked.iter().any(|kind| !ALL.contains(kind)) {
        let error_code = ErrorCode::UnsupportedVersion.code();
        return ListConfigResourcesResponse { error_code, ..Default::default() };
    }
    let is_wanted = |kind: &&i8| match ctx.version {
        0 => **kind == CLIENT_METRICS,
        _ => asked.is_empty() || asked.contains(*kind),
    };
    let listed = ALL.iter().filter(is_wanted).flat_map(|kind| of(&ctx, *kind));
    ListConfigResourcesResponse { config_resources: listed.collect(), ..Default::default() }
}

fn of(ctx: &Ctx, kind: i8) -> Vec<Listed> {
    let image = &ctx.broker.published().image;
    let names: Vec<Arc<str>> = match kind {
        BROKER | BROKER_LOGGER => vec![ctx.broker.identity.node_id.0.to_string().into()],
        TOPIC => image.topics().iter().map(|topic| topic.name.clone()).collect(),
        GROUP => image.configs().groups().map(|(name, _)| name.clone()).collect(),
        _ => image.configs().client_metrics().cloned().collect(),
    };
    let listed = |resource_name| Listed { resource_name, resource_type: kind, ..Default::default() };
    names.into_iter().map(listed).collect()
}
