//! Classic and consumer groups, and the offsets topic.
//!
//! Of consumer groups, an administrator may set some times for one group alone ([`crate::group`]); the keys with `min` and
//! `max` in their name say how far.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Protocols that groups may use: `classic`, which cannot be left out, and `consumer`. Share and Streams groups are not
    /// served yet, whatever is listed here.
    acts GROUP_COORDINATOR_REBALANCE_PROTOCOLS: list "group.coordinator.rebalance.protocols" = "classic,consumer,streams",
        SomeOf(&["consumer", "classic", "share", "streams"]), ReadOnly;
    /// Threads that run the group coordinator.
    moot: int "group.coordinator.threads" = 4, AtLeast(1), ReadOnly;
    /// Threads for the heavy work of the group coordinator, such as matching patterns.
    moot: int "group.coordinator.background.threads" = 2, AtLeast(1), ReadOnly;
    /// Time for which the group coordinator gathers records before it writes them; -1 adapts it to the load.
    moot: int "group.coordinator.append.linger.ms" = -1, AtLeast(-1), ReadOnly;
    /// Largest write buffer that the group coordinator keeps for reuse.
    moot: int "group.coordinator.cached.buffer.max.bytes" = 1048588, AtLeast(524288), ClusterWide;
    /// Time for which a new classic group waits for more members before its first assignment. It begins anew with each
    /// member that comes, up to the rebalance timeout.
    acts GROUP_INITIAL_REBALANCE_DELAY_MS: int "group.initial.rebalance.delay.ms" = 3000, Any, ReadOnly;
    /// Shortest session timeout with which a member may join a classic group.
    acts GROUP_MIN_SESSION_TIMEOUT_MS: int "group.min.session.timeout.ms" = 6000, Any, ReadOnly;
    /// Longest session timeout with which a member may join a classic group.
    acts GROUP_MAX_SESSION_TIMEOUT_MS: int "group.max.session.timeout.ms" = 1800000, Any, ReadOnly;
    /// Members that a classic group may have.
    acts GROUP_MAX_SIZE: int "group.max.size" = 2147483647, AtLeast(1), ReadOnly;
    /// Assignors that members of consumer groups may ask for, of `uniform` and `range`; the first one is the default.
    acts GROUP_CONSUMER_ASSIGNORS: list "group.consumer.assignors" = "uniform,range", NotEmpty, ReadOnly;
    /// Whether a group with members may change from the classic to the consumer protocol (`upgrade`), back (`downgrade`),
    /// both or neither. A group without members always may.
    acts GROUP_CONSUMER_MIGRATION_POLICY: string "group.consumer.migration.policy" = "bidirectional",
        OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), ReadOnly;
    /// Time between two heartbeats that members of a consumer group are told to keep to.
    acts GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS: int "group.consumer.heartbeat.interval.ms" = 5000, AtLeast(1), ReadOnly;
    /// Least that `consumer.heartbeat.interval.ms` of a group may be.
    acts GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS: int "group.consumer.min.heartbeat.interval.ms" = 5000,
        AtLeast(1), ReadOnly;
    /// Most that `consumer.heartbeat.interval.ms` of a group may be.
    acts GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS: int "group.consumer.max.heartbeat.interval.ms" = 15000,
        AtLeast(1), ReadOnly;
    /// Silence after which a member of a consumer group is removed from it.
    acts GROUP_CONSUMER_SESSION_TIMEOUT_MS: int "group.consumer.session.timeout.ms" = 45000, AtLeast(1), ReadOnly;
    /// Least that `consumer.session.timeout.ms` of a group may be.
    acts GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS: int "group.consumer.min.session.timeout.ms" = 45000,
        AtLeast(1), ReadOnly;
    /// Most that `consumer.session.timeout.ms` of a group may be.
    acts GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS: int "group.consumer.max.session.timeout.ms" = 60000,
        AtLeast(1), ReadOnly;
    /// Least time between two assignments of a consumer group; changes that come meanwhile are answered by the next one.
    acts GROUP_CONSUMER_ASSIGNMENT_INTERVAL_MS: int "group.consumer.assignment.interval.ms" = 1000,
        AtLeast(0), ClusterWide;
    /// Least that `consumer.assignment.interval.ms` of a group may be.
    acts GROUP_CONSUMER_MIN_ASSIGNMENT_INTERVAL_MS: int "group.consumer.min.assignment.interval.ms" = 0,
        AtLeast(0), ReadOnly;
    /// Most that `consumer.assignment.interval.ms` of a group may be.
    acts GROUP_CONSUMER_MAX_ASSIGNMENT_INTERVAL_MS: int "group.consumer.max.assignment.interval.ms" = 15000,
        AtLeast(0), ReadOnly;
    /// Members that a consumer group may have.
    acts GROUP_CONSUMER_MAX_SIZE: int "group.consumer.max.size" = 2147483647, AtLeast(1), ReadOnly;
    /// Time after which the topics that match a subscription's pattern are looked up anew.
    acts GROUP_CONSUMER_REGEX_REFRESH_INTERVAL_MS: int "group.consumer.regex.refresh.interval.ms" = 600000,
        AtLeast(10000), Hidden;
    /// Minutes for which offsets are kept after the group has lost its last member; for a consumer that is in no group,
    /// after the commit.
    acts OFFSETS_RETENTION_MINUTES: int "offsets.retention.minutes" = 10080, AtLeast(1), ReadOnly;
    /// Time between two looks for offsets to forget.
    acts OFFSETS_RETENTION_CHECK_INTERVAL_MS: long "offsets.retention.check.interval.ms" = 600000, AtLeast(1), ReadOnly;
    /// Longest text that may be committed with an offset.
    acts OFFSET_METADATA_MAX_BYTES: int "offset.metadata.max.bytes" = 4096, Any, ReadOnly;
    /// Time in which a commit of offsets, or another change of a group, must have reached all replicas.
    acts OFFSETS_COMMIT_TIMEOUT_MS: int "offsets.commit.timeout.ms" = 5000, AtLeast(1), ReadOnly;
    /// Bytes that are read at a time when groups and offsets are loaded.
    acts OFFSETS_LOAD_BUFFER_SIZE: int "offsets.load.buffer.size" = 5242880, AtLeast(1), ReadOnly;
    /// Partitions that the topic of groups and offsets is made with.
    acts OFFSETS_TOPIC_NUM_PARTITIONS: int "offsets.topic.num.partitions" = 50, AtLeast(1), ReadOnly;
    /// Replicas that the topic of groups and offsets is made with. Where this is not set and there are fewer brokers, it is
    /// made with as many as there are.
    acts OFFSETS_TOPIC_REPLICATION_FACTOR: short "offsets.topic.replication.factor" = 3, AtLeast(1), ReadOnly;
    /// `segment.bytes` that the topic of groups and offsets is made with.
    acts OFFSETS_TOPIC_SEGMENT_BYTES: int "offsets.topic.segment.bytes" = 104857600, AtLeast(1), ReadOnly;
    /// Compression of the topic that keeps groups and offsets, by Kafka's number of the codec.
    acts OFFSETS_TOPIC_COMPRESSION_CODEC: int "offsets.topic.compression.codec" = 0, Any, ReadOnly;
}
