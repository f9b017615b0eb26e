//! CreateTopics, by clients and for topics that come to be because somebody asked for their metadata.
//!
//! Each topic of a request stands for itself: one that is refused does not hinder the others. A topic that can be made is
//! made at once, so the next one of the same request is checked against it. With `validate_only` all is done but the
//! writing; the id in the answer is then one that no topic will have.
//!
//! A topic that stands in the request twice is refused and not made, and its one answer comes after all others, as in
//! Kafka.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_config::{Overrides, ServerConfig};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{CreatableTopic, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse};
use ottla_wire::records::{ClearElrRecord, TopicRecord};

use super::placement::{self, Placement};
use super::topic_configs::TopicConfigs;
use super::{MIN_INSYNC_REPLICAS, RECORDS_MAX, Refusal, State, Step, refuse};
use crate::{ConfigResource, Entropy, Record, topic_name};

#[derive(Clone, Debug)]
pub struct CreateTopics {
    pub request: CreateTopicsRequest,
    /// Gives what a topic does not say.
    pub server: Arc<ServerConfig>,
    pub entropy: Entropy,
}

pub(super) fn decide(step: &mut Step<'_>, command: CreateTopics) -> CreateTopicsResponse {
    let CreateTopics { request, server, mut entropy } = command;
    let mut configs = TopicConfigs::new(step.log.configs().clone(), &server);
    let (once, repeated) = split(request.topics);
    let is_too_large = once.iter().map(|topic| records_of(topic, &server)).sum::<usize>() > RECORDS_MAX;

    let mut topics = Vec::with_capacity(once.len() + repeated.len());
    for topic in &once {
        let planned = if is_too_large {
            refuse(ErrorCode::PolicyViolation, format!("the request needs more than {RECORDS_MAX} metadata records"))
        } else {
            plan(&step.log, topic, &configs, &mut entropy)
        };
        topics.push(match planned {
            Ok(plan) => {
                if !request.validate_only {
                    plan.write(step);
                }
                plan.answer(&mut configs)
            }
            Err(refusal) => refused(&topic.name, refusal),
        });
    }
    topics.extend(repeated.iter().map(|name| {
        let message = "the topic stands in the request more than once".into();
        refused(name, Refusal { code: ErrorCode::InvalidRequest, message })
    }));
    CreateTopicsResponse { topics, ..Default::default() }
}

/// A topic that can be made.
struct Plan {
    name: Arc<str>,
    id: Uuid,
    configs: Overrides,
    placement: Placement,
}

/// The topics that stand in the request once, and the names of the others, both in order.
fn split(topics: Vec<CreatableTopic>) -> (Vec<CreatableTopic>, Vec<Arc<str>>) {
    let mut times = BTreeMap::new();
    for topic in &topics {
        *times.entry(topic.name.clone()).or_insert(0) += 1;
    }
    let mut repeated = Vec::new();
    let mut once = Vec::new();
    for topic in topics {
        match times.insert(topic.name.clone(), 0) {
            Some(0) => {}
            Some(1) => once.push(topic),
            _ => repeated.push(topic.name),
        }
    }
    (once, repeated)
}

/// How many records a topic takes, if it can be made.
fn records_of(topic: &CreatableTopic, server: &ServerConfig) -> usize {
    let partitions: usize = placement::partition_count(topic, server).try_into().unwrap_or(0);
    let clears_elr = topic.configs.iter().any(|config| &*config.name == MIN_INSYNC_REPLICAS);
    1 + topic.configs.len() + usize::from(clears_elr) + partitions
}

fn plan(
    state: &State,
    topic: &CreatableTopic,
    configs: &TopicConfigs<'_>,
    entropy: &mut Entropy,
) -> Result<Plan, Refusal> {
    check_name(state, &topic.name)?;
    let own = configs.check(&topic.configs)?;
    let placement = placement::place(state, topic, configs.server())?;
    let id = loop {
        let id = entropy.uuid();
        if state.topics().get_by_id(&id).is_none() {
            break id;
        }
    };
    Ok(Plan { name: topic.name.clone(), id, configs: own, placement })
}

fn check_name(state: &State, name: &str) -> Result<(), Refusal> {
    if name == topic_name::CLUSTER_METADATA {
        return refuse(ErrorCode::InvalidRequest, format!("{name} is not for clients to create"));
    }
    if let Err(why) = topic_name::check(name) {
        return refuse(ErrorCode::InvalidTopicException, why.to_string());
    }
    if state.topics().get(name).is_some() {
        return refuse(ErrorCode::TopicAlreadyExists, format!("there is a topic {name} already"));
    }
    if let Some(other) = state.collision(name) {
        let message =
            format!("{name} would share its metrics with the topic {other}, in whose name '.' and '_' differ");
        return refuse(ErrorCode::InvalidTopicException, message);
    }
    Ok(())
}

impl Plan {
    fn write(&self, step: &mut Step<'_>) {
        let name = || self.name.clone();
        step.log.write(Record::Topic(TopicRecord { name: name(), topic_id: self.id, ..Default::default() }));
        for (key, value) in &self.configs {
            let (resource, key, value) = (ConfigResource::Topic(name()), key.clone(), Some(value.clone()));
            step.log.write(Record::Config { resource, key, value });
        }
        if self.configs.contains_key(MIN_INSYNC_REPLICAS) {
            step.log.write(Record::ClearElr(ClearElrRecord { topic_name: name(), ..Default::default() }));
        }
        self.placement.partitions(self.id, 0).for_each(|record| step.log.write(record));
    }

    fn answer(self, configs: &mut TopicConfigs<'_>) -> CreatableTopicResult {
        CreatableTopicResult {
            topic_id: self.id,
            error_message: None,
            num_partitions: self.placement.partition_count,
            replication_factor: 1,
            configs: Some(configs.list(&self.configs)),
            name: self.name,
            ..Default::default()
        }
    }
}

fn refused(name: &Arc<str>, refusal: Refusal) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.clone(),
        error_code: refusal.code.code(),
        error_message: Some(refusal.message.into()),
        ..Default::default()
    }
}
