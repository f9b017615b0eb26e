//! The settings that requests look at, read once at the start.

use ottla_config::{ServerConfig, keys};

#[derive(Clone, Debug)]
pub struct Settings {
    /// `auto.create.topics.enable`
    pub auto_create_topics: bool,
    /// `delete.topic.enable`
    pub delete_topics: bool,
    /// `fetch.max.bytes`, and less than an answer can hold.
    pub fetch_bytes_max: usize,
    /// `max.request.partition.size.limit`
    pub described_partitions_max: i32,
    /// Whether `group.coordinator.rebalance.protocols` has the consumer protocol.
    pub consumer_groups: bool,
    /// `transaction.max.timeout.ms`
    pub transaction_ms_max: i32,
}

/// The size of an answer is an i32, and what it says of partitions needs room too.
const ANSWER_RECORDS_BYTES_MAX: usize = 1 << 30;

impl Settings {
    pub fn of(config: &ServerConfig) -> Settings {
        Settings {
            auto_create_topics: config.get(keys::AUTO_CREATE_TOPICS_ENABLE),
            delete_topics: config.get(keys::DELETE_TOPIC_ENABLE),
            fetch_bytes_max: usize::try_from(config.get(keys::FETCH_MAX_BYTES))
                .unwrap_or(0)
                .min(ANSWER_RECORDS_BYTES_MAX),
            described_partitions_max: config.get(keys::MAX_REQUEST_PARTITION_SIZE_LIMIT),
            consumer_groups: config
                .get(keys::GROUP_COORDINATOR_REBALANCE_PROTOCOLS)
                .iter()
                .any(|name| &**name == "consumer"),
            transaction_ms_max: config.get(keys::TRANSACTION_MAX_TIMEOUT_MS),
        }
    }
}
