//! The configuration of a topic: what was set for it, what was set for all brokers, what the server was started with.
//!
//! A topic key that is not set takes its value from broker keys ([`Scope::Topic`](crate::key::Scope)), some of them
//! in other units. So a topic's value is found by asking from the most specific to the most general: the topic
//! itself, then each synonym in turn, in all layers of a broker's configuration ([`ServerLayers`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::describe::Source;
use crate::key::{Def, Key, Synonym};
use crate::report::ConfigError;
use crate::server::{Effective, ServerConfig};
use crate::server_layers::ServerLayers;
use crate::topic::{self, cleanup::*, log::*, message::*, replication::*};
use crate::value::Value;

/// Settings of one resource, name to value, as they were sent and as the metadata log keeps them.
pub type Overrides = BTreeMap<Arc<str>, Arc<str>>;

/// Everything that has a say in the configuration of one topic.
#[derive(Clone, Copy, Debug)]
pub struct TopicLayers<'a> {
    pub topic: &'a Overrides,
    pub server: ServerLayers<'a>,
}

/// The settings of a topic that act in this version, each named after its key.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `internal.segment.bytes` if that is set.
    pub segment_bytes: i32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub preallocate: bool,
    pub segment_index_bytes: i32,
    pub index_interval_bytes: i32,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub file_delete_delay_ms: i64,
    pub max_message_bytes: i32,
    /// `message.timestamp.type` is `LogAppendTime`.
    pub log_append_time: bool,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_after_max_ms: i64,
    /// `compact` is in `cleanup.policy`: records need a key.
    pub compact: bool,
    /// `delete` is in `cleanup.policy`.
    pub delete: bool,
    /// `None` keeps records for good.
    pub retention_ms: Option<i64>,
    /// `None` keeps them however many they are.
    pub retention_bytes: Option<u64>,
    pub delete_retention_ms: i64,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub min_insync_replicas: i32,
    /// `compression.type`
    pub compression: Compression,
}

/// How batches are packed in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As their producers packed them.
    Producer,
    None,
    /// With its level: -1 is gzip's own default.
    Gzip(i32),
    Snappy,
    /// With its level.
    Lz4(i32),
    /// With its level.
    Zstd(i32),
}

/// Why a topic cannot have a configuration: Kafka's `INVALID_CONFIG`, with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicConfigError {
    #[error("{0} is not a topic config")]
    Unknown(Arc<str>),
    #[error("{0}: null is not a value")]
    Null(Arc<str>),
    #[error("{key} = {value}: {expected}")]
    BadValue { key: Arc<str>, value: Arc<str>, expected: String },
    #[error("{key} = {value}: Ottla does not give this yet")]
    Refused { key: Arc<str>, value: Arc<str> },
    #[error("min.compaction.lag.ms = {min} is more than max.compaction.lag.ms = {max}")]
    CompactionLag { min: i64, max: i64 },
}

impl TopicLayers<'_> {
    /// Checks the settings of this topic, beside what the other layers say.
    pub fn check(&self) -> Result<(), TopicConfigError> {
        for (key, value) in self.topic {
            let (key, value) = (key.clone(), value.clone());
            let def = topic::find(&key).ok_or_else(|| TopicConfigError::Unknown(key.clone()))?;
            match def.read(&value) {
                Err(bad) => return Err(TopicConfigError::BadValue { key, value, expected: bad.to_string() }),
                Ok(canonical) if def.refuses(&canonical) => return Err(TopicConfigError::Refused { key, value }),
                Ok(_) => {}
            }
        }
        let (min, max) = (self.get(MIN_COMPACTION_LAG_MS), self.get(MAX_COMPACTION_LAG_MS));
        if min > max { Err(TopicConfigError::CompactionLag { min, max }) } else { Ok(()) }
    }

    pub fn config(&self) -> TopicConfig {
        let policies = self.get(CLEANUP_POLICY);
        let has = |policy: &str| policies.iter().any(|other| other == policy);
        TopicConfig {
            segment_bytes: self.get(INTERNAL_SEGMENT_BYTES).unwrap_or_else(|| self.get(SEGMENT_BYTES)),
            segment_ms: self.get(SEGMENT_MS),
            segment_jitter_ms: self.get(SEGMENT_JITTER_MS),
            preallocate: self.get(PREALLOCATE),
            segment_index_bytes: self.get(SEGMENT_INDEX_BYTES),
            index_interval_bytes: self.get(INDEX_INTERVAL_BYTES),
            flush_messages: self.get(FLUSH_MESSAGES),
            flush_ms: self.get(FLUSH_MS),
            file_delete_delay_ms: self.get(FILE_DELETE_DELAY_MS),
            max_message_bytes: self.get(MAX_MESSAGE_BYTES),
            log_append_time: self.get(MESSAGE_TIMESTAMP_TYPE) == "LogAppendTime",
            message_timestamp_before_max_ms: self.get(MESSAGE_TIMESTAMP_BEFORE_MAX_MS),
            message_timestamp_after_max_ms: self.get(MESSAGE_TIMESTAMP_AFTER_MAX_MS),
            compact: has("compact"),
            delete: has("delete"),
            retention_ms: Some(self.get(RETENTION_MS)).filter(|ms| *ms >= 0),
            retention_bytes: u64::try_from(self.get(RETENTION_BYTES)).ok(),
            delete_retention_ms: self.get(DELETE_RETENTION_MS),
            min_cleanable_dirty_ratio: self.get(MIN_CLEANABLE_DIRTY_RATIO),
            min_compaction_lag_ms: self.get(MIN_COMPACTION_LAG_MS),
            max_compaction_lag_ms: self.get(MAX_COMPACTION_LAG_MS),
            min_insync_replicas: self.get(MIN_INSYNC_REPLICAS),
            compression: match &*self.get(COMPRESSION_TYPE) {
                "uncompressed" => Compression::None,
                "gzip" => Compression::Gzip(self.get(COMPRESSION_GZIP_LEVEL)),
                "snappy" => Compression::Snappy,
                "lz4" => Compression::Lz4(self.get(COMPRESSION_LZ4_LEVEL)),
                "zstd" => Compression::Zstd(self.get(COMPRESSION_ZSTD_LEVEL)),
                _ => Compression::Producer,
            },
        }
    }

    /// Broker keys that give a topic, which has no value of its own, a bad one; and why it is.
    pub(crate) fn bad_defaults(&self) -> impl Iterator<Item = (&'static str, String)> {
        topic::all().filter_map(|def| {
            let value = self.effective(def).value?;
            let problem = match def.read(&value) {
                Err(bad) => bad.to_string(),
                Ok(zero) if def.name == RETENTION_MS.name && zero == "0" => "which keeps nothing".to_owned(),
                Ok(_) => return None,
            };
            let key = topic::synonyms(def).iter().find(|synonym| self.server.effective(synonym.name).is_some())?;
            Some((key.name, format!("makes {} = {value}, {problem}", def.name)))
        })
    }

    fn get<T: Value>(&self, key: Key<T>) -> T {
        let def = topic::find(key.name).expect("every constant stands in a table");
        T::of(self.effective(def).value.as_deref())
    }

    /// The value that counts, and who gave it.
    pub(crate) fn effective(&self, def: &'static Def) -> Effective {
        if let Some(value) = self.topic.get(def.name).and_then(|text| def.read(text).ok()) {
            return Effective { value: Some(value), source: Source::Topic };
        }
        let inherited = topic::synonyms(def).iter().find_map(|synonym| self.inherited(def, *synonym));
        inherited.unwrap_or(Effective { value: def.default.map(str::to_owned), source: Source::Default })
    }

    fn inherited(&self, def: &Def, synonym: Synonym) -> Option<Effective> {
        let Effective { value, source } = self.server.effective(synonym.name)?;
        Some(Effective { value: value.map(|value| converted(def, synonym, value)), source })
    }
}

/// A broker's value as the topic's. Every negative retention means the same there, but only -1 does here.
fn converted(def: &Def, synonym: Synonym, value: String) -> String {
    if synonym.unit == 1 && def.name != RETENTION_MS.name {
        return value;
    }
    let value: i64 = value.parse().expect("keys with a unit are numbers");
    let value = value * synonym.unit;
    if def.name == RETENTION_MS.name { value.max(-1).to_string() } else { value.to_string() }
}

/// What was asked for a new topic, as it is to be kept. Of two values for one key the last counts.
pub fn requested(
    entries: impl IntoIterator<Item = (Arc<str>, Option<Arc<str>>)>,
) -> Result<Overrides, TopicConfigError> {
    entries
        .into_iter()
        .map(|(key, value)| match value {
            Some(value) => Ok((key, value)),
            None => Err(TopicConfigError::Null(key)),
        })
        .collect()
}

/// The server's settings must give every topic key a value in its bounds.
pub(crate) fn check_server_defaults(server: &ServerConfig, errors: &mut Vec<ConfigError>) {
    let none = Overrides::new();
    let layers = TopicLayers { topic: &none, server: ServerLayers::of(server) };
    errors.extend(layers.bad_defaults().map(|(key, why)| ConfigError::conflict(key, why)));
}

#[cfg(test)]
mod tests;
