//! Share groups (KIP-932).

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::{FREE, governed_by, keys};

keys! {
    /// Silence after which a member of the group is removed from it. More than the heartbeat interval.
    later SHARE_SESSION_TIMEOUT_MS: int "share.session.timeout.ms" = 45000,
        AtLeast(1), Group(governed_by("group.share.session.timeout.ms")
            .at_least("group.share.min.session.timeout.ms").at_most("group.share.max.session.timeout.ms"));
    /// Time between two heartbeats that members of the group are told to keep to.
    later SHARE_HEARTBEAT_INTERVAL_MS: int "share.heartbeat.interval.ms" = 5000,
        AtLeast(1), Group(governed_by("group.share.heartbeat.interval.ms")
            .at_least("group.share.min.heartbeat.interval.ms").at_most("group.share.max.heartbeat.interval.ms"));
    /// Least time between two assignments of the group.
    later: int "share.assignment.interval.ms" = 1000,
        AtLeast(0), Group(governed_by("group.share.assignment.interval.ms")
            .at_least("group.share.min.assignment.interval.ms").at_most("group.share.max.assignment.interval.ms"));
    /// Time for which a record belongs to the consumer that fetched it.
    later: int "share.record.lock.duration.ms" = 30000,
        AtLeast(1000), Group(governed_by("group.share.record.lock.duration.ms")
            .at_least("group.share.min.record.lock.duration.ms").at_most("group.share.max.record.lock.duration.ms"));
    /// Times that a record is delivered before it is given up.
    later: int "share.delivery.count.limit" = 5,
        AtLeast(2), Group(governed_by("group.share.delivery.count.limit")
            .at_least("group.share.min.delivery.count.limit").at_most("group.share.max.delivery.count.limit"));
    /// Records of one partition that may be out with consumers at a time.
    later: int "share.partition.max.record.locks" = 2000,
        AtLeast(100), Group(governed_by("group.share.partition.max.record.locks")
            .at_least("group.share.min.partition.max.record.locks").at_most("group.share.max.partition.max.record.locks"));
    /// Where the group begins in a partition that is new to it: `earliest`, `latest`, or `by_duration:` and how long ago.
    later: string "share.auto.offset.reset" = "latest", ShareAutoOffsetReset, Group(FREE);
    /// Whether records of transactions that are open or were aborted are delivered too.
    later: string "share.isolation.level" = "read_uncommitted",
        OneOf(&["read_committed", "read_uncommitted"]), Group(FREE);
    /// Whether a consumer may ask for more time with a record.
    later: boolean "share.renew.acknowledge.enable" = true, Any, Group(FREE);
}
