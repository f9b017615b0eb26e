//! How rates are measured that quotas limit.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Class that decides on the quotas of clients.
    refused: class "client.quota.callback.class", Any, ReadOnly;
    /// Samples over which the rate of a client is taken.
    later: int "quota.window.num" = 11, AtLeast(1), ReadOnly;
    /// Length of one sample of a client's rate.
    later: int "quota.window.size.seconds" = 1, AtLeast(1), ReadOnly;
    /// Samples over which the rate of changes to topics is taken.
    later: int "controller.quota.window.num" = 11, AtLeast(1), ReadOnly;
    /// Length of one sample of the rate of changes to topics.
    later: int "controller.quota.window.size.seconds" = 1, AtLeast(1), ReadOnly;
    /// Samples over which the rate of throttled replication is taken.
    later: int "replication.quota.window.num" = 11, AtLeast(1), ReadOnly;
    /// Length of one sample of the rate of throttled replication.
    later: int "replication.quota.window.size.seconds" = 1, AtLeast(1), ReadOnly;
    /// Samples over which the rate of moves between directories is taken.
    later: int "alter.log.dirs.replication.quota.window.num" = 11, AtLeast(1), ReadOnly;
    /// Length of one sample of the rate of moves between directories.
    later: int "alter.log.dirs.replication.quota.window.size.seconds" = 1, AtLeast(1), ReadOnly;
}
