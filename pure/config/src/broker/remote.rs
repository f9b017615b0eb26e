//! Tiered storage.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Keeps old segments in a remote store (tiered storage).
    refused: boolean "remote.log.storage.system.enable" = false, Any, ReadOnly;
    /// Class that reads and writes the remote store.
    later: string "remote.log.storage.manager.class.name", NotEmpty, ReadOnly;
    /// Where the class of the remote store is loaded from.
    later: string "remote.log.storage.manager.class.path", Any, ReadOnly;
    /// Prefix of the keys that the class of the remote store gets.
    later: string "remote.log.storage.manager.impl.prefix" = "rsm.config.", NotEmpty, ReadOnly;
    /// Class that remembers which segments are in the remote store.
    later: string "remote.log.metadata.manager.class.name" =
        "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", NotEmpty, ReadOnly;
    /// Where the class that remembers remote segments is loaded from.
    later: string "remote.log.metadata.manager.class.path", Any, ReadOnly;
    /// Prefix of the keys that the class that remembers remote segments gets.
    later: string "remote.log.metadata.manager.impl.prefix" = "rlmm.config.", NotEmpty, ReadOnly;
    /// Listener over which what is known of remote segments is read and written.
    later: string "remote.log.metadata.manager.listener.name", NotEmpty, ReadOnly;
    /// Largest note that the remote store may attach to a segment.
    later: int "remote.log.metadata.custom.metadata.max.bytes" = 128, AtLeast(0), ReadOnly;
    /// Disk space for indexes of remote segments.
    later: long "remote.log.index.file.cache.total.size.bytes" = 1073741824, AtLeast(1), ClusterWide;
    /// Time after which an index of a remote segment that is not used leaves the cache; -1 keeps it.
    later: long "remote.log.index.file.cache.ttl.ms" = 900000, AtLeast(-1), Hidden;
    /// Threads that follow what happens to remote segments.
    later: int "remote.log.manager.thread.pool.size" = 2, AtLeast(1), ReadOnly;
    /// Threads that copy segments to the remote store.
    later: int "remote.log.manager.copier.thread.pool.size" = 10, AtLeast(1), ClusterWide;
    /// Threads that remove remote segments.
    later: int "remote.log.manager.expiration.thread.pool.size" = 10, AtLeast(1), ClusterWide;
    /// Threads that keep followers informed of remote segments.
    later: int "remote.log.manager.follower.thread.pool.size" = 2, AtLeast(1), ClusterWide;
    /// Time between two looks for segments to copy or to remove.
    later: long "remote.log.manager.task.interval.ms" = 30000, AtLeast(1), ReadOnly;
    /// First pause after a failed copy or removal.
    later: long "remote.log.manager.task.retry.backoff.ms" = 500, AtLeast(1), Hidden;
    /// Longest pause after failed copies or removals.
    later: long "remote.log.manager.task.retry.backoff.max.ms" = 30000, AtLeast(1), Hidden;
    /// Share by which those pauses vary at random.
    later: double "remote.log.manager.task.retry.jitter" = 0.2, UpTo(0.5), Hidden;
    /// Bytes that may be copied to the remote store in a second.
    later: long "remote.log.manager.copy.max.bytes.per.second" = 9223372036854775807, AtLeast(1), ClusterWide;
    /// Samples over which the rate of copies is taken.
    later: int "remote.log.manager.copy.quota.window.num" = 11, AtLeast(1), ReadOnly;
    /// Length of one sample of the rate of copies.
    later: int "remote.log.manager.copy.quota.window.size.seconds" = 1, AtLeast(1), ReadOnly;
    /// Bytes that may be fetched from the remote store in a second.
    later: long "remote.log.manager.fetch.max.bytes.per.second" = 9223372036854775807, AtLeast(1), ClusterWide;
    /// Samples over which the rate of remote fetches is taken.
    later: int "remote.log.manager.fetch.quota.window.num" = 11, AtLeast(1), ReadOnly;
    /// Length of one sample of the rate of remote fetches.
    later: int "remote.log.manager.fetch.quota.window.size.seconds" = 1, AtLeast(1), ReadOnly;
    /// Threads that read from the remote store for consumers.
    later: int "remote.log.reader.threads" = 10, AtLeast(1), ClusterWide;
    /// Reads from the remote store that may wait for a thread.
    later: int "remote.log.reader.max.pending.tasks" = 100, AtLeast(1), ReadOnly;
    /// Time for which a fetch waits for the remote store.
    later: int "remote.fetch.max.wait.ms" = 500, AtLeast(1), ClusterWide;
    /// Time that a look-up of offsets in the remote store may take.
    later: long "remote.list.offsets.request.timeout.ms" = 30000, AtLeast(1), ClusterWide;
    /// Lets a new follower start at the end of what is in the remote store.
    later: boolean "follower.fetch.last.tiered.offset.enable" = false, Any, ClusterWide;
    /// Age at which a segment that is in the remote store leaves the local disk; -2 means that of the retention.
    later: long "log.local.retention.ms" = -2, AtLeast(-2), ClusterWide;
    /// Local size of a partition above which segments that are in the remote store leave the disk; -2 means that of the
    /// retention.
    later: long "log.local.retention.bytes" = -2, AtLeast(-2), ClusterWide;
}
