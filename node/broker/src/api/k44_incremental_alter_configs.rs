//! IncrementalAlterConfigs: changes single configs. Versions 0-1 (KIP-339). The controller decides: see `pure/metadata`.
//!
//! Of the resources, topics, brokers and groups (KIP-848); loggers and client metrics come later.

use ottla_wire::messages::incremental_alter_configs_request::AlterConfigsResource;
use ottla_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::altered::refusal;
use super::{Api, Run};
use crate::ctx::Ctx;

pub const API: Api = Api { key: ApiKey::IncrementalAlterConfigs, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, mut request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let refusal = |resource: &AlterConfigsResource| refusal(&ctx, resource.resource_type, &resource.resource_name);
    let refused = request.resources.extract_if(.., |resource| refusal(resource).is_some());
    let refused: Vec<_> = refused.filter_map(|resource| Some(refused_one(refusal(&resource)?, resource))).collect();
    let mut response = ctx.broker.control.incremental_alter_configs(request).await;
    response.responses.extend(refused);
    response
}

fn refused_one(error: ErrorCode, resource: AlterConfigsResource) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse {
        error_code: error.code(),
        error_message: None,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        ..Default::default()
    }
}
