//! How topics come and go.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Creates a topic when a client asks for the metadata of one that does not exist.
    acts AUTO_CREATE_TOPICS_ENABLE: boolean "auto.create.topics.enable" = true, Any, ReadOnly;
    /// Partitions of a topic that is created without saying how many.
    acts NUM_PARTITIONS: int "num.partitions" = 1, AtLeast(1), ReadOnly;
    /// Replicas of a topic that is created without saying how many.
    acts DEFAULT_REPLICATION_FACTOR: int "default.replication.factor" = 1, Any, ReadOnly;
    /// Lets clients delete topics.
    acts DELETE_TOPIC_ENABLE: boolean "delete.topic.enable" = true, Any, ReadOnly;
    /// Class that decides whether a topic may be created.
    refused: class "create.topic.policy.class.name", Any, ReadOnly;
    /// Class that decides whether a config may be changed.
    refused: class "alter.config.policy.class.name", Any, ReadOnly;
}
