//! Limits of single requests and of what is kept for them.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Most record bytes that one fetch gets, whatever it asks for. A first batch is sent whole even if it is larger.
    acts FETCH_MAX_BYTES: int "fetch.max.bytes" = 57671680, AtLeast(1024), ReadOnly;
    /// Fetch sessions that are kept. Without a free slot a consumer sends its whole list of partitions each time.
    acts MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS: int "max.incremental.fetch.session.cache.slots" = 1000,
        AtLeast(0), ReadOnly;
    /// Partitions that one answer to DescribeTopicPartitions holds at most.
    acts MAX_REQUEST_PARTITION_SIZE_LIMIT: int "max.request.partition.size.limit" = 2000, AtLeast(1), ReadOnly;
    /// Finished fetches after which the list of waiting ones is cleared of them.
    moot: int "fetch.purgatory.purge.interval.requests" = 1000, Any, ReadOnly;
    /// Finished produces after which the list of waiting ones is cleared of them.
    moot: int "producer.purgatory.purge.interval.requests" = 1000, Any, ReadOnly;
    /// Finished record deletions after which the list of waiting ones is cleared of them.
    moot: int "delete.records.purgatory.purge.interval.requests" = 1, Any, ReadOnly;
    /// Finished share fetches after which the list of waiting ones is cleared of them.
    later: int "share.fetch.purgatory.purge.interval.requests" = 1000, Any, ReadOnly;
}
