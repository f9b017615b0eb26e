//! Replicas, leaders, and what an acknowledgement needs.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Replicas that must have a record before `acks=all` is answered. Never more than the partition has.
    acts: int "min.insync.replicas" = 1, AtLeast(1), ClusterWide;
    /// Lets a replica that lags behind become leader when no other is left, which can lose records.
    later: boolean "unclean.leader.election.enable" = false, Any, ClusterWide;
    /// Time between two looks for partitions that need an unclean leader election.
    later: long "unclean.leader.election.interval.ms" = 300000, AtLeast(1), Hidden;
    /// Gives leadership back to the preferred replicas from time to time.
    later: boolean "auto.leader.rebalance.enable" = true, Any, ReadOnly;
    /// Time between two looks whether leadership should go back to the preferred replicas.
    later: long "leader.imbalance.check.interval.seconds" = 300, AtLeast(1), ReadOnly;
    /// Connections over which a follower fetches from one leader.
    later: int "num.replica.fetchers" = 1, AtLeast(1), ClusterWide;
    /// Replicas that are moved from one directory to another at once; if it is not set, as many as there are directories. At most 8.
    acts NUM_REPLICA_ALTER_LOG_DIRS_THREADS: int "num.replica.alter.log.dirs.threads", Any, ReadOnly;
    /// Pause of a follower after a failed fetch.
    later: int "replica.fetch.backoff.ms" = 1000, AtLeast(0), ReadOnly;
    /// Bytes of one partition that a follower asks for in a fetch.
    later: int "replica.fetch.max.bytes" = 1048576, AtLeast(0), ReadOnly;
    /// Bytes for which a fetch of a follower waits.
    later: int "replica.fetch.min.bytes" = 1, Any, ReadOnly;
    /// Bytes that a follower asks for in one fetch.
    later: int "replica.fetch.response.max.bytes" = 10485760, AtLeast(0), ReadOnly;
    /// Time for which a fetch of a follower waits for records.
    later: int "replica.fetch.wait.max.ms" = 500, Any, ReadOnly;
    /// Time between two writes of the high watermarks.
    later: long "replica.high.watermark.checkpoint.interval.ms" = 5000, Any, ReadOnly;
    /// Time for which a follower may lag behind before it is no longer in sync.
    later: long "replica.lag.time.max.ms" = 30000, Any, ReadOnly;
    /// Class that picks the replica a consumer should read from.
    later: string "replica.selector.class", Any, ReadOnly;
    /// Receive buffer of a follower's connection to its leader.
    later: int "replica.socket.receive.buffer.bytes" = 65536, Any, ReadOnly;
    /// Time that a request of a follower to its leader may take.
    later: int "replica.socket.timeout.ms" = 30000, Any, ReadOnly;
}
