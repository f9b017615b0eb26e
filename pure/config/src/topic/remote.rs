//! Tiered storage of a topic.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::{keys, same};

keys! {
    /// Keeps old segments in a remote store (tiered storage).
    refused: boolean "remote.storage.enable" = false, Any, Topic(&[]);
    /// Stops copying segments to the remote store; what is there stays readable.
    later: boolean "remote.log.copy.disable" = false, Any, Topic(&[]);
    /// Removes what is in the remote store when `remote.storage.enable` is turned off.
    later: boolean "remote.log.delete.on.disable" = false, Any, Topic(&[]);
    /// Age at which a segment that is in the remote store leaves the local disk; -2 means `retention.ms`.
    later: long "local.retention.ms" = -2, AtLeast(-2), Topic(&[same("log.local.retention.ms")]);
    /// Local size of a partition above which segments that are in the remote store leave the disk; -2 means
    /// `retention.bytes`.
    later: long "local.retention.bytes" = -2, AtLeast(-2), Topic(&[same("log.local.retention.bytes")]);
}
