//! The configuration of a group: what was set for it, beside what the brokers' keys say of all groups.
//!
//! A broker key gives the default of a group key, and two others the range in which a group may depart from it
//! ([`GovernedBy`](crate::key::GovernedBy)). Those may change with a restart, so a value that was good when it was set may be
//! out of range today. It is kept and shown as it was set, and what counts is the nearest value in the range.

use std::sync::Arc;

use crate::broker::groups::{GROUP_CONSUMER_ASSIGNORS, GROUP_COORDINATOR_REBALANCE_PROTOCOLS};
use crate::describe::Source;
use crate::group::{self, consumer::*, share::*, streams::*};
use crate::key::{Def, GovernedBy, Key};
use crate::report::ConfigError;
use crate::server::{Effective, ServerConfig};
use crate::server_layers::ServerLayers;
use crate::topic_config::Overrides;
use crate::value::Value;

/// Everything that has a say in the configuration of one group.
#[derive(Clone, Copy, Debug)]
pub struct GroupLayers<'a> {
    pub group: &'a Overrides,
    pub server: ServerLayers<'a>,
}

/// The settings of a group that act in this version, each named after its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    pub consumer_session_timeout_ms: i32,
    pub consumer_heartbeat_interval_ms: i32,
    pub consumer_assignment_interval_ms: i32,
}

/// Why a group cannot have a configuration: Kafka's `INVALID_CONFIG`, with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupConfigError {
    #[error("{0} is not a group config")]
    Unknown(Arc<str>),
    #[error("{key} = {value}: {expected}")]
    BadValue { key: Arc<str>, value: Arc<str>, expected: String },
    #[error("{key} = {value} is less than {min_key} = {min}")]
    TooSmall { key: &'static str, value: i64, min_key: &'static str, min: i64 },
    #[error("{key} = {value} is more than {max_key} = {max}")]
    TooLarge { key: &'static str, value: i64, max_key: &'static str, max: i64 },
    /// A member would be removed between two heartbeats.
    #[error("{session_key} = {session_ms} is not more than {heartbeat_key} = {heartbeat_ms}")]
    SessionTimeout { session_key: &'static str, session_ms: i32, heartbeat_key: &'static str, heartbeat_ms: i32 },
}

/// The timeout and the interval that each kind of groups has.
const SESSIONS: [(Key<i32>, Key<i32>); 3] = [
    (CONSUMER_SESSION_TIMEOUT_MS, CONSUMER_HEARTBEAT_INTERVAL_MS),
    (SHARE_SESSION_TIMEOUT_MS, SHARE_HEARTBEAT_INTERVAL_MS),
    (STREAMS_SESSION_TIMEOUT_MS, STREAMS_HEARTBEAT_INTERVAL_MS),
];

/// Kafka's own, which are the two there are here.
const ASSIGNORS: [&str; 2] = ["uniform", "range"];

impl GroupLayers<'_> {
    /// Checks all settings of this group, beside what the brokers' keys say.
    pub fn check(&self) -> Result<(), GroupConfigError> {
        if let Some(key) = self.group.keys().find(|key| group::find(key).is_none()) {
            return Err(GroupConfigError::Unknown(key.clone()));
        }
        for (key, value) in self.group {
            if let Some(Err(bad)) = group::find(key).map(|def| def.read(value)) {
                let (key, value) = (key.clone(), value.clone());
                return Err(GroupConfigError::BadValue { key, value, expected: bad.to_string() });
            }
        }
        for def in group::all().filter(|def| self.group.contains_key(def.name)) {
            self.check_range(def)?;
        }
        for (session, heartbeat) in SESSIONS {
            let (session_key, heartbeat_key) = (session.name, heartbeat.name);
            // The defaults of both were good at the start.
            if !self.group.contains_key(session_key) && !self.group.contains_key(heartbeat_key) {
                continue;
            }
            let (session_ms, heartbeat_ms) = (self.get(session), self.get(heartbeat));
            if session_ms <= heartbeat_ms {
                let error = GroupConfigError::SessionTimeout { session_key, session_ms, heartbeat_key, heartbeat_ms };
                return Err(error);
            }
        }
        Ok(())
    }

    fn check_range(&self, def: &'static Def) -> Result<(), GroupConfigError> {
        let Some(value) = self.effective(def).value.and_then(|text| text.parse().ok()) else { return Ok(()) };
        let Range { min, max } = self.range(def);
        let key = def.name;
        match (min, max) {
            (Some((min_key, min)), _) if value < min => Err(GroupConfigError::TooSmall { key, value, min_key, min }),
            (_, Some((max_key, max))) if value > max => Err(GroupConfigError::TooLarge { key, value, max_key, max }),
            _ => Ok(()),
        }
    }

    pub fn config(&self) -> GroupConfig {
        GroupConfig {
            consumer_session_timeout_ms: self.get(CONSUMER_SESSION_TIMEOUT_MS),
            consumer_heartbeat_interval_ms: self.get(CONSUMER_HEARTBEAT_INTERVAL_MS),
            consumer_assignment_interval_ms: self.get(CONSUMER_ASSIGNMENT_INTERVAL_MS),
        }
    }

    /// The value that acts.
    fn get(&self, key: Key<i32>) -> i32 {
        let def = group::find(key.name).expect("every constant stands in a table");
        let value = i32::of(self.effective(def).value.as_deref());
        let Range { min, max } = self.range(def);
        let value = max.map_or(value.into(), |(_, max)| max.min(value.into()));
        let value = min.map_or(value, |(_, min)| min.max(value));
        value.try_into().expect("the limits of an int are ints")
    }

    /// The value that was set, and who set it.
    pub(crate) fn effective(&self, def: &'static Def) -> Effective {
        if let Some(value) = self.group.get(def.name).and_then(|text| def.read(text).ok()) {
            return Effective { value: Some(value), source: Source::Group };
        }
        let default = || Effective { value: def.default.map(str::to_owned), source: Source::Default };
        let key = group::governed_by(def).default;
        key.and_then(|key| self.server.effective(key)).unwrap_or_else(default)
    }

    fn range(&self, def: &Def) -> Range {
        let GovernedBy { min, max, .. } = group::governed_by(def);
        let limit = |key: &'static str| Some((key, number(self.server.server, key)?));
        Range { min: min.and_then(limit), max: max.and_then(limit) }
    }
}

/// What a group may be given, with the broker keys that say so.
struct Range {
    min: Option<(&'static str, i64)>,
    max: Option<(&'static str, i64)>,
}

/// The value of a broker key that is a number.
fn number(server: &ServerConfig, key: &str) -> Option<i64> {
    server.value(key)?.parse().ok()
}

/// Each default is in its range; and what names protocols and assignors names those that there are.
pub(crate) fn check_server(server: &ServerConfig, errors: &mut Vec<ConfigError>) {
    if !server.get(GROUP_COORDINATOR_REBALANCE_PROTOCOLS).iter().any(|protocol| protocol == "classic") {
        errors.push(ConfigError::conflict(
            GROUP_COORDINATOR_REBALANCE_PROTOCOLS.name,
            "the classic protocol cannot be left out",
        ));
    }
    for name in server.get(GROUP_CONSUMER_ASSIGNORS) {
        if !ASSIGNORS.contains(&&*name) {
            let why = format!("`{name}` is none of {}; Ottla does not run classes of its own", ASSIGNORS.join(", "));
            errors.push(ConfigError::conflict(GROUP_CONSUMER_ASSIGNORS.name, why));
        }
    }
    let none = Overrides::new();
    let layers = GroupLayers { group: &none, server: ServerLayers::of(server) };
    let before = errors.len();
    group::all().for_each(|def| check_default(&layers, def, errors));
    if errors.len() > before {
        return;
    }
    for (session, heartbeat) in SESSIONS {
        let broker_key = |name: &str| group::find(name).and_then(|def| group::governed_by(def).default);
        let keys = broker_key(session.name).zip(broker_key(heartbeat.name));
        let (session_key, heartbeat_key) = keys.expect("every session has a default of the brokers'");
        let (session_ms, heartbeat_ms) = (layers.get(session), layers.get(heartbeat));
        if session_ms <= heartbeat_ms {
            let why = format!("{heartbeat_ms} is not less than {session_key} = {session_ms}");
            errors.push(ConfigError::conflict(heartbeat_key, why));
        }
    }
}

fn check_default(layers: &GroupLayers<'_>, def: &'static Def, errors: &mut Vec<ConfigError>) {
    let Some(key) = group::governed_by(def).default else { return };
    let Some(default) = number(layers.server.server, key) else { return };
    match layers.range(def) {
        Range { min: Some((min_key, min)), max: Some((max_key, max)) } if min > max => {
            errors.push(ConfigError::conflict(max_key, format!("{max} is less than {min_key} = {min}")));
        }
        Range { min: Some((min_key, min)), .. } if default < min => {
            errors.push(ConfigError::conflict(key, format!("{default} is less than {min_key} = {min}")));
        }
        Range { max: Some((max_key, max)), .. } if default > max => {
            errors.push(ConfigError::conflict(key, format!("{default} is more than {max_key} = {max}")));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
