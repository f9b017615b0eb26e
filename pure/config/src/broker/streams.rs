//! Streams groups.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Time between two heartbeats of members of streams groups.
    later: int "group.streams.heartbeat.interval.ms" = 5000, AtLeast(1), ReadOnly;
    /// Shortest heartbeat interval that a streams group may be given.
    later: int "group.streams.min.heartbeat.interval.ms" = 5000, AtLeast(1), ReadOnly;
    /// Longest heartbeat interval that a streams group may be given.
    later: int "group.streams.max.heartbeat.interval.ms" = 15000, AtLeast(1), ReadOnly;
    /// Silence after which a member of a streams group is removed.
    later: int "group.streams.session.timeout.ms" = 45000, AtLeast(1), ReadOnly;
    /// Shortest session timeout that a streams group may be given.
    later: int "group.streams.min.session.timeout.ms" = 45000, AtLeast(1), ReadOnly;
    /// Longest session timeout that a streams group may be given.
    later: int "group.streams.max.session.timeout.ms" = 60000, AtLeast(1), ReadOnly;
    /// Time between two assignments of a streams group at least.
    later: int "group.streams.assignment.interval.ms" = 1000, AtLeast(0), ClusterWide;
    /// Shortest assignment interval that a streams group may be given.
    later: int "group.streams.min.assignment.interval.ms" = 0, AtLeast(0), ReadOnly;
    /// Longest assignment interval that a streams group may be given.
    later: int "group.streams.max.assignment.interval.ms" = 15000, AtLeast(0), ReadOnly;
    /// Time for which a new streams group waits for more members before its first assignment.
    later: int "group.streams.initial.rebalance.delay.ms" = 3000, AtLeast(0), ReadOnly;
    /// Standby copies of each task of a streams group.
    later: int "group.streams.num.standby.replicas" = 0, AtLeast(0), ReadOnly;
    /// Most standby copies that a streams group may be given.
    later: int "group.streams.max.standby.replicas" = 2, AtLeast(0), ReadOnly;
    /// Members that a streams group may have.
    later: int "group.streams.max.size" = 2147483647, AtLeast(1), ReadOnly;
}
