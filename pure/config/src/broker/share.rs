//! Share groups and the coordinator of their state.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Assignor of share groups.
    later: list "group.share.assignors" = "simple", NotEmpty, ReadOnly;
    /// Time between two heartbeats of members of share groups.
    later: int "group.share.heartbeat.interval.ms" = 5000, AtLeast(1), ReadOnly;
    /// Shortest heartbeat interval that a share group may be given.
    later: int "group.share.min.heartbeat.interval.ms" = 5000, AtLeast(1), ReadOnly;
    /// Longest heartbeat interval that a share group may be given.
    later: int "group.share.max.heartbeat.interval.ms" = 15000, AtLeast(1), ReadOnly;
    /// Silence after which a member of a share group is removed.
    later: int "group.share.session.timeout.ms" = 45000, AtLeast(1), ReadOnly;
    /// Shortest session timeout that a share group may be given.
    later: int "group.share.min.session.timeout.ms" = 45000, AtLeast(1), ReadOnly;
    /// Longest session timeout that a share group may be given.
    later: int "group.share.max.session.timeout.ms" = 60000, AtLeast(1), ReadOnly;
    /// Time between two assignments of a share group at least.
    later: int "group.share.assignment.interval.ms" = 1000, AtLeast(0), ClusterWide;
    /// Shortest assignment interval that a share group may be given.
    later: int "group.share.min.assignment.interval.ms" = 0, AtLeast(0), ReadOnly;
    /// Longest assignment interval that a share group may be given.
    later: int "group.share.max.assignment.interval.ms" = 15000, AtLeast(0), ReadOnly;
    /// Time for which a record belongs to the consumer that fetched it.
    later: int "group.share.record.lock.duration.ms" = 30000, Between(1000, 3600000), ReadOnly;
    /// Shortest lock duration that a share group may be given.
    later: int "group.share.min.record.lock.duration.ms" = 15000, Between(1000, 30000), ReadOnly;
    /// Longest lock duration that a share group may be given.
    later: int "group.share.max.record.lock.duration.ms" = 60000, Between(30000, 3600000), ReadOnly;
    /// Times that a record is delivered before it is given up.
    later: int "group.share.delivery.count.limit" = 5, Between(2, 10), ReadOnly;
    /// Smallest delivery limit that a share group may be given.
    later: int "group.share.min.delivery.count.limit" = 2, Between(2, 5), ReadOnly;
    /// Largest delivery limit that a share group may be given.
    later: int "group.share.max.delivery.count.limit" = 10, Between(5, 25), ReadOnly;
    /// Records of one partition that may be out with consumers at a time.
    later: int "group.share.partition.max.record.locks" = 2000, Between(100, 10000), ReadOnly;
    /// Smallest number of record locks that a share group may be given.
    later: int "group.share.min.partition.max.record.locks" = 100, Between(100, 2000), ReadOnly;
    /// Largest number of record locks that a share group may be given.
    later: int "group.share.max.partition.max.record.locks" = 4000, Between(2000, 10000), ReadOnly;
    /// Members that a share group may have.
    later: int "group.share.max.size" = 200, Between(1, 1000), ReadOnly;
    /// Share sessions that one broker keeps.
    later: int "group.share.max.share.sessions" = 2000, AtLeast(1), ReadOnly;
    /// Pause before the state of a share group is set up again after a failure.
    later: int "group.share.initialize.retry.interval.ms" = 30000, AtLeast(1), Hidden;
    /// Class that stores the state of share groups.
    later: string "group.share.persister.class.name" = "org.apache.kafka.server.share.persister.DefaultStatePersister",
        Any, Hidden;
    /// Threads that run the share coordinator.
    later: int "share.coordinator.threads" = 1, AtLeast(1), ReadOnly;
    /// Time for which the share coordinator gathers records before it writes them; -1 adapts it to the load.
    later: int "share.coordinator.append.linger.ms" = -1, AtLeast(-1), ReadOnly;
    /// Largest write buffer that the share coordinator keeps for reuse.
    later: int "share.coordinator.cached.buffer.max.bytes" = 1048588, AtLeast(524288), ClusterWide;
    /// Time in which a write of the share coordinator must have reached all replicas.
    later: int "share.coordinator.write.timeout.ms" = 5000, AtLeast(1), ReadOnly;
    /// Bytes that are read at a time when the state of share groups is loaded.
    later: int "share.coordinator.load.buffer.size" = 5242880, AtLeast(1), ReadOnly;
    /// Updates of a share partition's state after which a whole snapshot of it is written.
    later: int "share.coordinator.snapshot.update.records.per.snapshot" = 500, Between(0, 500), ReadOnly;
    /// Time between two snapshots of share partitions that nobody changes.
    later: int "share.coordinator.cold.partition.snapshot.interval.ms" = 300000, AtLeast(1), Hidden;
    /// Partitions of the topic that keeps the state of share groups.
    later: int "share.coordinator.state.topic.num.partitions" = 50, AtLeast(1), ReadOnly;
    /// Replicas of the topic that keeps the state of share groups.
    later: short "share.coordinator.state.topic.replication.factor" = 3, AtLeast(1), ReadOnly;
    /// `min.insync.replicas` of the topic that keeps the state of share groups.
    later: short "share.coordinator.state.topic.min.isr" = 2, AtLeast(1), ReadOnly;
    /// `segment.bytes` of the topic that keeps the state of share groups.
    later: int "share.coordinator.state.topic.segment.bytes" = 104857600, AtLeast(1), ReadOnly;
    /// Compression of the topic that keeps the state of share groups, by Kafka's number of the codec.
    later: int "share.coordinator.state.topic.compression.codec" = 0, Any, ReadOnly;
    /// Time between two removals of records that the state of share groups no longer needs.
    later: int "share.coordinator.state.topic.prune.interval.ms" = 300000, AtLeast(1), Hidden;
}
