//! AlterConfigs: replaces all configs of resources. Versions 0-2. Clients use IncrementalAlterConfigs since KIP-339. The
//! controller decides: see `pure/metadata`.

use std::sync::Arc;

use ottla_wire::messages::alter_configs_request::AlterConfigsResource;
use ottla_wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use ottla_wire::messages::{AlterConfigsRequest, AlterConfigsResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::altered::{cannot_listen, is_ours, refusal};
use super::{Api, Run};
use crate::ctx::Ctx;

pub const API: Api = Api { key: ApiKey::AlterConfigs, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, mut request: AlterConfigsRequest) -> AlterConfigsResponse {
    let refusal = |resource: &AlterConfigsResource| refusal(&ctx, resource.resource_type, &resource.resource_name);
    let refused = request.resources.extract_if(.., |resource| refusal(resource).is_some());
    let mut refused: Vec<_> =
        refused.filter_map(|resource| Some(refused_one((refusal(&resource)?, None), resource))).collect();
    let is_ours = |one: &AlterConfigsResource| is_ours(&ctx, one.resource_type, &one.resource_name);
    if let Some(resource) = request.resources.iter().find(|one| is_ours(one)) {
        let set = resource.configs.iter().map(|config| (&config.name, &config.value));
        if let Some(why) = cannot_listen(&ctx, set).await {
            // Where it comes again, too: one of two would be all that is left.
            let all = request.resources.extract_if(.., |one| is_ours(one));
            refused.extend(all.map(|one| refused_one((ErrorCode::InvalidRequest, Some(why.clone())), one)));
        }
    }
    let mut response = ctx.broker.control.alter_configs(request).await;
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
