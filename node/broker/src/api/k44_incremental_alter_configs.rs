//! IncrementalAlterConfigs: changes single configs. Versions 0-1 (KIP-339). The controller decides: see `pure/metadata`; but for
//! this broker's loggers (KIP-412).

use std::sync::Arc;

use ottla_wire::messages::incremental_alter_configs_request::AlterConfigsResource;
use ottla_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::altered::{cannot_listen, is_ours, refusal};
use super::loggers::{self, BROKER_LOGGER, Mode};
use super::{Api, Run};
use crate::ctx::Ctx;

/// Kafka's ids of operations.
const SET: i8 = 0;
const APPEND: i8 = 2;

pub const API: Api = Api { key: ApiKey::IncrementalAlterConfigs, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, mut request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let refusal = |resource: &AlterConfigsResource| refusal(&ctx, resource.resource_type, &resource.resource_name);
    let refused = request.resources.extract_if(.., |resource| refusal(resource).is_some());
    let mut refused: Vec<_> =
        refused.filter_map(|resource| Some(refused_one((refusal(&resource)?, None), resource))).collect();
    let is_ours = |one: &AlterConfigsResource| is_ours(&ctx, one.resource_type, &one.resource_name);
    if let Some(resource) = request.resources.iter().find(|one| is_ours(one)) {
        let configs = resource.configs.iter();
        let set = configs.filter(|config| matches!(config.config_operation, SET | APPEND));
        if let Some(why) = cannot_listen(&ctx, set.map(|config| (&config.name, &config.value))).await {
            // Where it comes again, too: one of two would be all that is left.
            let all = request.resources.extract_if(.., |one| is_ours(one));
            refused.extend(all.map(|one| refused_one((ErrorCode::InvalidRequest, Some(why.clone())), one)));
        }
    }
    let is_logger = |resource: &mut AlterConfigsResource| resource.resource_type == BROKER_LOGGER;
    let loggers: Vec<_> = request.resources.extract_if(.., is_logger).collect();
    let mode = if request.validate_only { Mode::Validate } else { Mode::Change };
    let mut response = if request.resources.is_empty() {
        IncrementalAlterConfigsResponse::default()
    } else {
        ctx.broker.control.incremental_alter_configs(request).await
    };
    if !loggers.is_empty() {
        let configs: usize = loggers.iter().map(|resource| 1 + resource.configs.len()).sum();
        let broker = &ctx.broker;
        let altered = ctx.make(configs, || loggers::alter(&broker.loggers, broker.identity.node_id, &loggers, mode));
        response.responses.extend(altered);
    }
    response.responses.extend(refused);
    response
}

fn refused_one(
    (error, error_message): (ErrorCode, Option<Arc<str>>),
    resource: AlterConfigsResource,
) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse {
        error_code: error.code(),
        error_message,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        ..Default::default()
    }
}
