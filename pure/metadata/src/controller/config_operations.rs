//! What becomes of a resource's configs by the operations of a request: set, delete, append to a list, subtract from one.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_config::{Def, Kind, Overrides, broker, group, topic};
use ottla_wire::messages::incremental_alter_configs_request::AlterableConfig;
use ottla_wire::{ErrorCode, STRING_BYTES_MAX};

use super::{Refusal, refuse};
use crate::ConfigResource;

/// Kafka's ids of operations.
pub(super) const SET: i8 = 0;
pub(super) const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// What is to become of a resource: the configs that it would have, and which of them the request names, in its order.
pub(super) struct Altered {
    pub after: Overrides,
    pub keys: Vec<Arc<str>>,
}

/// What becomes of the configs of a resource. `before` is what is set for it now.
pub(super) fn alter(
    resource: &ConfigResource,
    before: &Overrides,
    configs: &[AlterableConfig],
) -> Result<Altered, Refusal> {
    check(configs)?;
    let mut after = before.clone();
    for AlterableConfig { name, config_operation, value, .. } in configs {
        match (*config_operation, value) {
            (SET, Some(value)) => _ = after.insert(name.clone(), value.clone()),
            (DELETE, _) => _ = after.remove(name),
            (APPEND | SUBTRACT, Some(elements)) => {
                let list = changed_list(resource, before, (name, elements), *config_operation)?;
                after.insert(name.clone(), list.into());
            }
            (other, _) => return refuse(ErrorCode::InvalidRequest, format!("{name}: there is no operation {other}")),
        }
    }
    Ok(Altered { after, keys: configs.iter().map(|config| config.name.clone()).collect() })
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
    let Some(def) = find(resource, name).filter(|def| def.kind == Kind::List) else {
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
    let list = list.join(",");
    if list.len() > STRING_BYTES_MAX {
        let message = format!("{name} would have {} bytes, and may have {STRING_BYTES_MAX}", list.len());
        return refuse(ErrorCode::InvalidConfig, message);
    }
    Ok(list)
}

/// The key's declaration, if a resource of this kind has it.
fn find(resource: &ConfigResource, key: &str) -> Option<&'static Def> {
    match resource {
        ConfigResource::Topic(_) => topic::find(key),
        ConfigResource::Group(_) => group::find(key),
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault => broker::find(key),
        // Kafka takes none of its keys for a list.
        ConfigResource::ClientMetrics(_) => None,
    }
}
