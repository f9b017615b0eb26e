//! IncrementalAlterConfigs: some configs of some resources (KIP-339). What is not named stays.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_config::{Kind, Overrides, ServerConfig};
use ottla_wire::ErrorCode;
use ottla_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::altered::{self, Alteration, Altered, Mode, Named, Outcome};
use super::{Refusal, Step, refuse};
use crate::ConfigResource;

/// Kafka's ids of operations.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

#[derive(Clone, Debug)]
pub struct IncrementalAlterConfigs {
    pub request: IncrementalAlterConfigsRequest,
    /// Says how far a resource may go.
    pub server: Arc<ServerConfig>,
}

pub(super) fn decide(step: &mut Step<'_>, command: IncrementalAlterConfigs) -> IncrementalAlterConfigsResponse {
    let IncrementalAlterConfigs { request, server } = command;
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
    IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

impl Alteration for AlterConfigsResource {
    fn resource(&self) -> Named {
        (self.resource_type, self.resource_name.clone())
    }

    fn alter(&self, resource: &ConfigResource, before: &Overrides) -> Result<Altered, Refusal> {
        check(&self.configs)?;
        let mut after = before.clone();
        for config in &self.configs {
            let AlterableConfig { name, config_operation, value, .. } = config;
            match (*config_operation, value) {
                (SET, Some(value)) => _ = after.insert(name.clone(), value.clone()),
                (DELETE, _) => _ = after.remove(name),
                (APPEND | SUBTRACT, Some(elements)) => {
                    let list = changed_list(resource, before, (name, elements), *config_operation)?;
                    after.insert(name.clone(), list.into());
                }
                (other, _) => {
                    return refuse(ErrorCode::InvalidRequest, format!("{name}: there is no operation {other}"));
                }
            }
        }
        Ok(Altered { after, keys: self.configs.iter().map(|config| config.name.clone()).collect() })
    }
}

/// What is wrong whatever the resource is.
fn check(configs: &[AlterableConfig]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    if let Some(again) = configs.iter().find(|config| !seen.insert(&config.name)) {
        return refuse(ErrorCode::InvalidRequest, format!("{} stands in the request more than once", again.name));
    }
    if let Some(null) = configs.iter().find(|config| config.value.is_none() && config.config_operation != DELETE) {
        return refuse(ErrorCode::InvalidRequest, format!("{}: null is not a value", null.name));
    }
    Ok(())
}

/// A list with elements more, or less. One that was not set begins with the key's default, whatever brokers say.
fn changed_list(
    resource: &ConfigResource,
    before: &Overrides,
    (name, elements): (&Arc<str>, &Arc<str>),
    operation: i8,
) -> Result<String, Refusal> {
    let Some(def) = altered::find(resource, name).filter(|def| def.kind == Kind::List) else {
        let message = format!("{name} is not a list, to which one could append or from which one could take");
        return refuse(ErrorCode::InvalidConfig, message);
    };
    let now = before.get(name).map(|text| &**text).or(def.default).unwrap_or_default();
    let split = |text: &str| text.split(',').map(|element| element.trim().to_owned()).collect::<Vec<_>>();
    let mut list = split(now);
    list.retain(|element| !element.is_empty());
    for element in split(elements) {
        match operation {
            APPEND if list.contains(&element) => {}
            APPEND => list.push(element),
            _ => list.retain(|other| *other != element),
        }
    }
    Ok(list.join(","))
}
