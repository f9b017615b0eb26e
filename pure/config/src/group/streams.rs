//! Streams groups (KIP-1071).

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::{governed_by, keys};

keys! {
    /// Silence after which a member of the group is removed from it. More than the heartbeat interval.
    later STREAMS_SESSION_TIMEOUT_MS: int "streams.session.timeout.ms" = 45000,
        AtLeast(1), Group(governed_by("group.streams.session.timeout.ms")
            .at_least("group.streams.min.session.timeout.ms").at_most("group.streams.max.session.timeout.ms"));
    /// Time between two heartbeats that members of the group are told to keep to.
    later STREAMS_HEARTBEAT_INTERVAL_MS: int "streams.heartbeat.interval.ms" = 5000,
        AtLeast(1), Group(governed_by("group.streams.heartbeat.interval.ms")
            .at_least("group.streams.min.heartbeat.interval.ms").at_most("group.streams.max.heartbeat.interval.ms"));
    /// Least time between two assignments of the group.
    later: int "streams.assignment.interval.ms" = 1000,
        AtLeast(0), Group(governed_by("group.streams.assignment.interval.ms")
            .at_least("group.streams.min.assignment.interval.ms").at_most("group.streams.max.assignment.interval.ms"));
    /// Time for which the group, while it is new, waits for more members before its first assignment.
    later: int "streams.initial.rebalance.delay.ms" = 3000,
        AtLeast(0), Group(governed_by("group.streams.initial.rebalance.delay.ms"));
    /// Standby copies of each task of the group.
    later: int "streams.num.standby.replicas" = 0,
        AtLeast(0), Group(governed_by("group.streams.num.standby.replicas").at_most("group.streams.max.standby.replicas"));
}
