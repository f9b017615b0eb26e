//! Groups of consumers, and the offsets that they commit: what the coordinator decides.
//!
//! Consumers that share a topic must agree on who reads which partition, notice who is gone, and find again how far they
//! had read. Each group has one coordinator, the leader of one partition of `__consumer_offsets`, and [`Groups`] is the
//! machine of that partition. What must survive a crash is in its records, which are Kafka's byte for byte: offsets, and
//! each group as it was when it last became stable or empty. Who is just joining is in memory only; after a crash such a
//! member asks again.
//!
//! ```text
//! groups.rs      the machine: commands, replies, state, timers
//! record.rs      the records of the log
//! classic/       the protocol in which members join, a leader assigns and all sync, by request
//! consumer/      the protocol in which the coordinator assigns and members follow (KIP-848)
//! migrate/       groups that change the protocol, and those with members of both
//! offsets/       commit, fetch, delete, expiry, by request
//! list.rs, delete.rs   requests that look at all kinds of groups
//! history.rs     why groups had to share anew
//! explain.rs     what there is to know of a group: looks, and asks nobody
//! numbers.rs     how many there are
//! room.rs        what a batch of the log can take
//! ```
//!
//! Nothing here checks who may do a thing, or knows which topics there are: whoever submits a command has done that.
//!
//! Where Ottla departs from Kafka 4.3:
//! - A group's state changes when the record of it is written, and the reply leaves when it is committed. Kafka waits for
//!   the commit before it changes the state, and answers some requests from what may still be lost.
//! - A member that asks a second time while its first JoinGroup or SyncGroup waits gets REBALANCE_IN_PROGRESS for the
//!   first; Kafka never answers it.
//! - A member that is removed while its SyncGroup waits gets UNKNOWN_MEMBER_ID; Kafka never answers it.
//! - Of protocols with as many votes the one wins that got its first vote from the member that joined first; in Kafka the
//!   order is that of a hash table.
//! - A group has a limited number of members that were given an id and have not joined ([`PENDING_MEMBERS_MAX`]).
//! - Records that a batch of the log cannot hold are refused before they are written, with the errors that Kafka gives. A
//!   consumer group whose target is too large goes on with the one it has. A group with more offsets than a batch can end is
//!   deleted bit by bit, while its deletion is answered COORDINATOR_LOAD_IN_PROGRESS.
//! - A member of a consumer group that subscribes to a pattern gets the topics of it with the first answer; Kafka looks
//!   them up on another thread. The record of a pattern is written when its topics change, and its version is 0.
//! - The heartbeat of a classic member brings a consumer group on too. In Kafka it does not, and a group that has only such
//!   members waits for one that joins.
//! - Nobody gets what a cooperative classic member still reads, nor does anything stay with nobody, however a group was when
//!   its protocol changed ([`migrate`]): what a member says it owns is its own after an upgrade, what it owns is its
//!   assignment after a downgrade, a rebalance that was due is made after a load too, and a classic member that was removed
//!   cannot join with what it had. Kafka does none of these.
//! - A classic member of a consumer group may sync with any protocol that it knows, as it may have been told another before
//!   the group changed; and in a group that makes a rebalance whatever it names.
//! - After a load a classic member of a consumer group has the session timeout that it named, not that of the group.

/// What the header of a batch takes.
const BATCH_HEADER_BYTES: usize = 61;

mod classic;
mod config;
mod consumer;
mod delete;
mod explain;
mod groups;
mod history;
mod list;
mod migrate;
mod numbers;
mod offsets;
mod record;
mod room;
mod topics;

pub use classic::PENDING_MEMBERS_MAX;
pub use classic::describe::DescribeGroups;
pub use classic::join::JoinGroup;
pub use classic::leave::LeaveGroup;
pub use classic::sync::SyncGroup;
pub use config::{Assignors, Config, GroupConfig, GroupConfigs, MigrationPolicy};
pub use consumer::heartbeat::ConsumerGroupHeartbeat;
pub use explain::{Committed, Explained, Summary, committed, explain, rebalances, summaries, tallies};
pub use groups::{Command, Groups, Reply, Soft, State};
pub use history::{Late, Protocol, REASONS_MAX, Reason, Rebalance, Tally, What, Who};
pub use numbers::{CONSUMER_STATES, Numbers, OffsetCounts};
pub use offsets::Offset;
pub use offsets::commit::OffsetCommit;
pub use offsets::fetch::OffsetFetch;
pub use offsets::topics_deleted::DeletedTopic;
pub use record::{Record, RecordError};
pub use topics::{Topic, Topics};
