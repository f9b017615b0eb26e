//! The configuration of a broker that runs: what was set for it and for all brokers, over what it was started with.
//!
//! Dynamic settings are in the metadata log, those of one broker and those of all ("cluster-wide"). The more specific goes
//! first: the broker's, the cluster's, the server's own file, the default.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use crate::broker;
use crate::broker::log::CORDONED_LOG_DIRS;
use crate::broker::network::*;
use crate::broker::quorum::CONTROLLER_LISTENER_NAMES;
use crate::describe::Source;
use crate::key::{Effect, Key, Scope};
use crate::listeners::{Listener, Listeners, Settings};
use crate::report::{ConfigError, Warning};
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
    #[error("{key} {why}")]
    Conflict { key: String, why: String },
    #[error(transparent)]
    Listeners(ConfigError),
    #[error(
        "listeners has {to}, and the address of a listener that the broker was started with can only be set in the configuration \
         that it is started with"
    )]
    Moves { to: Listener },
    #[error("{} would change, and can only be set in the configuration that the broker is started with", ADVERTISED_LISTENERS.name)]
    Advertised,
}

/// What is set for one broker while it runs can make it listen at so many addresses: each has a descriptor.
pub const LISTENERS_MAX: usize = 64;

/// Numbers of threads that can be set while the broker runs.
const THREADS: [&str; 6] = [
    "background.threads",
    "log.cleaner.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
];

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

    /// Those that the broker is to listen on now, and what is advertised. A listener that it was started with stays at its address,
    /// as in Kafka, which goes by names; one that was not there at the start is not advertised, even if nobody says what is.
    ///
    /// # Errors
    /// The first thing that is wrong with them: with what is set beside them, or a start with another file.
    pub fn listeners(&self) -> Result<Listeners, ConfigError> {
        let mut errors = Vec::new();
        let mut listeners = self.listener_settings().resolve(&mut errors);
        if !errors.is_empty() {
            return Err(errors.swap_remove(0));
        }
        for listener in listeners.broker.iter_mut().chain(&mut listeners.controller) {
            if let Some(own) = self.started_with(&listener.name) {
                listener.clone_from(own);
            }
        }
        let is_there = |one: &&Listener| listeners.broker.iter().any(|other| other.name == one.name);
        let advertised: Vec<_> = self.server.listeners.advertised.iter().filter(is_there).cloned().collect();
        if advertised.is_empty() {
            let why = "none is advertised, since none is in the configuration that the broker is started with";
            return Err(ConfigError::conflict(LISTENERS.name, why));
        }
        Ok(Listeners { advertised, ..listeners })
    }

    /// The listener of this name that the broker was started with.
    pub fn started_with(&self, name: &str) -> Option<&'a Listener> {
        let Listeners { broker, controller, .. } = &self.server.listeners;
        broker.iter().chain(controller).find(|listener| listener.name == name)
    }

    pub(crate) fn listener_settings(&self) -> Settings {
        Settings {
            listeners: self.get(LISTENERS),
            advertised: self.get(ADVERTISED_LISTENERS),
            protocol_map: self.get(LISTENER_SECURITY_PROTOCOL_MAP),
            protocol_map_is_set: self.is_set(&LISTENER_SECURITY_PROTOCOL_MAP),
            controller_names: self.get(CONTROLLER_LISTENER_NAMES),
            controller_names_are_set: self.is_set(&CONTROLLER_LISTENER_NAMES),
            between_brokers: self.get(INTER_BROKER_LISTENER_NAME),
        }
    }

    /// `max.connections` of one listener: what is set for it goes before what is set for all, whoever has set it.
    pub fn max_connections_of(&self, listener: &Listener) -> i32 {
        let key = listener.key(MAX_CONNECTIONS.name);
        let set = self.set_texts(&key).find_map(|text| text.trim().parse().ok().filter(|count| *count >= 0));
        set.unwrap_or_else(|| self.get(MAX_CONNECTIONS))
    }

    fn is_set<T>(&self, key: &Key<T>) -> bool {
        self.set_texts(key.name).next().is_some()
    }

    /// What was set under a name, the nearest first.
    fn set_texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let dynamic = [self.broker, self.cluster].into_iter().filter_map(|layer| layer.get(name).map(|text| &**text));
        dynamic.chain(self.server.set.get(name).map(String::as_str))
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
    /// Checks listeners that are in these layers already, where those in `before` were good. Which are advertised cannot change
    /// while the broker runs (Kafka's `DynamicListenerConfig`).
    pub fn check_listeners(&self, before: &ServerLayers<'_>) -> Result<(), BrokerConfigError> {
        let listeners = self.listeners().map_err(|error| match error {
            ConfigError::Unprotected { setting } => {
                let (key, value) = setting.split_once(": ").unwrap_or((&setting, ""));
                BrokerConfigError::Refused { key: key.to_owned(), value: value.to_owned() }
            }
            error => BrokerConfigError::Listeners(error),
        })?;
        let texts = self.get(LISTENERS);
        if texts.len() > LISTENERS_MAX {
            let why = format!("are {}, and may be {LISTENERS_MAX}", texts.len());
            return Err(BrokerConfigError::Conflict { key: LISTENERS.name.to_owned(), why });
        }
        let moves = |listener: &Listener| self.started_with(&listener.name).is_some_and(|own| own != listener);
        if let Some(to) = texts.iter().filter_map(|text| Listener::parse(text)).find(moves) {
            return Err(BrokerConfigError::Moves { to });
        }
        let before = before.listeners();
        let before = before.as_ref().unwrap_or(self.server.listeners());
        if before.advertised == listeners.advertised { Ok(()) } else { Err(BrokerConfigError::Advertised) }
    }

    /// Checks that no number of threads grows to more than twice what it was, or shrinks to less than half of it, as Kafka does:
    /// a slip of the finger would show at once.
    pub fn check_threads(&self, before: &ServerLayers<'_>) -> Result<(), BrokerConfigError> {
        for name in THREADS {
            let count = |layers: &ServerLayers<'_>| -> Option<i64> {
                match layers.effective(name) {
                    Some(Effective { value: Some(value), .. }) => value.parse().ok(),
                    _ => None,
                }
            };
            let Some((now, then)) = count(self).zip(count(before)).filter(|(now, then)| now != then) else { continue };
            let why = match () {
                () if now > then * 2 => format!("= {now} is more than twice {then}, what it is now"),
                () if now < then / 2 => format!("= {now} is less than half of {then}, what it is now"),
                () => continue,
            };
            return Err(BrokerConfigError::Conflict { key: name.to_owned(), why });
        }
        Ok(())
    }

    /// What was set while the broker runs and does nothing in this version.
    pub fn without_effect(&self) -> Option<Warning> {
        let resolved = self.listeners();
        let listeners = resolved.as_ref().unwrap_or(self.server.listeners());
        let is_idle = |key: &str| {
            let does_nothing = |effect| matches!(effect, Effect::Moot | Effect::Later);
            let is_for_one = broker::key_of_a_listener(key).is_some();
            broker::find_base(key).is_some_and(|def| does_nothing(def.effect) || is_for_one)
                && !acts_for_a_listener(key, listeners)
        };
        let set = self.broker.keys().chain(self.cluster.keys());
        let keys: Vec<_> = set.filter(|key| is_idle(key)).map(|key| key.to_string()).collect();
        (!keys.is_empty()).then_some(Warning::WithoutEffect { keys })
    }
}

fn check_one(target: Target, key: &str, value: &str) -> Result<(), BrokerConfigError> {
    let def = broker::find_base(key);
    let scope = match broker::key_of_a_listener(key) {
        Some(base) if broker::OF_LISTENERS_OF_ALL_BROKERS.contains(&base) => Scope::ClusterWide,
        // Whatever it is without the listener.
        Some(_) => Scope::PerBroker,
        None => def.map_or(Scope::ClusterWide, |def| def.scope),
    };
    let (key, text) = (key.to_owned(), value.to_owned());
    match scope {
        Scope::PerBroker if target == Target::AllBrokers => return Err(BrokerConfigError::PerBroker(key)),
        Scope::PerBroker | Scope::ClusterWide => {}
        _ => return Err(BrokerConfigError::ReadOnly(key)),
    }
    let Some(def) = def else { return Ok(()) };
    match def.read(value) {
        Err(bad) => Err(BrokerConfigError::BadValue { key, value: text, expected: bad.to_string() }),
        Ok(canonical) if def.refuses(&canonical) => Err(BrokerConfigError::Refused { key, value: text }),
        Ok(canonical) if def.name == MAX_CONNECTIONS.name && canonical == "0" => {
            Err(BrokerConfigError::Conflict { key, why: "of 0 lets nobody in".to_owned() })
        }
        Ok(_) => Ok(()),
    }
}

/// Whether a change of the key is one of listeners, to be checked by [`ServerLayers::check_listeners`].
pub fn concerns_listeners(key: &str) -> bool {
    [LISTENERS.name, LISTENER_SECURITY_PROTOCOL_MAP.name].contains(&key)
}

/// Whether `key` is for one of these listeners, and does something for it.
pub(crate) fn acts_for_a_listener(key: &str, listeners: &Listeners) -> bool {
    listeners.broker.iter().any(|listener| key == listener.key(MAX_CONNECTIONS.name))
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
        for target in [OneBroker, AllBrokers] {
            check(target, "listener.name.plaintext.max.connections", "5", "");
            check(target, "max.connections", "0", "max.connections of 0 lets nobody in");
            let nobody = "listener.name.plaintext.max.connections of 0 lets nobody in";
            check(target, "listener.name.plaintext.max.connections", "0", nobody);
            check(target, "listener.name.nosuch.num.network.threads", "4", "");
            let not_a_number = "listener.name.x.num.network.threads = x: not an int in [1,...]";
            check(target, "listener.name.x.num.network.threads", "x", not_a_number);
        }
        for key in ["connections.max.idle.ms", "node.id", "num.io.threads", "some.thing"]
            .map(|key| format!("listener.name.x.{key}"))
        {
            check(OneBroker, &key, "5", "");
            check(AllBrokers, &key, "5", &format!("{key} can only be set for one broker"));
        }
        check(AllBrokers, "listeners", "PLAINTEXT://:1", "listeners can only be set for one broker");
        let protection = "listener.name.x.ssl.keystore.location = /k: Ottla does not give this yet";
        check(OneBroker, "listener.name.x.ssl.keystore.location", "/k", protection);
        check(OneBroker, "cordoned.log.dirs", "./ottla-data", "");
        check(OneBroker, "cordoned.log.dirs", "*", "");
        check(OneBroker, "cordoned.log.dirs", "/b", "cordoned.log.dirs names /b, which is no log directory here");
        check(AllBrokers, "cordoned.log.dirs", "*", "cordoned.log.dirs can only be set for one broker");
    }

    #[test]
    fn numbers_of_threads_change_by_half_or_double() {
        let (server, _) = ServerConfig::load(Some("log.cleaner.threads=4"), &[]).unwrap();
        let none = Overrides::new();
        let check = |before: &str, after: &str| {
            let (before, after) = (overrides(before), overrides(after));
            let before = ServerLayers { broker: &before, cluster: &none, server: &server };
            let after = ServerLayers { broker: &after, cluster: &none, server: &server };
            after.check_threads(&before).err().map_or(String::new(), |error| error.to_string())
        };
        for good in ["log.cleaner.threads=8", "log.cleaner.threads=2", "num.io.threads=16", "log.retention.ms=1"] {
            assert_eq!(check("", good), "", "{good}");
        }
        assert_eq!(check("", "log.cleaner.threads=9"), "log.cleaner.threads = 9 is more than twice 4, what it is now");
        assert_eq!(
            check("", "log.cleaner.threads=1"),
            "log.cleaner.threads = 1 is less than half of 4, what it is now"
        );
        assert_eq!(check("log.cleaner.threads=8", "log.cleaner.threads=16"), "");
        assert_eq!(check("num.io.threads=16", ""), "");
        assert!(check("num.io.threads=32", "").contains("less than half of 32"));
    }

    #[test]
    fn what_has_no_effect_is_named() {
        let server = ServerConfig::load(None, &[]).unwrap().0;
        let (broker, cluster) =
            (overrides("num.io.threads=9 log.cleaner.threads=2"), overrides("background.threads=3"));
        let named = |broker: &Overrides, cluster: &Overrides| {
            ServerLayers { broker, cluster, server: &server }.without_effect()
        };
        let keys = ["num.io.threads", "background.threads"].map(str::to_owned).to_vec();
        assert_eq!(named(&broker, &cluster), Some(Warning::WithoutEffect { keys }));
        assert_eq!(named(&overrides("log.retention.ms=5"), &Overrides::new()), None);
        let of_listeners = "listener.name.plaintext.max.connections=5 listener.name.PLAINTEXT.max.connections=6 \
                            listener.name.x.max.connections=5 listener.name.plaintext.message.max.bytes=5 \
                            listener.name.plaintext.some.thing=1";
        let keys = [
            "listener.name.PLAINTEXT.max.connections",
            "listener.name.plaintext.message.max.bytes",
            "listener.name.x.max.connections",
        ];
        let keys = keys.map(str::to_owned).to_vec();
        assert_eq!(named(&overrides(of_listeners), &Overrides::new()), Some(Warning::WithoutEffect { keys }));
    }

    #[test]
    fn what_is_set_for_a_listener_goes_first() {
        let check = |broker: &str, cluster: &str, server: &str, expected: i32| {
            let (broker, cluster) = (overrides(broker), overrides(cluster));
            let (server, _) = ServerConfig::load(Some(server), &[]).unwrap();
            let layers = ServerLayers { broker: &broker, cluster: &cluster, server: &server };
            assert_eq!(layers.max_connections_of(&server.listeners().broker[0]), expected);
        };
        const OF_IT: &str = "listener.name.plaintext.max.connections";
        check("", "", "", i32::MAX);
        check("max.connections=2", "", "max.connections=3", 2);
        check("max.connections=2", "", &format!("{OF_IT}=4"), 4);
        check("max.connections=2", &format!("{OF_IT}=5"), &format!("{OF_IT}=4"), 5);
        check(&format!("{OF_IT}=6"), &format!("{OF_IT}=5"), &format!("{OF_IT}=4"), 6);
        check("listener.name.x.max.connections=7", "", "", i32::MAX);
    }

    /// As Kafka 4.3.1 takes and refuses them.
    #[test]
    fn listeners_that_are_advertised_stay() {
        let check = |server: &str, before: &str, after: &str| {
            let (server, _) = ServerConfig::load(Some(server), &[]).unwrap();
            let (before, after, none) = (overrides(before), overrides(after), Overrides::new());
            let before = ServerLayers { broker: &before, cluster: &none, server: &server };
            let after = ServerLayers { broker: &after, cluster: &none, server: &server };
            after.check_listeners(&before).err().map_or(String::new(), |error| error.to_string())
        };
        let fixed = "listeners=PLAINTEXT://h:1,CONTROLLER://h:2\nadvertised.listeners=PLAINTEXT://h:1\n\
                     controller.listener.names=CONTROLLER";
        let two = "listeners=PLAINTEXT://h:1,CONTROLLER://h:2,SECOND://h:3";
        let map = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECOND:PLAINTEXT";
        let both = format!("{two} {map}");
        assert_eq!(check(fixed, "", &both), "");
        assert_eq!(check(fixed, &both, map), "");
        let unknown = "listeners: listener.security.protocol.map has no protocol for listener SECOND";
        assert_eq!(check(fixed, "", two), unknown);
        assert_eq!(check(fixed, &both, two), unknown);
        let moves = |to: &str| {
            format!(
                "listeners has {to}, and the address of a listener that the broker was started with can only be set in the \
                 configuration that it is started with"
            )
        };
        for moved in ["PLAINTEXT://h:9,CONTROLLER://h:2", "CONTROLLER://h:9,PLAINTEXT://h:1"] {
            let to = moved.split(',').next().unwrap();
            assert_eq!(check(fixed, "", &format!("listeners={moved}")), moves(to));
        }
        assert_eq!(check(fixed, "", "listeners=CONTROLLER://h:2,PLAINTEXT://h:1"), "");
        assert_eq!(check(fixed, &both, &both.replace("h:3", "h:4")), "");
        let many: Vec<_> = (0..63).map(|n| format!("N{n}://h:{}", 100 + n)).collect();
        let protocols: Vec<_> = (0..63).map(|n| format!("N{n}:PLAINTEXT")).collect();
        let many = format!("{two},{} {map},{}", many.join(","), protocols.join(","));
        assert_eq!(check(fixed, "", &many), "listeners are 66, and may be 64");
        let none = "advertised.listeners: listeners has no listener PLAINTEXT";
        assert_eq!(check(fixed, "", &format!("listeners=CONTROLLER://h:2,SECOND://h:3 {map}")), none);
        let controller = "controller.listener.names: listeners has no listener CONTROLLER";
        assert_eq!(check(fixed, "", "listeners=PLAINTEXT://h:1"), controller);
        let tls = format!("{two} {}", map.replace("SECOND:PLAINTEXT", "SECOND:SSL"));
        let refused = "listeners = listener SECOND://h:3 uses SSL: Ottla does not give this yet";
        assert_eq!(check(fixed, "", &tls), refused);

        let advertised = "advertised.listeners would change, and can only be set in the configuration that the broker is started with";
        let free = "listeners=PLAINTEXT://h:1,CONTROLLER://h:2\ncontroller.listener.names=CONTROLLER";
        assert_eq!(check(free, "", &both), "");
        assert_eq!(check(free, &both, map), "");
        let not_any_more = format!("listeners=OTHER://h:9,CONTROLLER://h:2 {}", map.replace("SECOND", "OTHER"));
        let three = "listeners=PLAINTEXT://h:1,OTHER://h:5,CONTROLLER://h:2\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,\
                     OTHER:PLAINTEXT,CONTROLLER:PLAINTEXT\ncontroller.listener.names=CONTROLLER";
        assert_eq!(check(three, "", "listeners=PLAINTEXT://h:1,CONTROLLER://h:2"), advertised);
        // What was set before does not go with the file.
        assert_eq!(check(three, "listeners=X://h:1", "listeners=PLAINTEXT://h:1,CONTROLLER://h:2"), advertised);
        assert_eq!(check(three, "", "listeners=OTHER://h:5,CONTROLLER://h:2,PLAINTEXT://h:1"), "");
        assert!(check(free, "", &not_any_more).contains("none is advertised"));
        let nobody =
            "listeners: none is advertised, since none is in the configuration that the broker is started with";
        assert_eq!(check(free, "", &format!("listeners=CONTROLLER://h:2,SECOND://h:3 {map}")), nobody);
    }

    /// As in Kafka: what is set for a broker cannot lock its clients out of it.
    #[test]
    fn a_listener_of_the_file_stays_where_it_is() {
        let (server, _) = ServerConfig::load(Some("listeners=PLAINTEXT://h:1"), &[]).unwrap();
        let map = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SECOND:PLAINTEXT";
        let broker = overrides(&format!("listeners=PLAINTEXT://elsewhere:9,SECOND://h:3 {map}"));
        let none = Overrides::new();
        let listeners = ServerLayers { broker: &broker, cluster: &none, server: &server }.listeners().unwrap();
        let shown = |all: &[Listener]| all.iter().map(Listener::to_string).collect::<Vec<_>>();
        assert_eq!(shown(&listeners.broker), ["PLAINTEXT://h:1", "SECOND://h:3"]);
        assert_eq!(shown(&listeners.advertised), ["PLAINTEXT://h:1"]);
    }
}
