//! The configuration of a broker that runs: what was set for it and for all brokers, over what it was started with.
//!
//! Dynamic settings are in the metadata log, those of one broker and those of all ("cluster-wide"). The more specific goes
//! first: the broker's, the cluster's, the server's own file, the default.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use crate::broker;
use crate::broker::log::CORDONED_LOG_DIRS;
use crate::broker::network::{MAX_CONNECTIONS_PER_IP, MAX_CONNECTIONS_PER_IP_OVERRIDES};
use crate::describe::Source;
use crate::key::{Def, Effect, Key, Scope};
use crate::report::Warning;
use crate::server::{Effective, ServerConfig, parse_overrides_per_ip, unknown_dir};
use crate::topic_config::{Overrides, TopicLayers};
use crate::value::Value;

/// Everything that has a say in the configuration of one broker.
#[derive(Clone, Copy, Debug)]
pub struct ServerLayers<'a> {
    /// The dynamic settings of this broker.
    pub broker: &'a Overrides,
    /// The dynamic settings of all brokers: those of the broker resource with the empty name.
    pub cluster: &'a Overrides,
    pub server: &'a ServerConfig,
}

/// For whom a dynamic setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    OneBroker,
    AllBrokers,
}

/// Why brokers cannot have a dynamic configuration: Kafka's `INVALID_REQUEST`, with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerConfigError {
    #[error("{0} can only be set in the configuration that the broker is started with")]
    ReadOnly(String),
    #[error("{0} can only be set for one broker")]
    PerBroker(String),
    #[error("{key} = {value}: {expected}")]
    BadValue { key: String, value: String, expected: String },
    #[error("{key} = {value}: Ottla does not give this yet")]
    Refused { key: String, value: String },
    #[error("{key} = {value}: Ottla cannot change this while it runs yet")]
    AtStart { key: String, value: String },
    #[error("{key} {why}")]
    Conflict { key: String, why: String },
}

static NONE: Overrides = Overrides::new();

impl<'a> ServerLayers<'a> {
    /// Those of a server for which nothing was set since it was started.
    pub fn of(server: &'a ServerConfig) -> ServerLayers<'a> {
        ServerLayers { broker: &NONE, cluster: &NONE, server }
    }

    /// The directories among those of the data that get no new partitions.
    pub fn cordoned_log_dirs(&self) -> Vec<String> {
        let (cordoned, all) = (self.get(CORDONED_LOG_DIRS), self.server.log_dirs());
        if cordoned == ["*"] { all } else { cordoned }
    }

    /// `max.connections.per.ip.overrides`
    pub fn connections_per_ip_overrides(&self) -> BTreeMap<IpAddr, i32> {
        parse_overrides_per_ip(&self.get(MAX_CONNECTIONS_PER_IP_OVERRIDES)).0
    }

    pub fn get<T: Value>(&self, key: Key<T>) -> T {
        let default = || broker::find(key.name).and_then(|def| def.default).map(str::to_owned);
        T::of(self.effective(key.name).map_or_else(default, |effective| effective.value).as_deref())
    }

    /// The value of a broker key that counts, and who gave it; `None` if nobody has.
    pub(crate) fn effective(&self, name: &str) -> Option<Effective> {
        let def = broker::find(name)?;
        let (value, source) = [
            (self.broker.get(name).map(|text| &**text), Source::Broker),
            (self.cluster.get(name).map(|text| &**text), Source::ClusterWide),
            (self.server.set.get(name).map(String::as_str), Source::Static),
            (def.default, Source::Default),
        ]
        .into_iter()
        .find_map(|(text, source)| Some((def.read(text?).ok()?, source)))?;
        Some(Effective { value: Some(value), source })
    }

    /// Checks settings that are to be given to `target`, and are in these layers already. A key that nobody knows may be a
    /// plugin's: it is kept, as by Kafka.
    pub fn check<'k>(
        &self,
        target: Target,
        new: impl Iterator<Item = (&'k str, &'k str)>,
    ) -> Result<(), BrokerConfigError> {
        let mut keys = BTreeSet::new();
        for (key, value) in new {
            check_one(target, key, value)?;
            keys.insert(key);
        }
        if let Some(dir) = unknown_dir(&self.get(CORDONED_LOG_DIRS), &self.server.log_dirs()) {
            let (key, why) =
                (CORDONED_LOG_DIRS.name.to_owned(), format!("names {dir}, which is no log directory here"));
            return Err(BrokerConfigError::Conflict { key, why });
        }
        let (overrides, wrong) = parse_overrides_per_ip(&self.get(MAX_CONNECTIONS_PER_IP_OVERRIDES));
        if let Some(why) = wrong.into_iter().next() {
            return Err(BrokerConfigError::Conflict { key: MAX_CONNECTIONS_PER_IP_OVERRIDES.name.to_owned(), why });
        }
        if self.get(MAX_CONNECTIONS_PER_IP) == 0 && overrides.is_empty() {
            let key = MAX_CONNECTIONS_PER_IP.name.to_owned();
            let why = format!("of 0 lets nobody in without {}", MAX_CONNECTIONS_PER_IP_OVERRIDES.name);
            return Err(BrokerConfigError::Conflict { key, why });
        }
        // What is set for all must be good also where one broker has something else.
        let server = match target {
            Target::OneBroker => *self,
            Target::AllBrokers => ServerLayers { broker: &NONE, ..*self },
        };
        match (TopicLayers { topic: &NONE, server }).bad_defaults().find(|(key, _)| keys.contains(key)) {
            Some((key, why)) => Err(BrokerConfigError::Conflict { key: key.to_owned(), why }),
            None => Ok(()),
        }
    }
}

impl ServerLayers<'_> {
    /// What was set while the broker runs and does nothing in this version.
    pub fn without_effect(&self) -> Option<Warning> {
        let is_idle =
            |key: &str| broker::find_base(key).is_some_and(|def| matches!(def.effect, Effect::Moot | Effect::Later));
        let set = self.broker.keys().chain(self.cluster.keys());
        let keys: Vec<_> = set.filter(|key| is_idle(key)).map(|key| key.to_string()).collect();
        (!keys.is_empty()).then_some(Warning::WithoutEffect { keys })
    }
}

fn check_one(target: Target, key: &str, value: &str) -> Result<(), BrokerConfigError> {
    let Some(def) = broker::find_base(key) else { return Ok(()) };
    // A key for one listener belongs to one broker, whatever it is without the listener.
    let scope = if def.name == key { def.scope } else { Scope::PerBroker };
    let (key, text) = (key.to_owned(), value.to_owned());
    match scope {
        Scope::PerBroker if target == Target::AllBrokers => return Err(BrokerConfigError::PerBroker(key)),
        Scope::PerBroker | Scope::ClusterWide => {}
        _ => return Err(BrokerConfigError::ReadOnly(key)),
    }
    match def.read(value) {
        Err(bad) => Err(BrokerConfigError::BadValue { key, value: text, expected: bad.to_string() }),
        Ok(canonical) if def.refuses(&canonical) => Err(BrokerConfigError::Refused { key, value: text }),
        Ok(_) if is_read_at_start(def, &key) => Err(BrokerConfigError::AtStart { key, value: text }),
        Ok(_) => Ok(()),
    }
}

/// Listeners, which Kafka opens and closes, and what is for one of them: here nothing would come of it.
fn is_read_at_start(def: &Def, key: &str) -> bool {
    let is_of_listeners = def.scope == Scope::PerBroker && def.name != CORDONED_LOG_DIRS.name || key != def.name;
    is_of_listeners && def.effect == Effect::Acts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::LOG_CLEANER_THREADS;

    fn overrides(text: &str) -> Overrides {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key.into(), value.into())).collect()
    }

    #[test]
    fn the_nearest_layer_counts() {
        let check = |broker: &str, cluster: &str, server: &str, expected: i32| {
            let (broker, cluster) = (overrides(broker), overrides(cluster));
            let (server, _) = ServerConfig::load(Some(server), &[]).unwrap();
            let layers = ServerLayers { broker: &broker, cluster: &cluster, server: &server };
            assert_eq!(layers.get(LOG_CLEANER_THREADS), expected);
        };
        check("", "", "", 1);
        check("", "", "log.cleaner.threads=2", 2);
        check("", "log.cleaner.threads=3", "log.cleaner.threads=2", 3);
        check("log.cleaner.threads=4", "log.cleaner.threads=3", "log.cleaner.threads=2", 4);
        check("log.cleaner.threads=x", "log.cleaner.threads=3", "", 3);
    }

    #[test]
    fn what_cannot_be_changed_or_would_be_wrong_is_refused() {
        let (server, _) = ServerConfig::load(None, &[]).unwrap();
        let check = |target, key: &str, value: &str, expected: &str| {
            let (set, none) = (overrides(&format!("{key}={value}")), Overrides::new());
            let (broker, cluster) = match target {
                Target::OneBroker => (&set, &none),
                Target::AllBrokers => (&none, &set),
            };
            let layers = ServerLayers { broker, cluster, server: &server };
            let outcome = layers.check(target, [(key, value)].into_iter());
            assert_eq!(outcome.err().map_or(String::new(), |error| error.to_string()), expected, "{key} {value}");
        };
        use Target::*;
        check(AllBrokers, "log.retention.ms", "5", "");
        check(OneBroker, "log.retention.ms", "5", "");
        check(AllBrokers, "log.retention.ms", "0", "log.retention.ms makes retention.ms = 0, which keeps nothing");
        check(AllBrokers, "log.cleaner.threads", "x", "log.cleaner.threads = x: not an int in [0,...]");
        check(AllBrokers, "some.plugin", "x", "");
        let read_only = "log.dirs can only be set in the configuration that the broker is started with";
        check(OneBroker, "log.dirs", "/tmp", read_only);
        let one = "ssl.keystore.location can only be set for one broker";
        check(AllBrokers, "ssl.keystore.location", "/k", one);
        check(OneBroker, "ssl.keystore.location", "/k", "ssl.keystore.location = /k: Ottla does not give this yet");
        check(AllBrokers, "max.connections", "5", "");
        check(AllBrokers, "group.consumer.assignment.interval.ms", "5", "");
        check(AllBrokers, "max.connections.per.ip.overrides", "127.0.0.1:5", "");
        let wrong =
            "max.connections.per.ip.overrides `host:5` is not address:count; Ottla takes IP addresses, no host names";
        check(AllBrokers, "max.connections.per.ip.overrides", "host:5", wrong);
        let nobody = "max.connections.per.ip of 0 lets nobody in without max.connections.per.ip.overrides";
        check(AllBrokers, "max.connections.per.ip", "0", nobody);
        let of_a_listener = "listener.name.plaintext.max.connections = 5: Ottla cannot change this while it runs yet";
        check(OneBroker, "listener.name.plaintext.max.connections", "5", of_a_listener);
        check(
            OneBroker,
            "listeners",
            "PLAINTEXT://:1",
            "listeners = PLAINTEXT://:1: Ottla cannot change this while it runs yet",
        );
        check(OneBroker, "cordoned.log.dirs", "./ottla-data", "");
        check(OneBroker, "cordoned.log.dirs", "*", "");
        check(OneBroker, "cordoned.log.dirs", "/b", "cordoned.log.dirs names /b, which is no log directory here");
        check(AllBrokers, "cordoned.log.dirs", "*", "cordoned.log.dirs can only be set for one broker");
    }

    #[test]
    fn what_has_no_effect_is_named() {
        let server = ServerConfig::load(None, &[]).unwrap().0;
        let (broker, cluster) =
            (overrides("num.io.threads=9 log.cleaner.threads=2"), overrides("background.threads=3"));
        let named = |broker, cluster| ServerLayers { broker, cluster, server: &server }.without_effect();
        let keys = ["num.io.threads", "background.threads"].map(str::to_owned).to_vec();
        assert_eq!(named(&broker, &cluster), Some(Warning::WithoutEffect { keys }));
        assert_eq!(named(&overrides("log.retention.ms=5"), &Overrides::new()), None);
    }
}
