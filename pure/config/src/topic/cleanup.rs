//! Retention and compaction of a topic.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::{hours, keys, minutes, same};

keys! {
    /// `delete` removes old segments, `compact` keeps the last record of each key, so records need one.
    acts CLEANUP_POLICY: list "cleanup.policy" = "delete",
        AnyOf(&["compact", "delete"]), Topic(&[same("log.cleanup.policy")]);
    /// Age at which records may be removed; -1 keeps them.
    acts RETENTION_MS: long "retention.ms" = 604800000,
        AtLeast(-1), Topic(&[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")]);
    /// Size of a partition above which its oldest segments are removed; -1 keeps them.
    acts RETENTION_BYTES: long "retention.bytes" = -1, Any, Topic(&[same("log.retention.bytes")]);
    /// Time for which the mark of a deleted key stays in a compacted log.
    acts DELETE_RETENTION_MS: long "delete.retention.ms" = 86400000, AtLeast(0), Topic(&[same("log.cleaner.delete.retention.ms")]);
    /// Share of the log that must be uncompacted before it is worth a compaction.
    acts MIN_CLEANABLE_DIRTY_RATIO: double "min.cleanable.dirty.ratio" = 0.5, UpTo(1.0), Topic(&[same("log.cleaner.min.cleanable.ratio")]);
    /// Age below which a record is not compacted away.
    acts MIN_COMPACTION_LAG_MS: long "min.compaction.lag.ms" = 0,
        AtLeast(0), Topic(&[same("log.cleaner.min.compaction.lag.ms")]);
    /// Age at which a record is due for compaction, whatever the ratio.
    acts MAX_COMPACTION_LAG_MS: long "max.compaction.lag.ms" = 9223372036854775807,
        AtLeast(1), Topic(&[same("log.cleaner.max.compaction.lag.ms")]);
}
