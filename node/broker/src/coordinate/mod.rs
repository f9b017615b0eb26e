//! Coordinators: machines that live on the partitions of an internal topic.
//!
//! ```text
//! groups   the group coordinators: which shard a group belongs to, and what all shards know of the cluster
//!   host   one machine on its partition: decides, appends, parks the reply; loads it, and wakes it in time
//! ```

pub mod groups;
pub mod host;
pub mod lag;
