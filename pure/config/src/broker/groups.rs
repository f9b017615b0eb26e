//! Classic and consumer groups, and the offsets topic.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Kinds of groups that may be used.
    later: list "group.coordinator.rebalance.protocols" = "classic,consumer,streams",
        SomeOf(&["consumer", "classic", "share", "streams"]), ReadOnly;
    /// Threads that run the group coordinator.
    later: int "group.coordinator.threads" = 4, AtLeast(1), ReadOnly;
    /// Threads for the heavy work of the group coordinator, such as matching patterns.
    later: int "group.coordinator.background.threads" = 2, AtLeast(1), ReadOnly;
    /// Time for which the group coordinator gathers records before it writes them; -1 adapts it to the load.
    later: int "group.coordinator.append.linger.ms" = -1, AtLeast(-1), ReadOnly;
    /// Largest write buffer that the group coordinator keeps for reuse.
    later: int "group.coordinator.cached.buffer.max.bytes" = 1048588, AtLeast(524288), ClusterWide;
    /// Time for which a new classic group waits for more members before its first assignment.
    later: int "group.initial.rebalance.delay.ms" = 3000, Any, ReadOnly;
    /// Shortest session timeout of members of classic groups.
    later: int "group.min.session.timeout.ms" = 6000, Any, ReadOnly;
    /// Longest session timeout of members of classic groups.
    later: int "group.max.session.timeout.ms" = 1800000, Any, ReadOnly;
    /// Members that a classic group may have.
    later: int "group.max.size" = 2147483647, AtLeast(1), ReadOnly;
    /// Assignors of consumer groups; the first one is the default.
    later: list "group.consumer.assignors" = "uniform,range", NotEmpty, ReadOnly;
    /// Whether groups may change between the classic and the consumer protocol while they run.
    later: string "group.consumer.migration.policy" = "bidirectional",
        OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), ReadOnly;
    /// Time between two heartbeats of members of consumer groups.
    later: int "group.consumer.heartbeat.interval.ms" = 5000, AtLeast(1), ReadOnly;
    /// Shortest heartbeat interval that a consumer group may be given.
    later: int "group.consumer.min.heartbeat.interval.ms" = 5000, AtLeast(1), ReadOnly;
    /// Longest heartbeat interval that a consumer group may be given.
    later: int "group.consumer.max.heartbeat.interval.ms" = 15000, AtLeast(1), ReadOnly;
    /// Silence after which a member of a consumer group is removed.
    later: int "group.consumer.session.timeout.ms" = 45000, AtLeast(1), ReadOnly;
    /// Shortest session timeout that a consumer group may be given.
    later: int "group.consumer.min.session.timeout.ms" = 45000, AtLeast(1), ReadOnly;
    /// Longest session timeout that a consumer group may be given.
    later: int "group.consumer.max.session.timeout.ms" = 60000, AtLeast(1), ReadOnly;
    /// Time between two assignments of a consumer group at least.
    later: int "group.consumer.assignment.interval.ms" = 1000, AtLeast(0), ClusterWide;
    /// Shortest assignment interval that a consumer group may be given.
    later: int "group.consumer.min.assignment.interval.ms" = 0, AtLeast(0), ReadOnly;
    /// Longest assignment interval that a consumer group may be given.
    later: int "group.consumer.max.assignment.interval.ms" = 15000, AtLeast(0), ReadOnly;
    /// Members that a consumer group may have.
    later: int "group.consumer.max.size" = 2147483647, AtLeast(1), ReadOnly;
    /// Time after which the topics that match a subscription's pattern are looked up anew.
    later: int "group.consumer.regex.refresh.interval.ms" = 600000, AtLeast(10000), Hidden;
    /// Minutes for which the offsets of a group are kept after its last member left.
    later: int "offsets.retention.minutes" = 10080, AtLeast(1), ReadOnly;
    /// Time between two looks for offsets to forget.
    later: long "offsets.retention.check.interval.ms" = 600000, AtLeast(1), ReadOnly;
    /// Largest text that may be committed with an offset.
    later: int "offset.metadata.max.bytes" = 4096, Any, ReadOnly;
    /// Time in which a commit of offsets must have reached all replicas.
    later: int "offsets.commit.timeout.ms" = 5000, AtLeast(1), ReadOnly;
    /// Bytes that are read at a time when the offsets are loaded.
    later: int "offsets.load.buffer.size" = 5242880, AtLeast(1), ReadOnly;
    /// Partitions of the topic that keeps groups and offsets.
    later: int "offsets.topic.num.partitions" = 50, AtLeast(1), ReadOnly;
    /// Replicas of the topic that keeps groups and offsets.
    later: short "offsets.topic.replication.factor" = 3, AtLeast(1), ReadOnly;
    /// `segment.bytes` of the topic that keeps groups and offsets.
    later: int "offsets.topic.segment.bytes" = 104857600, AtLeast(1), ReadOnly;
    /// Compression of the topic that keeps groups and offsets, by Kafka's number of the codec.
    later: int "offsets.topic.compression.codec" = 0, Any, ReadOnly;
}
