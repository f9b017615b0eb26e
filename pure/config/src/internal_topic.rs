//! The topics in which brokers keep their own state, as the server's configuration has them made.

use crate::broker::groups::*;
use crate::server::ServerConfig;
use crate::topic_config::Overrides;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTopic {
    pub partition_count: i32,
    pub replication_factor: ReplicationFactor,
    pub configs: Overrides,
}

/// How many replicas each partition has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicationFactor {
    /// So many were asked for; with fewer brokers the topic is not made.
    Exactly(i16),
    /// Nobody has said: as many as there are brokers, and this at most.
    UpTo(i16),
}

impl ServerConfig {
    /// `__consumer_offsets`: groups and the offsets that they have committed.
    pub fn offsets_topic(&self) -> InternalTopic {
        let replicas = self.get(OFFSETS_TOPIC_REPLICATION_FACTOR);
        let is_set = self.is_set(&OFFSETS_TOPIC_REPLICATION_FACTOR);
        let segment_bytes = self.get(OFFSETS_TOPIC_SEGMENT_BYTES).to_string();
        let config = |key: &str, value: &str| (key.into(), value.into());
        InternalTopic {
            partition_count: self.get(OFFSETS_TOPIC_NUM_PARTITIONS),
            replication_factor: if is_set {
                ReplicationFactor::Exactly(replicas)
            } else {
                ReplicationFactor::UpTo(replicas)
            },
            configs: Overrides::from([
                config("cleanup.policy", "compact"),
                config("compression.type", "producer"),
                config("segment.bytes", &segment_bytes),
            ]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server_layers::ServerLayers;
    use crate::topic_config::TopicLayers;

    fn check(file: &str, partition_count: i32, replication_factor: ReplicationFactor, segment_bytes: &str) {
        let (server, _) = ServerConfig::load(Some(file), &[]).unwrap();
        let topic = server.offsets_topic();
        assert_eq!(TopicLayers { topic: &topic.configs, server: ServerLayers::of(&server) }.check(), Ok(()));
        assert_eq!((topic.partition_count, topic.replication_factor), (partition_count, replication_factor));
        let configs: Vec<_> = topic.configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let segment_bytes = format!("segment.bytes={segment_bytes}");
        assert_eq!(configs, ["cleanup.policy=compact", "compression.type=producer", &segment_bytes]);
    }

    #[test]
    fn the_topic_of_offsets_is_made_as_the_server_says() {
        check("", 50, ReplicationFactor::UpTo(3), "104857600");
        check("offsets.topic.replication.factor=3", 50, ReplicationFactor::Exactly(3), "104857600");
        check(
            "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=7\noffsets.topic.segment.bytes=2000000",
            7,
            ReplicationFactor::Exactly(1),
            "2000000",
        );
    }
}
