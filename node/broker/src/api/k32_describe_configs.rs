//! DescribeConfigs: the settings of topics and of this broker, where each comes from and what it means.
//!
//! Versions 1-4 (KIP-226, KIP-569). Of the resources, topics and brokers; groups, client metrics and loggers come later.

use std::sync::Arc;

use ottla_config::{Described, TopicLayers};
use ottla_metadata::image::{ConfigResource, Image};
use ottla_metadata::topic_name;
use ottla_wire::messages::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_wire::{ApiKey, ErrorCode};

use super::{Api, Run};
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::DescribeConfigs, run: Run::Cold(|call| call.answer(handle)) };

/// Kafka's ids of resource types.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

type Refused = (ErrorCode, String);

async fn handle(ctx: Ctx, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let published = ctx.broker.published();
    let results = request.resources.iter().map(|resource| {
        let described = describe(&ctx, &published.image, resource);
        let (error, message, configs) = match described {
            Ok(described) => (ErrorCode::None, String::new(), described),
            Err((error, message)) => (error, message, Vec::new()),
        };
        let wanted = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
        let is_wanted = |config: &Described| wanted.is_none_or(|keys| keys.iter().any(|key| **key == *config.name));
        DescribeConfigsResult {
            error_code: error.code(),
            error_message: Some(message.into()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            configs: configs.into_iter().filter(is_wanted).map(|config| row(config, &request)).collect(),
            ..Default::default()
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

fn describe(ctx: &Ctx, image: &Image, resource: &DescribeConfigsResource) -> Result<Vec<Described>, Refused> {
    let name = &resource.resource_name;
    let cluster = image.configs().of(&ConfigResource::BrokerDefault);
    match resource.resource_type {
        TOPIC => {
            if !ctx.may(Operation::DescribeConfigs, Resource::Topic(name)) {
                return Err((ErrorCode::TopicAuthorizationFailed, String::new()));
            }
            topic_name::check(name).map_err(|error| (ErrorCode::InvalidTopicException, error.to_string()))?;
            let topic = image.topics().get(name).ok_or((ErrorCode::UnknownTopicOrPartition, String::new()))?;
            let topic = image.configs().of(&ConfigResource::Topic(topic.name.clone()));
            Ok(TopicLayers { topic, cluster, server: &ctx.broker.config }.describe())
        }
        BROKER => {
            if !ctx.may(Operation::DescribeConfigs, Resource::Cluster) {
                return Err((ErrorCode::ClusterAuthorizationFailed, String::new()));
            }
            let node_id = ctx.broker.identity.node_id.0;
            match name.parse::<i32>() {
                _ if name.is_empty() => Ok(ctx.broker.config.describe_cluster(cluster)),
                Ok(asked) if asked == node_id => Ok(ctx.broker.config.describe(cluster)),
                Ok(asked) => {
                    Err((ErrorCode::InvalidRequest, format!("this is broker {node_id}; ask broker {asked} itself")))
                }
                Err(_) => Err((ErrorCode::InvalidRequest, format!("{name:?} is no broker id"))),
            }
        }
        other => Err((ErrorCode::InvalidRequest, format!("resources of type {other} cannot be described"))),
    }
}

fn row(config: Described, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let text = |text: Option<String>| text.map(Arc::<str>::from);
    let synonyms =
        config.synonyms.into_iter().filter(|_| request.include_synonyms).map(|synonym| DescribeConfigsSynonym {
            name: synonym.name.into(),
            value: text(synonym.value),
            source: synonym.source.id(),
            ..Default::default()
        });
    DescribeConfigsResourceResult {
        name: config.name.into(),
        value: text(config.value),
        read_only: config.is_read_only,
        config_source: config.source.id(),
        is_sensitive: config.is_sensitive,
        synonyms: synonyms.collect(),
        config_type: config.kind.map_or(0, |kind| kind.id()),
        documentation: text(config.documentation).filter(|_| request.include_documentation),
        ..Default::default()
    }
}
