//! Every configuration key once: name, type, default, bounds, scope, effect, documentation.
//!
//! The simple way, a struct of settings with serde, knows only the keys that someone has needed. A Kafka operator
//! brings a `server.properties` of twenty years' habits: a key that we do not know may be a slip or a plugin's, one
//! that we know and ignore may be what keeps strangers out. So **all** keys of Kafka 4.3.1 stand in tables, and each
//! says what it does here ([`Effect`]): it acts, it is kept without effect (one warning names these), or it
//! promises a protection that Ottla does not give yet (the server does not start).
//!
//! - [`broker`], [`topic`], [`group`] and [`client_metrics`] hold the tables, an area a file, a key a block (`src/key.rs` has
//!   the form).
//! - [`ServerConfig::load`] checks a file and a command line as a whole, and reports all errors at once.
//! - [`ServerLayers`] finds a broker's values among what was set while it runs and what it was started with;
//!   [`TopicLayers`] and [`GroupLayers`] those of a topic or a group, which go before them.
//! - [`Described`] is what DescribeConfigs answers.
//!
//! What to run on is read once, at the start or when metadata changes, into typed values: [`ServerConfig::get`] takes
//! one of [`keys`], and a key without a constant there cannot be read.

mod bounds;
pub mod broker;
pub mod client_metrics;
mod describe;
mod duration;
pub mod group;
mod group_config;
mod internal_topic;
mod java_pattern;
mod key;
mod listeners;
mod properties;
mod report;
mod server;
mod server_layers;
pub mod topic;
mod topic_config;
mod value;

pub use bounds::Bounds;
pub use client_metrics::ClientMetricsError;
pub use describe::{Described, DescribedSynonym, Source};
pub use group_config::{GroupConfig, GroupConfigError, GroupLayers};
pub use internal_topic::{InternalTopic, ReplicationFactor};
pub use key::{Def, Effect, GovernedBy, Key, Scope, Synonym};
pub use listeners::{Listener, Listeners};
pub use report::{ConfigError, ConfigErrors, Place, Warning};
pub use server::ServerConfig;
pub use server_layers::{BrokerConfigError, LISTENERS_MAX, ServerLayers, Target, concerns_listeners};
pub use topic_config::{Compression, Overrides, TopicConfig, TopicConfigError, TopicLayers, requested};
pub use value::{Kind, Value};

/// The broker keys that a broker reads by themselves. Listeners, directory and limits per address have methods of
/// [`ServerConfig`], and the defaults of topics are in [`TopicConfig`].
pub mod keys {
    pub use crate::broker::cleanup::*;
    pub use crate::broker::groups::*;
    pub use crate::broker::log::{
        LOG_FLUSH_OFFSET_CHECKPOINT_INTERVAL_MS, LOG_INITIAL_TASK_DELAY_MS, LOG_SEGMENT_DELETE_DELAY_MS,
    };
    pub use crate::broker::message::MESSAGE_MAX_BYTES;
    pub use crate::broker::network::{
        CONNECTIONS_MAX_IDLE_MS, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_IP, QUEUED_MAX_REQUEST_BYTES,
        SOCKET_LISTEN_BACKLOG_SIZE, SOCKET_RECEIVE_BUFFER_BYTES, SOCKET_REQUEST_MAX_BYTES, SOCKET_SEND_BUFFER_BYTES,
    };
    pub use crate::broker::node::{BROKER_RACK, NODE_ID};
    pub use crate::broker::quorum::*;
    pub use crate::broker::replication::NUM_REPLICA_ALTER_LOG_DIRS_THREADS;
    pub use crate::broker::requests::*;
    pub use crate::broker::topics::*;
    pub use crate::broker::transactions::*;
}
