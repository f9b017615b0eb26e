//! AlterConfigs: all configs of some resources, as before KIP-339. What is not named goes.
//!
//! That is an IncrementalAlterConfigs which sets what is named and deletes all else that is set.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_config::ServerConfig;
use ottla_wire::messages::alter_configs_request::AlterConfigsResource;
use ottla_wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use ottla_wire::messages::incremental_alter_configs_request::{AlterConfigsResource as Incremental, AlterableConfig};
use ottla_wire::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::altered::{self, Mode};
use super::config_operations::{DELETE, SET};
use super::{State, Step};

#[derive(Clone, Debug)]
pub struct AlterConfigs {
    pub request: AlterConfigsRequest,
    /// Says how far a resource may go.
    pub server: Arc<ServerConfig>,
}

pub(super) fn decide(step: &mut Step<'_>, command: AlterConfigs) -> AlterConfigsResponse {
    let AlterConfigs { request, server } = command;
    let mode = if request.validate_only { Mode::Validate } else { Mode::Write };
    let resources = request.resources.into_iter().map(|resource| incremental(&step.log, resource, &server));
    let resources: Vec<_> = resources.collect();
    let responses =
        altered::decide(step, &resources, &server, mode).into_iter().map(|response| AlterConfigsResourceResponse {
            error_code: response.error_code,
            error_message: response.error_message,
            resource_type: response.resource_type,
            resource_name: response.resource_name,
            ..Default::default()
        });
    AlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

fn incremental(state: &State, asked: AlterConfigsResource, server: &ServerConfig) -> Incremental {
    let AlterConfigsResource { resource_type, resource_name, configs, .. } = asked;
    let config =
        |name, config_operation, value| AlterableConfig { name, config_operation, value, ..Default::default() };
    // Nothing is set for what cannot be; that is refused later.
    let resource = altered::resource(state, (resource_type, resource_name.clone()), server).ok();
    let set = resource.iter().flat_map(|resource| state.configs().of(resource).keys());
    let named: BTreeSet<_> = configs.iter().map(|config| &config.name).collect();
    let goes = set.filter(|key| !named.contains(key));
    let goes: Vec<_> = goes.map(|key| config(key.clone(), DELETE, None)).collect();
    let stays = configs.into_iter().map(|named| config(named.name, SET, named.value));
    Incremental { resource_type, resource_name, configs: stays.chain(goes).collect(), ..Default::default() }
}
