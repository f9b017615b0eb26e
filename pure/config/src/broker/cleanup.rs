//! Retention and compaction.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// `delete` removes old segments, `compact` keeps the last record of each key, so records need one.
    acts: list "log.cleanup.policy" = "delete", AnyOf(&["compact", "delete"]), ClusterWide;
    /// Age at which records may be removed; -1 keeps them. Without it `log.retention.minutes` counts.
    acts: long "log.retention.ms", Any, ClusterWide;
    /// Age in minutes at which records may be removed. Without it `log.retention.hours` counts.
    acts: int "log.retention.minutes", Any, ReadOnly;
    /// Age in hours at which records may be removed; -1 keeps them.
    acts: int "log.retention.hours" = 168, Any, ReadOnly;
    /// Size of a partition above which its oldest segments are removed; -1 keeps them.
    acts: long "log.retention.bytes" = -1, Any, ClusterWide;
    /// Time between two looks for segments to remove.
    acts LOG_RETENTION_CHECK_INTERVAL_MS: long "log.retention.check.interval.ms" = 300000, AtLeast(1), ReadOnly;
    /// Whether logs are compacted.
    acts LOG_CLEANER_ENABLE: boolean "log.cleaner.enable" = true, Any, ReadOnly;
    /// Threads that compact.
    acts LOG_CLEANER_THREADS: int "log.cleaner.threads" = 1, AtLeast(0), ClusterWide;
    /// Pause of a compacting thread that found nothing to do.
    acts LOG_CLEANER_BACKOFF_MS: long "log.cleaner.backoff.ms" = 15000, AtLeast(0), ClusterWide;
    /// Memory for the keys seen in a compaction, over all threads.
    acts LOG_CLEANER_DEDUPE_BUFFER_SIZE: long "log.cleaner.dedupe.buffer.size" = 134217728, Any, ClusterWide;
    /// How full the table of keys may get; a fuller one holds more keys and has more collisions.
    acts LOG_CLEANER_IO_BUFFER_LOAD_FACTOR: double "log.cleaner.io.buffer.load.factor" = 0.9, Any, ClusterWide;
    /// Memory for reading and writing in a compaction, over all threads.
    acts LOG_CLEANER_IO_BUFFER_SIZE: int "log.cleaner.io.buffer.size" = 524288, AtLeast(0), ClusterWide;
    /// Bytes that compaction may read and write in a second.
    acts LOG_CLEANER_IO_MAX_BYTES_PER_SECOND: double "log.cleaner.io.max.bytes.per.second" = 1.7976931348623157E308, Any, ClusterWide;
    /// Share of a log that must be uncompacted before it is worth a compaction.
    acts: double "log.cleaner.min.cleanable.ratio" = 0.5, UpTo(1.0), ClusterWide;
    /// Age below which a record is not compacted away.
    acts: long "log.cleaner.min.compaction.lag.ms" = 0, AtLeast(0), ClusterWide;
    /// Age at which a record is due for compaction, whatever the ratio.
    acts: long "log.cleaner.max.compaction.lag.ms" = 9223372036854775807, AtLeast(1), ClusterWide;
    /// Time for which the mark of a deleted key stays in a compacted log.
    acts: long "log.cleaner.delete.retention.ms" = 86400000, AtLeast(0), ClusterWide;
}
