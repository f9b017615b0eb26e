//! Configs that were set for a topic, a group, a broker, or all brokers, and stored in the log.

use std::sync::Arc;

use imbl::OrdMap;
use ottla_base::NodeId;
use ottla_config::Overrides;

/// What a config belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    Topic(Arc<str>),
    Broker(NodeId),
    /// All brokers. More than `server.properties` says, less than the config of one broker.
    BrokerDefault,
    /// A group need not be there to have configs.
    Group(Arc<str>),
    /// A subscription to metrics that clients push (KIP-714). Kept, and without effect yet.
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

    /// The groups that have configs, and these, sorted by name.
    pub fn groups(&self) -> impl Iterator<Item = (&Arc<str>, &Overrides)> {
        let first = ConfigResource::Group(Arc::default());
        self.resources.range(first..).map_while(|(resource, configs)| match resource {
            ConfigResource::Group(name) => Some((name, &**configs)),
            _ => None,
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
