//! The topics in which brokers keep their own state, made when somebody first needs one.
//!
//! Several requests may need one at the same moment, so a topic that is there already is a success.

use std::sync::Arc;

use ottla_config::{ReplicationFactor, ServerConfig};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{CreatableTopic, CreatableTopicConfig, CreatableTopicResult, CreateTopicsRequest};

use super::create_topics::{self, CreateTopics};
use super::{State, Step};
use crate::{Entropy, topic_name};

/// Makes one of them, unless it is there.
#[derive(Clone, Debug)]
pub struct CreateInternalTopic {
    pub name: Arc<str>,
    /// Says how.
    pub server: Arc<ServerConfig>,
    pub entropy: Entropy,
}

pub(super) fn decide(step: &mut Step<'_>, command: CreateInternalTopic) -> CreatableTopicResult {
    let CreateInternalTopic { name, server, entropy } = command;
    let topic = match &*name {
        topic_name::CONSUMER_OFFSETS => server.offsets_topic(),
        _ => {
            let error_code = ErrorCode::InvalidTopicException.code();
            let error_message = Some("brokers keep no state in this topic".into());
            return CreatableTopicResult { name, error_code, error_message, ..Default::default() };
        }
    };
    let configs = topic.configs.into_iter().map(|(name, value)| CreatableTopicConfig {
        name,
        value: Some(value),
        ..Default::default()
    });
    let topic = CreatableTopic {
        name,
        num_partitions: topic.partition_count,
        replication_factor: replicas(&step.log, topic.replication_factor),
        configs: configs.collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let mut results = create_topics::decide(step, CreateTopics { request, server, entropy }).topics;
    let result = results.pop().expect("there is a result for each topic of the request");
    if result.error_code != ErrorCode::TopicAlreadyExists.code() {
        return result;
    }
    CreatableTopicResult { error_code: ErrorCode::None.code(), error_message: None, ..result }
}

/// Brokers that are starting or stopping do not count, as they are given no replicas.
fn replicas(state: &State, replication_factor: ReplicationFactor) -> i16 {
    match replication_factor {
        ReplicationFactor::Exactly(replicas) => replicas,
        ReplicationFactor::UpTo(most) => {
            let usable = state.brokers().iter().filter(|broker| broker.is_usable()).count();
            i16::try_from(usable).unwrap_or(i16::MAX).clamp(1, most)
        }
    }
}
