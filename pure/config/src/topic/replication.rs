//! Replicas of a topic, and what an acknowledgement needs.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::{keys, same};

keys! {
    /// Replicas that must have a record before `acks=all` is answered. Never more than the partition has.
    acts MIN_INSYNC_REPLICAS: int "min.insync.replicas" = 1, AtLeast(1), Topic(&[same("min.insync.replicas")]);
    /// Lets a replica that lags behind become leader when no other is left, which can lose records.
    later: boolean "unclean.leader.election.enable" = false, Any, Topic(&[same("unclean.leader.election.enable")]);
    /// Replicas whose replication is slowed down at the leader, as `partition:broker,...`; `*` means all.
    later: list "leader.replication.throttled.replicas" = "", ThrottledReplicas, Topic(&[]);
    /// Replicas whose replication is slowed down at the follower, as `partition:broker,...`; `*` means all.
    later: list "follower.replication.throttled.replicas" = "", ThrottledReplicas, Topic(&[]);
}
