//! The cluster's metadata: what it is ([`Image`]) and who changes it ([`Controller`]).
//!
//! Everything a cluster agrees on (topics, partitions and their leaders, configs, which nodes there are) is a log of
//! records, `__cluster_metadata`. The controller decides and writes records; each broker applies those that are committed
//! to an image of its own. So there is one history, a node that was away reads what it missed, and nobody asks anybody.
//! Records are Kafka's, byte for byte and in Kafka's order, at the level 4.3-IV0 of `metadata.version`.
//!
//! Where Ottla departs from Kafka 4.3:
//! - Fewer [`features`] are finalised in a new log: only levels that work here. The next start finalises those on which a
//!   log says nothing.
//! - No `NO_OP_RECORD` every 500 ms: an idle cluster writes nothing. Kafka's are read.
//! - A start after a crash fences the lost registration and makes the new one in one batch; Kafka lets a session time out
//!   between the two. Only one process can hold the data directory, so there is nobody to wait for.
//! - Records that Ottla does not act on are kept ([`image::Kept`]); a log that holds ACLs is not served ([`takeover`]).
//! - Two new topics of one request may not collide with one another either.
//! - Answers stand in the order of the request, but for topics that CreateTopics names twice.

mod controller;
mod entropy;
pub mod features;
pub mod image;
mod record;
pub mod snapshot;
pub mod takeover;
pub mod topic_name;

pub use controller::{
    AlterConfigs, Bootstrap, Command, Controller, CreateInternalTopic, CreateTopics, IncrementalAlterConfigs, Reply,
    State,
};
pub use entropy::Entropy;
pub use image::{ApplyError, Broker, Brokers, ConfigResource, Image, Partition, Topic};
pub use record::{Record, RecordError};
