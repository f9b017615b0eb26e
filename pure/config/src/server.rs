//! The configuration of a server: what a file and the command line say, checked as a whole.

use core::net::IpAddr;
use std::collections::BTreeMap;

use crate::broker::groups::OFFSETS_TOPIC_COMPRESSION_CODEC;
use crate::broker::log::{CORDONED_LOG_DIRS, LOG_DIR, LOG_DIRS, METADATA_LOG_DIR};
use crate::broker::network::*;
use crate::broker::node::{BROKER_ID, NODE_ID, PROCESS_ROLES};
use crate::broker::ottla::OTTLA_HTTP_LISTENER;
use crate::broker::quorum::*;
use crate::broker::security::OF_THE_AUTHORIZER;
use crate::broker::{find, find_base, meant_by};
use crate::describe::Source;
use crate::group_config;
use crate::key::{Effect, Key};
use crate::listeners::{Listeners, parse_address};
use crate::properties;
use crate::report::{ConfigError, ConfigErrors, Place, Warning};
use crate::server_layers::{ServerLayers, acts_for_a_listener};
use crate::topic_config::check_server_defaults;
use crate::value::Value;

/// Every setting of one server. It has been checked: reading a key cannot fail.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// What was set, as it was written; keys that nobody knows among it.
    pub(crate) set: BTreeMap<String, String>,
    pub(crate) listeners: Listeners,
}

impl ServerConfig {
    /// Reads the text of a `server.properties`, if there is one, and then `overrides` (name and value), which win.
    pub fn load(
        file: Option<&str>,
        overrides: &[(String, String)],
    ) -> Result<(ServerConfig, Vec<Warning>), ConfigErrors> {
        let mut loader = Loader::default();
        for property in properties::parse(file.unwrap_or_default()) {
            match property {
                Ok(property) => loader.write(property.key, property.value, Place::Line(property.line)),
                Err(bad) => loader.errors.push(ConfigError::BadEscape { line: bad.line }),
            }
        }
        for (name, value) in overrides {
            loader.write(name.clone(), value.clone(), Place::CommandLine);
        }
        loader.finish()
    }

    pub fn get<T: Value>(&self, key: Key<T>) -> T {
        T::of(self.value(key.name).as_deref())
    }

    /// Those that it is started with: [`ServerLayers::listeners`] has what was set since.
    pub fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Host and port of `ottla.http.listener`; `None` where it is off.
    pub fn http_listener(&self) -> Option<(String, u16)> {
        parse_address(&self.get(OTTLA_HTTP_LISTENER))
    }

    /// Whether somebody has asked for it, or for none.
    pub fn http_listener_is_set(&self) -> bool {
        self.is_set(&OTTLA_HTTP_LISTENER)
    }

    /// The directories of the data, each once.
    pub fn log_dirs(&self) -> Vec<String> {
        self.get(LOG_DIRS).unwrap_or_else(|| self.get(LOG_DIR))
    }

    /// That of the metadata log, which may be one of the data's.
    pub fn metadata_log_dir(&self) -> String {
        self.get(METADATA_LOG_DIR).unwrap_or_else(|| self.log_dirs().swap_remove(0))
    }

    /// The value of a known key in its canonical form; `None` is null.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let def = find(name)?;
        let written = self.set.get(name).and_then(|text| def.read(text).ok());
        written.or_else(|| def.default.map(str::to_owned))
    }

    pub(crate) fn is_set<T>(&self, key: &Key<T>) -> bool {
        self.set.contains_key(key.name)
    }
}

/// What a key is, and who made it so.
#[derive(Debug, PartialEq)]
pub(crate) struct Effective {
    /// `None` is null.
    pub value: Option<String>,
    pub source: Source,
}

#[derive(Default)]
struct Loader {
    written: BTreeMap<String, (String, Place)>,
    errors: Vec<ConfigError>,
    warnings: Vec<Warning>,
    without_effect: Vec<String>,
}

impl Loader {
    fn write(&mut self, name: String, value: String, place: Place) {
        self.written.insert(name.trim().to_owned(), (value, place));
    }

    fn finish(mut self) -> Result<(ServerConfig, Vec<Warning>), ConfigErrors> {
        let set = self.check_each();
        let mut config = ServerConfig { set, listeners: Listeners::default() };
        self.check_node(&mut config);
        config.listeners = ServerLayers::of(&config).listener_settings().resolve(&mut self.errors);
        self.without_effect.retain(|key| !acts_for_a_listener(key, &config.listeners));
        if !self.without_effect.is_empty() {
            self.warnings.push(Warning::WithoutEffect { keys: std::mem::take(&mut self.without_effect) });
        }
        self.check_overrides_per_ip(&config);
        self.check_quorum(&config);
        self.check_limits(&config);
        self.check_http(&config);
        self.check_codec(&config);
        check_server_defaults(&config, &mut self.errors);
        group_config::check_server(&config, &mut self.errors);
        if self.errors.is_empty() { Ok((config, self.warnings)) } else { Err(ConfigErrors(self.errors)) }
    }

    /// Each setting by itself. Bad ones are left out of the result, so that the checks that follow see no nonsense.
    fn check_each(&mut self) -> BTreeMap<String, String> {
        let mut set = BTreeMap::new();
        for (name, (text, place)) in std::mem::take(&mut self.written) {
            if OF_THE_AUTHORIZER.contains(&name.as_str()) && !text.trim().is_empty() {
                self.errors.push(ConfigError::Unprotected { setting: format!("{name} = {}", text.trim()) });
                continue;
            }
            let Some(def) = find_base(&name) else {
                self.warnings.push(Warning::UnknownKey { key: name.clone(), place, meant: meant_by(&name) });
                set.insert(name, text);
                continue;
            };
            let shown = if def.is_sensitive() { "[hidden]" } else { text.trim() };
            let setting = format!("{name} = {shown}");
            match def.read(&text) {
                Err(bad) => self.errors.push(ConfigError::BadValue { setting, expected: bad.to_string(), place }),
                Ok(value) if def.refuses(&value) => self.errors.push(ConfigError::Unprotected { setting }),
                Ok(_) => {
                    if matches!(def.effect, Effect::Moot | Effect::Later)
                        || name != def.name && def.effect == Effect::Acts
                    {
                        self.without_effect.push(name.clone());
                    }
                    set.insert(name, text);
                }
            }
        }
        set
    }

    /// One process, one number under two names.
    fn check_node(&mut self, config: &mut ServerConfig) {
        if config.get(PROCESS_ROLES).len() != 2 {
            self.conflict(PROCESS_ROLES, "Ottla is broker and controller in one process yet: set broker,controller");
        }
        let dirs = config.log_dirs();
        let key = if config.is_set(&LOG_DIRS) { LOG_DIRS.name } else { LOG_DIR.name };
        if let Some(dir) = unknown_dir(&config.get(CORDONED_LOG_DIRS), &dirs) {
            self.conflict(CORDONED_LOG_DIRS, format!("{dir} is not in {key}"));
        }
        match (config.set.get(NODE_ID.name).cloned(), config.set.get(BROKER_ID.name).cloned()) {
            (None, Some(id)) if config.get(BROKER_ID) >= 0 => {
                config.set.insert(NODE_ID.name.to_owned(), id);
            }
            (Some(id), None) => {
                config.set.insert(BROKER_ID.name.to_owned(), id);
            }
            (None, None) => {}
            _ if config.get(NODE_ID) == config.get(BROKER_ID) => {}
            _ => {
                let why = format!("{} is not {} = {}", config.get(BROKER_ID), NODE_ID.name, config.get(NODE_ID));
                self.conflict(BROKER_ID, why);
            }
        }
    }

    /// `controller.quorum.*` may name this node only.
    fn check_quorum(&mut self, config: &ServerConfig) {
        let voters = config.get(CONTROLLER_QUORUM_VOTERS);
        for voter in &voters {
            let id = voter.split_once('@').and_then(|(id, address)| {
                let (host, _) = parse_address(address)?;
                id.parse::<i32>().ok().filter(|_| !host.is_empty())
            });
            match id {
                None => self.conflict(CONTROLLER_QUORUM_VOTERS, format!("`{voter}` is not id@host:port")),
                Some(id) if id == config.get(NODE_ID) => {}
                Some(_) => {
                    let why = format!("`{voter}` is another node than {}, and Ottla runs one yet", config.get(NODE_ID));
                    self.conflict(CONTROLLER_QUORUM_VOTERS, why);
                }
            }
        }
        let servers = config.get(CONTROLLER_QUORUM_BOOTSTRAP_SERVERS);
        if servers.len() > 1 {
            let why = format!("{} nodes are named, and Ottla runs one yet", servers.len());
            self.conflict(CONTROLLER_QUORUM_BOOTSTRAP_SERVERS, why);
            return;
        }
        let own: Vec<u16> = config.listeners.controller.iter().map(|listener| listener.port).collect();
        for server in &servers {
            match parse_address(server).filter(|(host, _)| !host.is_empty()) {
                None => self.conflict(CONTROLLER_QUORUM_BOOTSTRAP_SERVERS, format!("`{server}` is not host:port")),
                Some((_, port)) if own.contains(&port) || own.contains(&0) => {}
                Some((_, port)) => {
                    let why = format!(
                        "`{server}` is another node (no controller listener has port {port}), and Ottla runs one yet"
                    );
                    self.conflict(CONTROLLER_QUORUM_BOOTSTRAP_SERVERS, why);
                }
            }
        }
    }

    fn check_limits(&mut self, config: &ServerConfig) {
        let (queued, request) = (config.get(QUEUED_MAX_REQUEST_BYTES), config.get(SOCKET_REQUEST_MAX_BYTES));
        if queued > 0 && queued < i64::from(request) {
            let why = format!("{queued} is less than {} = {request}", SOCKET_REQUEST_MAX_BYTES.name);
            self.conflict(QUEUED_MAX_REQUEST_BYTES, why);
        }
        if config.get(MAX_CONNECTIONS_PER_IP) == 0 && !config.is_set(&MAX_CONNECTIONS_PER_IP_OVERRIDES) {
            let why = format!("0 lets nobody in without {}", MAX_CONNECTIONS_PER_IP_OVERRIDES.name);
            self.conflict(MAX_CONNECTIONS_PER_IP, why);
        }
    }

    fn check_http(&mut self, config: &ServerConfig) {
        let address = config.get(OTTLA_HTTP_LISTENER);
        if !address.is_empty() && config.http_listener().is_none() {
            self.conflict(OTTLA_HTTP_LISTENER, format!("`{address}` is not host:port, and not empty"));
        }
    }

    /// Kafka's numbers, of which it says nothing in the bounds of the key.
    fn check_codec(&mut self, config: &ServerConfig) {
        let codec = config.get(OFFSETS_TOPIC_COMPRESSION_CODEC);
        if !(0..=4).contains(&codec) {
            let why = format!("{codec} is none of 0 (none), 1 (gzip), 2 (snappy), 3 (lz4), 4 (zstd)");
            self.conflict(OFFSETS_TOPIC_COMPRESSION_CODEC, why);
        }
    }

    fn check_overrides_per_ip(&mut self, config: &ServerConfig) {
        let (_, wrong) = parse_overrides_per_ip(&config.get(MAX_CONNECTIONS_PER_IP_OVERRIDES));
        wrong.into_iter().for_each(|why| self.conflict(MAX_CONNECTIONS_PER_IP_OVERRIDES, why));
    }

    fn conflict<T>(&mut self, key: Key<T>, why: impl Into<String>) {
        self.errors.push(ConfigError::conflict(key.name, why));
    }
}

/// The limits for single addresses, and what is wrong with others.
pub(crate) fn parse_overrides_per_ip(text: &str) -> (BTreeMap<IpAddr, i32>, Vec<String>) {
    let (mut limits, mut wrong) = (BTreeMap::new(), Vec::new());
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let limit = entry.rsplit_once(':').and_then(|(address, count)| {
            let address = address.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')).unwrap_or(address);
            let count = count.trim().parse().ok().filter(|&count: &i32| count >= 0)?;
            Some((address.trim().parse::<IpAddr>().ok()?.to_canonical(), count))
        });
        match limit {
            Some((address, count)) => _ = limits.insert(address, count),
            None => wrong.push(format!("`{entry}` is not address:count; Ottla takes IP addresses, no host names")),
        }
    }
    (limits, wrong)
}

/// The first of some directories that the server does not have. `*`, by itself, is all that it has.
pub(crate) fn unknown_dir(some: &[String], all: &[String]) -> Option<String> {
    let is_all = matches!(some, [only] if only == "*");
    some.iter().find(|dir| !is_all && !all.contains(dir)).cloned()
}

#[cfg(test)]
mod tests;
