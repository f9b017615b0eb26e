//! Consumer groups (KIP-848).

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::{governed_by, keys};

keys! {
    /// Silence after which a member of the group is removed from it. More than the heartbeat interval.
    acts CONSUMER_SESSION_TIMEOUT_MS: int "consumer.session.timeout.ms" = 45000,
        AtLeast(1), Group(governed_by("group.consumer.session.timeout.ms")
            .at_least("group.consumer.min.session.timeout.ms").at_most("group.consumer.max.session.timeout.ms"));
    /// Time between two heartbeats that members of the group are told to keep to.
    acts CONSUMER_HEARTBEAT_INTERVAL_MS: int "consumer.heartbeat.interval.ms" = 5000,
        AtLeast(1), Group(governed_by("group.consumer.heartbeat.interval.ms")
            .at_least("group.consumer.min.heartbeat.interval.ms").at_most("group.consumer.max.heartbeat.interval.ms"));
    /// Least time between two assignments of the group; changes that come meanwhile are answered by the next one.
    acts CONSUMER_ASSIGNMENT_INTERVAL_MS: int "consumer.assignment.interval.ms" = 1000,
        AtLeast(0), Group(governed_by("group.consumer.assignment.interval.ms")
            .at_least("group.consumer.min.assignment.interval.ms").at_most("group.consumer.max.assignment.interval.ms"));
}
