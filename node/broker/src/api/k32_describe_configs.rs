//! DescribeConfigs: the settings of topics, groups, this broker, its loggers, and subscriptions to client metrics; where each
//! comes from and what it means.
//!
//! Versions 1-4 (KIP-226, KIP-569).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_config::{Described, client_metrics};
use ottla_metadata::image::Image;
use ottla_metadata::{ConfigResource, topic_name};
use ottla_wire::messages::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_wire::{ApiKey, ErrorCode};

use super::answer_room::ANSWER_BYTES_MAX;
use super::loggers::{self, BROKER_LOGGER};
use super::{Api, Run};
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::DescribeConfigs, run: Run::Cold(|call| call.answer(handle)) };

/// Kafka's ids of resource types.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Keys of a resource, about.
const KEYS: usize = 50;

type Refused = (ErrorCode, String);

async fn handle(ctx: Ctx, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let published = ctx.broker.published();
    let asked = distinct(&request.resources);
    let results = ctx.make(asked.len() * KEYS, || {
        let mut answer = Answer { room: ANSWER_BYTES_MAX, request: &request, results: Vec::with_capacity(asked.len()) };
        asked.iter().for_each(|asked| answer.add(asked, || describe(&ctx, &published.image, asked.resource)));
        answer.results
    });
    DescribeConfigsResponse { results, ..Default::default() }
}

/// A resource as the request names it first.
struct Asked<'r> {
    resource: &'r DescribeConfigsResource,
    /// `None` for all.
    keys: Option<BTreeSet<&'r str>>,
}

/// Each resource that is asked for once, however often it is named, with all keys that are asked of it.
fn distinct(resources: &[DescribeConfigsResource]) -> Vec<Asked<'_>> {
    let mut distinct = Vec::<Asked<'_>>::new();
    let mut places = BTreeMap::new();
    for resource in resources {
        let keys = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
        let keys = keys.map(|keys| keys.iter().map(|key| &**key).collect::<BTreeSet<_>>());
        let place = *places.entry(identity(resource)).or_insert(distinct.len());
        match distinct.get_mut(place) {
            None => distinct.push(Asked { resource, keys }),
            Some(first) => {
                first.keys = first.keys.take().zip(keys).map(|(mut all, more)| {
                    all.extend(more);
                    all
                });
            }
        }
    }
    distinct
}

/// A broker's id can be written in many ways.
fn identity(resource: &DescribeConfigsResource) -> (i8, Cow<'_, str>) {
    let name = &*resource.resource_name;
    match (resource.resource_type, name.parse::<i32>()) {
        (kind @ (BROKER | BROKER_LOGGER), Ok(id)) => (kind, id.to_string().into()),
        (other, _) => (other, name.into()),
    }
}

/// The results so far, and how many bytes may be added.
struct Answer<'r> {
    room: usize,
    request: &'r DescribeConfigsRequest,
    results: Vec<DescribeConfigsResult>,
}

impl Answer<'_> {
    fn add(&mut self, asked: &Asked<'_>, describe: impl FnOnce() -> Result<Vec<Described>, Refused>) {
        let is_wanted = |config: &Described| asked.keys.as_ref().is_none_or(|keys| keys.contains(&*config.name));
        let (error, message, configs) = match if self.room > 0 { describe() } else { Err(too_much()) } {
            Ok(described) => (ErrorCode::None, String::new(), described),
            Err((error, message)) => (error, message, Vec::new()),
        };
        let configs = configs.into_iter().filter(is_wanted).map(|config| row(config, self.request)).collect::<Vec<_>>();
        self.room = self.room.saturating_sub(configs.iter().map(bytes).sum());
        self.results.push(DescribeConfigsResult {
            error_code: error.code(),
            error_message: Some(message.into()),
            resource_type: asked.resource.resource_type,
            resource_name: asked.resource.resource_name.clone(),
            configs,
            ..Default::default()
        });
    }
}

fn too_much() -> Refused {
    (ErrorCode::InvalidRequest, "too many resources for one answer".to_owned())
}

/// About as many as a row has on the wire.
fn bytes(row: &DescribeConfigsResourceResult) -> usize {
    const FIXED_BYTES: usize = 16;
    let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
    let synonym = |synonym: &DescribeConfigsSynonym| FIXED_BYTES + synonym.name.len() + text(&synonym.value);
    let synonyms: usize = row.synonyms.iter().map(synonym).sum();
    FIXED_BYTES + row.name.len() + text(&row.value) + text(&row.documentation) + synonyms
}

fn describe(ctx: &Ctx, image: &Image, resource: &DescribeConfigsResource) -> Result<Vec<Described>, Refused> {
    let name = &resource.resource_name;
    let (configs, server) = (image.configs(), &*ctx.broker.config);
    match resource.resource_type {
        TOPIC => {
            if !ctx.may(Operation::DescribeConfigs, Resource::Topic(name)) {
                return Err((ErrorCode::TopicAuthorizationFailed, String::new()));
            }
            topic_name::check(name).map_err(|error| (ErrorCode::InvalidTopicException, error.to_string()))?;
            let topic = image.topics().get(name).ok_or((ErrorCode::UnknownTopicOrPartition, String::new()))?;
            Ok(configs.topic_layers(&topic.name, server).describe())
        }
        BROKER => {
            if !ctx.may(Operation::DescribeConfigs, Resource::Cluster) {
                return Err((ErrorCode::ClusterAuthorizationFailed, String::new()));
            }
            let node_id = ctx.broker.identity.node_id.0;
            match name.parse::<i32>() {
                _ if name.is_empty() => Ok(configs.layers(server).describe_cluster()),
                Ok(asked) if asked == node_id => Ok(configs.layers(server).describe()),
                Ok(asked) => {
                    Err((ErrorCode::InvalidRequest, format!("this is broker {node_id}; ask broker {asked} itself")))
                }
                Err(_) => Err((ErrorCode::InvalidRequest, format!("{name:?} is no broker id"))),
            }
        }
        GROUP => {
            if !ctx.may(Operation::DescribeConfigs, Resource::Group(name)) {
                return Err((ErrorCode::GroupAuthorizationFailed, String::new()));
            }
            if name.is_empty() {
                return Err((ErrorCode::InvalidRequest, "a group has a name".to_owned()));
            }
            // The group need not be there.
            Ok(configs.group_layers(name, server).describe())
        }
        CLIENT_METRICS => {
            if !ctx.may(Operation::DescribeConfigs, Resource::Cluster) {
                return Err((ErrorCode::ClusterAuthorizationFailed, String::new()));
            }
            if name.is_empty() {
                return Err((ErrorCode::InvalidRequest, "a subscription has a name".to_owned()));
            }
            Ok(client_metrics::describe(configs.of(&ConfigResource::ClientMetrics(name.clone()))))
        }
        BROKER_LOGGER => {
            if !ctx.may(Operation::DescribeConfigs, Resource::Cluster) {
                return Err((ErrorCode::ClusterAuthorizationFailed, String::new()));
            }
            loggers::describe(&ctx.broker.loggers, ctx.broker.identity.node_id, name)
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

#[cfg(test)]
mod tests {
    use ottla_config::Source;

    use super::*;

    fn resource(resource_type: i8, name: &str, keys: &[&str]) -> DescribeConfigsResource {
        DescribeConfigsResource {
            resource_type,
            resource_name: name.into(),
            configuration_keys: Some(keys.iter().map(|key| (*key).into()).collect()),
            ..Default::default()
        }
    }

    #[test]
    fn a_resource_that_is_named_twice_is_answered_once_with_all_its_keys() {
        let resources = [
            resource(TOPIC, "b", &["x"]),
            resource(BROKER, "1", &["x", "y"]),
            resource(TOPIC, "1", &["x"]),
            resource(TOPIC, "b", &["y"]),
            resource(BROKER, "+01", &["z"]),
            resource(TOPIC, "1", &[]),
        ];
        let asked = distinct(&resources);
        let asked: Vec<_> = asked.iter().map(|asked| (&*asked.resource.resource_name, asked.keys.clone())).collect();
        let keys = |keys: &[&'static str]| Some(keys.iter().copied().collect::<BTreeSet<_>>());
        assert_eq!(asked, [("b", keys(&["x", "y"])), ("1", keys(&["x", "y", "z"])), ("1", None)]);
    }

    #[test]
    fn an_answer_has_room_for_so_much() {
        let described = Described {
            name: "k".repeat(100),
            value: None,
            source: Source::Default,
            kind: None,
            is_read_only: false,
            is_sensitive: false,
            synonyms: Vec::new(),
            documentation: None,
        };
        let request = DescribeConfigsRequest::default();
        let resource = resource(TOPIC, "a", &[]);
        let asked = Asked { resource: &resource, keys: None };
        let mut answer = Answer { room: 150, request: &request, results: Vec::new() };
        (0..3).for_each(|_| answer.add(&asked, || Ok(vec![described.clone()])));
        let told: Vec<_> = answer.results.iter().map(|result| (result.error_code, result.configs.len())).collect();
        assert_eq!(told, [(0, 1), (0, 1), (ErrorCode::InvalidRequest.code(), 0)]);
    }
}
