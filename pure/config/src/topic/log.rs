//! Segments, indexes and syncing of a topic's logs.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::{hours, keys, same};

keys! {
    /// Size at which the log starts a new segment file.
    acts SEGMENT_BYTES: int "segment.bytes" = 1073741824, AtLeast(1048576), Topic(&[same("log.segment.bytes")]);
    /// Age at which the log starts a new segment file, even if it is small.
    acts SEGMENT_MS: long "segment.ms" = 604800000, AtLeast(1), Topic(&[same("log.roll.ms"), hours("log.roll.hours")]);
    /// Most by which the age of a segment is shortened at random, so that logs do not roll all at once.
    acts SEGMENT_JITTER_MS: long "segment.jitter.ms" = 0,
        AtLeast(0), Topic(&[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")]);
    /// Size of an index file. A segment ends when its index is full.
    acts SEGMENT_INDEX_BYTES: int "segment.index.bytes" = 10485760,
        AtLeast(4), Topic(&[same("log.index.size.max.bytes")]);
    /// Record bytes between two entries of the offset index.
    acts INDEX_INTERVAL_BYTES: int "index.interval.bytes" = 4096,
        AtLeast(0), Topic(&[same("log.index.interval.bytes")]);
    /// Records after which a partition is synced to disk. 1 syncs before each acknowledgement.
    acts FLUSH_MESSAGES: long "flush.messages" = 9223372036854775807,
        AtLeast(1), Topic(&[same("log.flush.interval.messages")]);
    /// Time after which written records are synced to disk.
    acts FLUSH_MS: long "flush.ms" = 9223372036854775807,
        AtLeast(0), Topic(&[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]);
    /// Time between the removal of the log or a segment and that of its files.
    acts FILE_DELETE_DELAY_MS: long "file.delete.delay.ms" = 60000,
        AtLeast(0), Topic(&[same("log.segment.delete.delay.ms")]);
    /// Reserves the whole size of a segment file when it is made.
    acts PREALLOCATE: boolean "preallocate" = false, Any, Topic(&[same("log.preallocate")]);
    /// Size of a segment in place of `segment.bytes`, without its lower bound, for tests.
    acts INTERNAL_SEGMENT_BYTES: int "internal.segment.bytes", Any, Hidden;
}
