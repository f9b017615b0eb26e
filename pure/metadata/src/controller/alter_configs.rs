//! AlterConfigs: all configs of some resources, as before KIP-339. What is not named goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_config::{Overrides, ServerConfig};
use ottla_wire::ErrorCode;
use ottla_wire::messages::alter_configs_request::AlterConfigsResource;
use ottla_wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use ottla_wire::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::altered::{self, Alteration, Altered, Mode, Named, Outcome};
use super::{Refusal, Step, refuse};
use crate::ConfigResource;

#[derive(Clone, Debug)]
pub struct AlterConfigs {
    pub request: AlterConfigsRequest,
    /// Says how far a resource may go.
    pub server: Arc<ServerConfig>,
}

pub(super) fn decide(step: &mut Step<'_>, command: AlterConfigs) -> AlterConfigsResponse {
    let AlterConfigs { request, server } = command;
    let mode = if request.validate_only { Mode::Validate } else { Mode::Write };
    let outcomes = altered::decide(step, &request.resources, &server, mode);
    let responses = outcomes.into_iter().map(|Outcome { resource: (resource_type, resource_name), code, message }| {
        AlterConfigsResourceResponse {
            error_code: code.code(),
            error_message: message.map(Arc::from),
            resource_type,
            resource_name,
            ..Default::default()
        }
    });
    AlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

impl Alteration for AlterConfigsResource {
    fn resource(&self) -> Named {
        (self.resource_type, self.resource_name.clone())
    }

    fn alter(&self, _: &ConfigResource, before: &Overrides) -> Result<Altered, Refusal> {
        let mut seen = BTreeSet::new();
        if let Some(again) = self.configs.iter().find(|config| !seen.insert(&config.name)) {
            return refuse(ErrorCode::InvalidRequest, format!("{} stands in the request more than once", again.name));
        }
        if let Some(null) = self.configs.iter().find(|config| config.value.is_none()) {
            return refuse(ErrorCode::InvalidRequest, format!("{}: null is not a value", null.name));
        }
        let set = self.configs.iter().filter_map(|config| Some((config.name.clone(), config.value.clone()?)));
        let after: Overrides = set.collect();
        let goes = before.keys().filter(|key| !after.contains_key(*key));
        let keys = self.configs.iter().map(|config| &config.name).chain(goes).cloned().collect();
        Ok(Altered { after, keys })
    }
}
