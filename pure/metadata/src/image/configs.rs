//! Configs that were set for a topic, a group, a broker, or all brokers, and stored in the log.

use std::sync::Arc;

use imbl::OrdMap;
use ottla_base::NodeId;
use ottla_config::{GroupLayers, Overrides, ServerConfig, ServerLayers, TopicLayers, keys};

use crate::record::Record;

/// What a config belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    Topic(Arc<str>),
    Broker(NodeId),
    /// All brokers. More than `server.properties` says, less than the config of one broker.
    BrokerDefault,
    /// A group need not be there to have configs.
    Group(Arc<str>),
    /// A subscription to metrics that clients push (KIP-714). Kept, and without effect: nothing receives them.
    ClientMetrics(Arc<str>),
}

/// The configs of each resource that has any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configs {
    resources: OrdMap<ConfigResource, Arc<Overrides>>,
}

static NONE: Overrides = Overrides::new();

impl Configs {
    /// What was set for a resource, and only that.
    pub fn of(&self, resource: &ConfigResource) -> &Overrides {
        self.resources.get(resource).map_or(&NONE, Arc::as_ref)
    }

    /// The configuration of the broker that was started with `server`, as it is now.
    pub fn layers<'a>(&'a self, server: &'a ServerConfig) -> ServerLayers<'a> {
        let broker = self.of(&ConfigResource::Broker(NodeId(server.get(keys::NODE_ID))));
        ServerLayers { broker, cluster: self.of(&ConfigResource::BrokerDefault), server }
    }

    /// The configuration that a topic has on that broker.
    pub fn topic_layers<'a>(&'a self, topic: &Arc<str>, server: &'a ServerConfig) -> TopicLayers<'a> {
        TopicLayers { topic: self.of(&ConfigResource::Topic(topic.clone())), server: self.layers(server) }
    }

    /// The configuration that a group has there.
    pub fn group_layers<'a>(&'a self, group: &Arc<str>, server: &'a ServerConfig) -> GroupLayers<'a> {
        GroupLayers { group: self.of(&ConfigResource::Group(group.clone())), server: self.layers(server) }
    }

    /// The groups that have configs, and these, sorted by name.
    pub fn groups(&self) -> impl Iterator<Item = (&Arc<str>, &Overrides)> {
        let first = ConfigResource::Group(Arc::default());
        self.resources.range(first..).map_while(|(resource, configs)| match resource {
            ConfigResource::Group(name) => Some((name, &**configs)),
            _ => None,
        })
    }

    /// The names of subscriptions to clients' metrics.
    pub fn client_metrics(&self) -> impl Iterator<Item = &Arc<str>> {
        let first = ConfigResource::ClientMetrics(Arc::default());
        self.resources.range(first..).map_while(|(resource, _)| match resource {
            ConfigResource::ClientMetrics(name) => Some(name),
            _ => None,
        })
    }

    /// Those of brokers first, as by Kafka.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        use ConfigResource::{Broker, BrokerDefault};
        let (of_brokers, others): (Vec<_>, Vec<_>) =
            self.resources.iter().partition(|(resource, _)| matches!(resource, BrokerDefault | Broker(_)));
        of_brokers.into_iter().rev().chain(others).flat_map(|(resource, configs)| {
            configs.iter().map(|(key, value)| Record::Config {
                resource: resource.clone(),
                key: key.clone(),
                value: Some(value.clone()),
            })
        })
    }

    /// No value removes the config.
    pub(super) fn set(&mut self, resource: &ConfigResource, key: &Arc<str>, value: Option<&Arc<str>>) {
        let configs = self.resources.entry(resource.clone()).or_default();
        match value {
            Some(value) => Arc::make_mut(configs).insert(key.clone(), value.clone()),
            None => Arc::make_mut(configs).remove(key),
        };
        if configs.is_empty() {
            self.resources.remove(resource);
        }
    }

    pub(super) fn remove_topic(&mut self, name: &Arc<str>) {
        self.resources.remove(&ConfigResource::Topic(name.clone()));
    }
}
