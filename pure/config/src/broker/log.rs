//! Directories, segments, indexes and syncing. Most are the defaults of a topic key with a similar name.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Directory of the data, used when `log.dirs` is not set.
    acts LOG_DIR: list "log.dir" = "./ottla-data", NotEmpty, ReadOnly;
    /// Directories of the data. A new partition goes to the one with the fewest.
    acts LOG_DIRS: list "log.dirs", NotEmpty, ReadOnly;
    /// Directory of the metadata log. Without it, it is with the data, in the first directory.
    acts METADATA_LOG_DIR: string "metadata.log.dir", Any, ReadOnly;
    /// Directories that get no new partitions; `*` means all.
    acts CORDONED_LOG_DIRS: list "cordoned.log.dirs" = "", Any, PerBroker;
    /// Time in which the controller must know of a failed directory, or the broker stops.
    later: long "log.dir.failure.timeout.ms" = 30000, AtLeast(1), ReadOnly;
    /// Size at which a log starts a new segment file.
    acts: int "log.segment.bytes" = 1073741824, AtLeast(1048576), ClusterWide;
    /// Age at which a log starts a new segment file, even if it is small. Without it `log.roll.hours` counts.
    acts: long "log.roll.ms", Any, ClusterWide;
    /// Age in hours at which a log starts a new segment file, even if it is small.
    acts: int "log.roll.hours" = 168, AtLeast(1), ReadOnly;
    /// Most by which the age of a segment is shortened at random. Without it `log.roll.jitter.hours` counts.
    acts: long "log.roll.jitter.ms", Any, ClusterWide;
    /// Most hours by which the age of a segment is shortened at random.
    acts: int "log.roll.jitter.hours" = 0, AtLeast(0), ReadOnly;
    /// Time between the removal of a log or a segment and that of its files.
    acts LOG_SEGMENT_DELETE_DELAY_MS: long "log.segment.delete.delay.ms" = 60000, AtLeast(0), ClusterWide;
    /// Reserves the whole size of a segment file when it is made.
    acts: boolean "log.preallocate" = false, Any, ClusterWide;
    /// Size of an index file. A segment ends when its index is full.
    acts: int "log.index.size.max.bytes" = 10485760, AtLeast(4), ClusterWide;
    /// Record bytes between two entries of an offset index.
    acts: int "log.index.interval.bytes" = 4096, AtLeast(0), ClusterWide;
    /// Records after which a partition is synced to disk. 1 syncs before each acknowledgement.
    acts: long "log.flush.interval.messages" = 9223372036854775807, AtLeast(1), ClusterWide;
    /// Time after which written records are synced to disk. Without it `log.flush.scheduler.interval.ms` counts.
    acts: long "log.flush.interval.ms", Any, ClusterWide;
    /// Time between two looks for logs that are due to be synced.
    acts: long "log.flush.scheduler.interval.ms" = 9223372036854775807, Any, ReadOnly;
    /// Time between two writes of the recovery points, from which a crashed node checks its logs.
    acts LOG_FLUSH_OFFSET_CHECKPOINT_INTERVAL_MS: int "log.flush.offset.checkpoint.interval.ms" = 60000,
        AtLeast(0), ReadOnly;
    /// Time between two writes of the start offsets of the logs.
    moot: int "log.flush.start.offset.checkpoint.interval.ms" = 60000, AtLeast(0), ReadOnly;
    /// Time after the start before the logs get their first housekeeping.
    acts LOG_INITIAL_TASK_DELAY_MS: long "log.initial.task.delay.ms" = 30000, AtLeast(0), Hidden;
    /// Threads per directory that open and check logs at the start.
    moot: int "num.recovery.threads.per.data.dir" = 2, AtLeast(1), ClusterWide;
}
