//! A resource whose configs are changed: what IncrementalAlterConfigs and AlterConfigs have in common.
//!
//! What counts is the configuration that a resource would have then: all of it must be good, also what was set before. So a
//! group with a value that has come to be out of range can be changed only by what puts that right too, as in Kafka. A
//! broker's dynamic configs may hold what only some plugin knows: of those only what is new is looked at.
//!
//! Each resource of a request stands for itself, and is changed as a whole or not at all (KIP-339).

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_base::NodeId;
use ottla_config::{
    ClientMetricsError, GroupConfigError, GroupLayers, Overrides, ServerConfig, ServerLayers, Target, TopicConfigError,
    TopicLayers, client_metrics, concerns_listeners, keys,
};
use ottla_wire::ErrorCode;
use ottla_wire::messages::incremental_alter_configs_request::AlterConfigsResource;
use ottla_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_wire::records::ClearElrRecord;

use super::config_operations::{self, Altered};
use super::{MIN_INSYNC_REPLICAS, RECORDS_MAX, Refusal, State, Step, refuse};
use crate::features::ELIGIBLE_LEADER_REPLICAS;
use crate::{ConfigResource, Record};

/// Most bytes of names and values that a request may write, as Kafka's largest batch.
const BYTES_MAX: usize = 8 << 20;

/// Kafka's ids of resource types.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// A resource as a request names it.
pub(super) type Named = (i8, Arc<str>);

/// Whether a request is to be carried out, or only looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Write,
    Validate,
}

pub(super) fn decide(
    step: &mut Step<'_>,
    resources: &[AlterConfigsResource],
    server: &ServerConfig,
    mode: Mode,
) -> Vec<AlterConfigsResourceResponse> {
    let mut planned = if resources.len() > RECORDS_MAX {
        resources.iter().map(|_| refuse_size()).collect()
    } else {
        plan_all(&step.log, resources, server)
    };
    let records = || planned.iter().flatten().flatten();
    if records().count() > RECORDS_MAX || records().map(bytes).sum::<usize>() > BYTES_MAX {
        planned.iter_mut().filter(|plan| plan.is_ok()).for_each(|plan| *plan = refuse_size());
    }
    let elr: Vec<Record> = planned.iter().flatten().flatten().filter_map(clears_elr).collect();
    let responses = resources.iter().zip(planned).map(|(resource, plan)| {
        let (code, message) = match plan {
            Ok(records) => {
                if mode == Mode::Write {
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
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        }
    });
    let responses = responses.collect();
    if mode == Mode::Write {
        elr.into_iter().for_each(|record| step.log.write(record));
    }
    responses
}

/// Replicas that were eligible under another `min.insync.replicas` are so no more (KIP-966).
fn clears_elr(record: &Record) -> Option<Record> {
    let Record::Config { resource, key, .. } = record else { return None };
    let topic_name = match resource {
        ConfigResource::Topic(name) => name.clone(),
        _ => Arc::default(),
    };
    (**key == *MIN_INSYNC_REPLICAS).then(|| Record::ClearElr(ClearElrRecord { topic_name, ..Default::default() }))
}

/// The records that change one resource.
type Plan = Result<Vec<Record>, Refusal>;

fn refuse_size() -> Plan {
    refuse(ErrorCode::PolicyViolation, "the request changes too much at once")
}

fn bytes(record: &Record) -> usize {
    let Record::Config { resource, key, value } = record else { return 0 };
    let name = match resource {
        ConfigResource::Topic(name) | ConfigResource::Group(name) | ConfigResource::ClientMetrics(name) => name.len(),
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault => 0,
    };
    name + key.len() + value.as_ref().map_or(0, |value| value.len())
}

/// No resource stands in it twice, so that each is planned without the others.
fn plan_all(state: &State, resources: &[AlterConfigsResource], server: &ServerConfig) -> Vec<Plan> {
    let named = |asked: &AlterConfigsResource| (asked.resource_type, asked.resource_name.clone());
    let mut times = BTreeMap::new();
    for asked in resources {
        *times.entry(named(asked)).or_insert(0) += 1;
    }
    let plan_one = |asked: &AlterConfigsResource| {
        if times[&named(asked)] > 1 {
            return refuse(ErrorCode::InvalidRequest, "the resource stands in the request more than once");
        }
        let resource = resource(state, named(asked), server)?;
        plan(state, &resource, asked, server)
    };
    resources.iter().map(plan_one).collect()
}

/// The resource that a request names, if there can be one.
pub(super) fn resource(state: &State, (kind, name): Named, server: &ServerConfig) -> Result<ConfigResource, Refusal> {
    let invalid = |message: String| refuse(ErrorCode::InvalidRequest, message);
    match kind {
        GROUP if name.is_empty() => invalid("a group has a name; there are no configs of all".to_owned()),
        GROUP => Ok(ConfigResource::Group(name)),
        TOPIC if name.is_empty() => invalid("a topic has a name; there are no configs of all".to_owned()),
        TOPIC if state.topics().get(&name).is_none() => {
            refuse(ErrorCode::UnknownTopicOrPartition, format!("there is no topic {name}"))
        }
        TOPIC => Ok(ConfigResource::Topic(name)),
        BROKER if name.is_empty() => Ok(ConfigResource::BrokerDefault),
        BROKER => match name.parse() {
            Ok(id) if id == server.get(keys::NODE_ID) => Ok(ConfigResource::Broker(NodeId(id))),
            Ok(id) => invalid(format!("there is no broker {id}")),
            Err(_) => invalid(format!("{name:?} is no broker id")),
        },
        // Loggers too: who asks IncrementalAlterConfigs for them is answered by the broker itself.
        CLIENT_METRICS if name.is_empty() => invalid("a subscription has a name".to_owned()),
        CLIENT_METRICS => Ok(ConfigResource::ClientMetrics(name)),
        other => invalid(format!("there are no resources of type {other}")),
    }
}

fn plan(state: &State, resource: &ConfigResource, asked: &AlterConfigsResource, server: &ServerConfig) -> Plan {
    let before = state.configs().of(resource);
    let altered = config_operations::alter(resource, before, &asked.configs)?;
    check_min_insync_replicas(state, resource, &altered)?;
    check(state, resource, &altered, server)?;
    Ok(changes(resource, &altered, before))
}

/// While the controller keeps track of eligible leader replicas, it must know the minimum that all topics without one of
/// their own have (KIP-966).
fn check_min_insync_replicas(state: &State, resource: &ConfigResource, altered: &Altered) -> Result<(), Refusal> {
    let is_named = altered.keys.iter().any(|key| **key == *MIN_INSYNC_REPLICAS);
    if !is_named || state.features().level(ELIGIBLE_LEADER_REPLICAS) == 0 {
        return Ok(());
    }
    let what = match resource {
        ConfigResource::Broker(_) => "set for one broker",
        ConfigResource::BrokerDefault if !altered.after.contains_key(MIN_INSYNC_REPLICAS) => "removed for all brokers",
        _ => return Ok(()),
    };
    let why = format!("{MIN_INSYNC_REPLICAS} cannot be {what} while {ELIGIBLE_LEADER_REPLICAS} is on");
    refuse(ErrorCode::InvalidConfig, why)
}

fn check(state: &State, resource: &ConfigResource, altered: &Altered, server: &ServerConfig) -> Result<(), Refusal> {
    let layers = state.configs().layers(server);
    let invalid = |code, message: String| Refusal { code, message };
    let Altered { after, keys } = altered;
    let of_brokers = |new_layers: ServerLayers<'_>, target| {
        let new = keys.iter().filter_map(|key| Some((&**key, &**after.get(key)?)));
        let checked = new_layers.check(target, new).and_then(|()| new_layers.check_threads(&layers));
        checked.map_err(|why| invalid(ErrorCode::InvalidRequest, why.to_string()))
    };
    match resource {
        ConfigResource::Topic(_) => {
            let topic = TopicLayers { topic: after, server: layers };
            topic.check().map_err(|why: TopicConfigError| invalid(ErrorCode::InvalidConfig, why.to_string()))
        }
        ConfigResource::Group(_) => {
            let group = GroupLayers { group: after, server: layers };
            group.check().map_err(|why: GroupConfigError| invalid(ErrorCode::InvalidConfig, why.to_string()))
        }
        ConfigResource::Broker(_) => {
            let new = ServerLayers { broker: after, ..layers };
            of_brokers(new, Target::OneBroker)?;
            if !keys.iter().any(|key| concerns_listeners(key)) {
                return Ok(());
            }
            new.check_listeners(&layers).map_err(|why| invalid(ErrorCode::InvalidRequest, why.to_string()))
        }
        ConfigResource::BrokerDefault => of_brokers(ServerLayers { cluster: after, ..layers }, Target::AllBrokers),
        ConfigResource::ClientMetrics(_) => client_metrics::check(after).map_err(|why| {
            use ClientMetricsError::*;
            let code = match why {
                Unknown(_) | OutOfBounds { .. } => ErrorCode::InvalidRequest,
                BadValue { .. } | BadPattern { .. } => ErrorCode::InvalidConfig,
            };
            invalid(code, why.to_string())
        }),
    }
}

/// In the order of the request; what stays as it is has no record.
fn changes(resource: &ConfigResource, altered: &Altered, before: &Overrides) -> Vec<Record> {
    let changed = altered.keys.iter().filter(|key| before.get(*key) != altered.after.get(*key));
    let record = |key: &Arc<str>| Record::Config {
        resource: resource.clone(),
        key: key.clone(),
        value: altered.after.get(key).cloned(),
    };
    changed.map(record).collect()
}
