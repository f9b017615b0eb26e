//! IncrementalAlterConfigs: some configs of some resources, each resource as a whole or not at all (KIP-339).
//!
//! What counts is the configuration that a resource would have then: all of it must be good, also what was set before. So a
//! group with a value that has come to be out of range can be changed only by what puts that right too, as in Kafka.
//!
//! Of the resources, groups. None of their configs is a list, to which one could append.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_config::{GroupConfigError, GroupLayers, Overrides, ServerConfig};
use ottla_wire::ErrorCode;
use ottla_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::{RECORDS_MAX, Refusal, State, Step, refuse};
use crate::{ConfigResource, Record};

/// Most bytes of names and values that a request may write, as Kafka's largest batch.
const BYTES_MAX: usize = 8 << 20;

/// Kafka's ids of resource types.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

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
    let mut planned = if request.resources.len() > RECORDS_MAX {
        request.resources.iter().map(|_| refuse_size()).collect()
    } else {
        plan_all(&step.log, &request.resources, &server)
    };
    let records = || planned.iter().flatten().flatten();
    if records().count() > RECORDS_MAX || records().map(bytes).sum::<usize>() > BYTES_MAX {
        planned.iter_mut().filter(|plan| plan.is_ok()).for_each(|plan| *plan = refuse_size());
    }
    let responses = request.resources.into_iter().zip(planned).map(|(resource, plan)| {
        let (code, message) = match plan {
            Ok(records) => {
                if !request.validate_only {
                    records.into_iter().for_each(|record| step.log.write(record));
                }
                (ErrorCode::None, None)
            }
            Err(Refusal { code, message }) => (code, Some(message)),
        };
        AlterConfigsResourceResponse {
            error_code: code.code(),
            error_message: message.map(Arc::from),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            ..Default::default()
        }
    });
    IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

/// The records that change one resource.
type Plan = Result<Vec<Record>, Refusal>;

fn refuse_size() -> Plan {
    refuse(ErrorCode::PolicyViolation, "the request changes too much at once")
}

fn bytes(record: &Record) -> usize {
    match record {
        Record::Config { resource: ConfigResource::Group(name), key, value } => {
            name.len() + key.len() + value.as_ref().map_or(0, |value| value.len())
        }
        _ => 0,
    }
}

/// No resource stands in it twice, so that each is planned without the others.
fn plan_all(state: &State, resources: &[AlterConfigsResource], server: &ServerConfig) -> Vec<Plan> {
    let identity = |resource: &AlterConfigsResource| (resource.resource_type, resource.resource_name.clone());
    let mut times = BTreeMap::new();
    for resource in resources {
        *times.entry(identity(resource)).or_insert(0) += 1;
    }
    let is_repeated = |resource: &AlterConfigsResource| times[&identity(resource)] > 1;
    let plan_one = |resource: &AlterConfigsResource| {
        if is_repeated(resource) {
            return refuse(ErrorCode::InvalidRequest, "the resource stands in the request more than once");
        }
        plan(state, resource, server)
    };
    resources.iter().map(plan_one).collect()
}

fn plan(state: &State, resource: &AlterConfigsResource, server: &ServerConfig) -> Plan {
    let AlterConfigsResource { resource_type, resource_name: name, configs, .. } = resource;
    check_configs(configs)?;
    match *resource_type {
        GROUP if name.is_empty() => {
            refuse(ErrorCode::InvalidRequest, "a group has a name; there are no configs of all")
        }
        GROUP => plan_group(state, name, configs, server),
        TOPIC => unsupported("topics"),
        BROKER => unsupported("brokers"),
        BROKER_LOGGER => unsupported("loggers"),
        CLIENT_METRICS => unsupported("client metrics"),
        other => refuse(ErrorCode::InvalidRequest, format!("there are no resources of type {other}")),
    }
}

/// Of an unsupported version Kafka's tools would say that they are too new; of a policy they tell our text.
fn unsupported(what: &str) -> Plan {
    refuse(ErrorCode::PolicyViolation, format!("Ottla cannot change the configuration of {what} yet"))
}

/// What is wrong whatever the resource is.
fn check_configs(configs: &[AlterableConfig]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    if let Some(again) = configs.iter().find(|config| !seen.insert(&config.name)) {
        return refuse(ErrorCode::InvalidRequest, format!("{} stands in the request more than once", again.name));
    }
    if let Some(null) = configs.iter().find(|config| config.value.is_none() && config.config_operation != DELETE) {
        return refuse(ErrorCode::InvalidRequest, format!("{}: null is not a value", null.name));
    }
    Ok(())
}

fn plan_group(state: &State, name: &Arc<str>, configs: &[AlterableConfig], server: &ServerConfig) -> Plan {
    let resource = ConfigResource::Group(name.clone());
    let before = state.configs().of(&resource);
    let mut after = before.clone();
    for AlterableConfig { name, config_operation, value, .. } in configs {
        match (*config_operation, value) {
            (SET, Some(value)) => _ = after.insert(name.clone(), value.clone()),
            (DELETE, _) => _ = after.remove(name),
            (APPEND | SUBTRACT, _) => {
                let message = format!("{name} is not a list, to which one could append or from which one could take");
                return refuse(ErrorCode::InvalidConfig, message);
            }
            (other, _) => {
                return refuse(ErrorCode::UnknownServerError, format!("{name}: there is no operation {other}"));
            }
        }
    }
    let cluster = state.configs().of(&ConfigResource::BrokerDefault);
    let invalid = |why: GroupConfigError| Refusal { code: ErrorCode::InvalidConfig, message: why.to_string() };
    GroupLayers { group: &after, cluster, server }.check().map_err(invalid)?;
    Ok(changes(&resource, configs, before, &after))
}

/// In the order of the request; what stays as it is has no record.
fn changes(
    resource: &ConfigResource,
    configs: &[AlterableConfig],
    before: &Overrides,
    after: &Overrides,
) -> Vec<Record> {
    let changed = configs.iter().filter(|config| before.get(&config.name) != after.get(&config.name));
    let record = |config: &AlterableConfig| Record::Config {
        resource: resource.clone(),
        key: config.name.clone(),
        value: after.get(&config.name).cloned(),
    };
    changed.map(record).collect()
}
