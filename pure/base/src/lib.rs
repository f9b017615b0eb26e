//! The ids, numbers and maps that every crate shares.
//!
//! Kafka's protocol has a dozen kinds of `int32` and `int64`. Those that are easily taken for one another are types of
//! their own here ([`NodeId`], [`LeaderEpoch`], [`Uuid`]); an offset, a timestamp or a count is the `i64` or `i32` that
//! stands on the wire, named by its field.
//!
//! Time is an argument ([`Now`]), and so is the hasher's seed ([`Seed`]): nothing here asks the world.

mod map;
mod time;
mod uuid;

pub use map::{Map, Seed, Set};
pub use time::Now;
pub use uuid::{ParseUuidError, Uuid};

use std::fmt;

/// What the marker at the end of a transaction says of it (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxnOutcome {
    Committed,
    Aborted,
}

/// A transaction that was aborted, as an entry of Kafka's `.txnindex` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
    /// That of the marker.
    pub last_offset: i64,
    /// The last stable offset that the marker led to, were it kept: no aborted transaction that ends later has a record below.
    pub last_stable: i64,
}

/// `node.id` of a broker or a controller. -1 stands for "none" on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub i32);

impl NodeId {
    pub const NONE: NodeId = NodeId(-1);
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a partition's leadership; it rises with every new leader (KIP-101). -1 stands for "unknown" on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(pub i32);

impl LeaderEpoch {
    pub const UNKNOWN: LeaderEpoch = LeaderEpoch(-1);
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
