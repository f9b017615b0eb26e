//! What DescribeConfigs and CreateTopics tell of a configuration.
//!
//! Kafka lists, beside a value, its **synonyms**: all settings of the same thing, the most specific first, each with
//! its source. `log.roll.ms` and `log.roll.hours` are the same thing. The listing begins with the first synonym that
//! has the asked key's own name, and the value's source is that of the first synonym. So with `log.retention.hours`
//! in the file `retention.ms` has its value from there, but no synonym and the source "default". Tools are used to
//! that, so it is the same here; the answer of CreateTopics names the true source, as Kafka's does.

use crate::broker;
use crate::group;
use crate::group_config::GroupLayers;
use crate::key::{Def, Effect, Scope};
use crate::server::Effective;
use crate::server_layers::ServerLayers;
use crate::topic;
use crate::topic_config::TopicLayers;
use crate::value::Kind;

/// Where a value was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Topic,
    Group,
    /// A subscription to metrics that clients push (KIP-714).
    ClientMetrics,
    /// The level of a logger (KIP-412), which is in the process and nowhere else.
    Logger,
    /// Dynamically, for this broker.
    Broker,
    /// Dynamically, for all brokers.
    ClusterWide,
    /// At the start of this server: file or command line.
    Static,
    Default,
}

impl Source {
    /// The number of the source in DescribeConfigs.
    pub fn id(self) -> i8 {
        match self {
            Source::Topic => 1,
            Source::Group => 8,
            Source::ClientMetrics => 7,
            Source::Logger => 6,
            Source::Broker => 2,
            Source::ClusterWide => 3,
            Source::Static => 4,
            Source::Default => 5,
        }
    }
}

/// One key of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    pub name: String,
    /// `None` is null: not set, or a secret.
    pub value: Option<String>,
    pub source: Source,
    /// `None` for a key that nobody knows.
    pub kind: Option<Kind>,
    pub is_read_only: bool,
    pub is_sensitive: bool,
    pub synonyms: Vec<DescribedSynonym>,
    /// Of the key, and what Ottla does with it.
    pub documentation: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedSynonym {
    pub name: String,
    pub value: Option<String>,
    pub source: Source,
}

impl TopicLayers<'_> {
    /// The keys of the topic, by name.
    pub fn describe(&self) -> Vec<Described> {
        let describe = |def: &'static Def| {
            let mut described = self.describe_value(def);
            described.synonyms = self.synonyms(def, &described.value);
            described.source = described.synonyms.first().map_or(Source::Default, |first| first.source);
            described.documentation = Some(documentation(def));
            described
        };
        self.shown().into_iter().map(describe).collect()
    }

    /// The same for the answer of CreateTopics: without synonyms and documentation, with the true sources.
    pub fn describe_created(&self) -> Vec<Described> {
        self.shown().into_iter().map(|def| self.describe_value(def)).collect()
    }

    fn shown(&self) -> Vec<&'static Def> {
        let is_shown = |def: &&Def| def.scope != Scope::Hidden || self.topic.contains_key(def.name);
        let mut shown: Vec<_> = topic::all().filter(is_shown).collect();
        shown.sort_unstable_by_key(|def| def.name);
        shown
    }

    fn describe_value(&self, def: &'static Def) -> Described {
        row(def, self.effective(def))
    }

    fn synonyms(&self, def: &'static Def, value: &Option<String>) -> Vec<DescribedSynonym> {
        let own = self.topic.contains_key(def.name).then(|| DescribedSynonym {
            name: def.name.to_owned(),
            value: value.clone(),
            source: Source::Topic,
        });
        let inherited = topic::synonyms(def).first().map(|first| self.server.synonyms(first.name));
        own.into_iter().chain(inherited.into_iter().flatten()).collect()
    }
}

impl GroupLayers<'_> {
    /// The keys of the group, by name, with the values that were set for it, even if they are out of range today.
    pub fn describe(&self) -> Vec<Described> {
        let describe = |def: &'static Def| {
            let mut described = row(def, self.effective(def));
            described.synonyms = self.synonyms(def, &described.value);
            described.documentation = Some(documentation(def));
            described
        };
        let mut all: Vec<_> = group::all().map(describe).collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// A key that no broker key gives a default is its own last synonym.
    fn synonyms(&self, def: &'static Def, value: &Option<String>) -> Vec<DescribedSynonym> {
        let synonym = |value, source| DescribedSynonym { name: def.name.to_owned(), value, source };
        let own = self.group.contains_key(def.name).then(|| synonym(value.clone(), Source::Group));
        let inherited = match group::governed_by(def).default {
            Some(key) => self.server.synonyms(key),
            None => vec![synonym(def.default.map(str::to_owned), Source::Default)],
        };
        own.into_iter().chain(inherited).collect()
    }
}

impl ServerLayers<'_> {
    /// The keys of this broker, by name: all known ones, and what else was set.
    pub fn describe(&self) -> Vec<Described> {
        let shown = broker::all().filter(|def| def.scope != Scope::Hidden).map(|def| def.name);
        let dynamic = self.broker.keys().chain(self.cluster.keys()).map(|name| &**name);
        let mut names: Vec<&str> = shown.chain(self.server.set.keys().map(String::as_str)).chain(dynamic).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|name| self.describe_key(name)).collect()
    }

    /// The keys that are set for all brokers, by name: the answer for the broker resource with the empty name.
    pub fn describe_cluster(&self) -> Vec<Described> {
        let cluster = ServerLayers { broker: ServerLayers::of(self.server).broker, ..*self };
        let mut all: Vec<_> = self.cluster.keys().map(|name| cluster.describe_key(name)).collect();
        for described in &mut all {
            described.synonyms.retain(|synonym| synonym.source == Source::ClusterWide);
        }
        all
    }

    fn describe_key(&self, name: &str) -> Described {
        let def = broker::find_base(name);
        let is_sensitive = def.is_none_or(Def::is_sensitive);
        let dynamic = self.broker.get(name).or_else(|| self.cluster.get(name)).map(|text| &**text);
        let text = dynamic.or_else(|| self.server.set.get(name).map(String::as_str));
        let value = match (def, text) {
            (Some(def), Some(text)) => def.read(text).ok(),
            (Some(def), None) => def.default.map(str::to_owned),
            (None, _) => None,
        };
        let synonyms = self.synonyms(name);
        Described {
            name: name.to_owned(),
            value: value.filter(|_| !is_sensitive),
            source: synonyms.first().map_or(Source::Default, |first| first.source),
            kind: def.map(|def| def.kind),
            is_read_only: !matches!(
                broker::find(name).map(|def| def.scope),
                Some(Scope::PerBroker | Scope::ClusterWide)
            ),
            is_sensitive,
            synonyms,
            documentation: def.map(documentation),
        }
    }

    /// All settings of what the broker key `name` sets, the most specific first.
    fn synonyms(&self, name: &str) -> Vec<DescribedSynonym> {
        let base = broker::find_base(name);
        let is_sensitive = base.is_none_or(Def::is_sensitive);
        let names: Vec<&str> = match (broker::same_in_other_units(name), base) {
            (Some(same), _) => same.iter().map(|synonym| synonym.name).collect(),
            (None, Some(base)) if base.name != name => vec![name, base.name],
            _ => vec![name],
        };
        let texts = |source| {
            names.iter().filter_map(move |&name| {
                let text = match source {
                    Source::Broker => self.broker.get(name)?.to_string(),
                    Source::ClusterWide => self.cluster.get(name)?.to_string(),
                    Source::Static => self.server.set.get(name)?.clone(),
                    _ => broker::find(name)?.default?.to_owned(),
                };
                let value = Some(text).filter(|_| !is_sensitive);
                Some(DescribedSynonym { name: name.to_owned(), value, source })
            })
        };
        [Source::Broker, Source::ClusterWide, Source::Static, Source::Default]
            .into_iter()
            .flat_map(texts)
            .skip_while(|synonym| synonym.name != name)
            .collect()
    }
}

/// A key of a topic or of a group, without its synonyms and documentation.
fn row(def: &'static Def, Effective { value, source }: Effective) -> Described {
    Described {
        name: def.name.to_owned(),
        value,
        source,
        kind: Some(def.kind),
        is_read_only: false,
        is_sensitive: def.is_sensitive(),
        synonyms: Vec::new(),
        documentation: None,
    }
}

pub(crate) fn documentation(def: &Def) -> String {
    let note = match def.effect {
        Effect::Acts => "",
        Effect::Moot => " It has no effect in Ottla, which has nothing of the kind.",
        Effect::Later => " It has no effect in Ottla yet.",
        Effect::Refused => " Ottla does not support it yet and refuses to start with it.",
    };
    format!("{}{note}", def.doc)
}

#[cfg(test)]
mod tests;
