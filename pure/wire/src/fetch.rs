//! Fetch (key 1) by hand.
//!
//! A Fetch of fifty partitions decodes into fifty structs in 10 µs, and an answer that holds its records copies every
//! byte that a consumer ever reads. Here the request is a view of its frame ([`Request`]), and the answer is written
//! without its records ([`ResponseWriter`]): each partition tells where in the buffer they belong, and whoever sends puts
//! ranges of log files there.
//!
//! Versions 4 to 18: log start offset from 5, sessions from 7 (KIP-227), leader epochs from 9 (KIP-320), racks and the
//! preferred replica from 11 (KIP-392), compact and diverging epochs from 12 (KIP-595), topic ids from 13 (KIP-516), the
//! replica's state from 15 (KIP-903), endpoints from 16 (KIP-951), directory ids from 17 (KIP-853), a replica's high
//! watermark in 18 (KIP-1166). Nobody outside this folder has to know.

mod request;
mod response;

use std::ops::RangeInclusive;

pub use request::{ForgottenTopic, ForgottenTopics, Partition, ReplicaState, Request, Topic, Topics};
pub use response::{AbortedTransaction, EpochEndOffset, PartitionResponse, ResponseHead, ResponseWriter, SnapshotId};

const VERSIONS: RangeInclusive<i16> = 4..=18;
const FLEXIBLE_FROM: i16 = 12;
