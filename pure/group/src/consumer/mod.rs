//! The consumer protocol (KIP-848): the coordinator assigns, and members follow one by one.
//!
//! In the classic protocol all members stop when one comes or goes, and one of them assigns for all. Here the coordinator
//! knows what each member subscribes to, so it can assign itself, and what each owns, so nobody has to stop but for the
//! partitions that move. Three numbers keep that straight:
//!
//! ```text
//!   group epoch        rises when members or topics change                          epoch.rs
//!        │ at most once an interval
//!        ▼
//!   assignment epoch   the group epoch for which a target was computed for all      target.rs
//!        │ with each heartbeat, each member at its own pace
//!        ▼
//!   member epoch       the assignment epoch that the member has reached             reconcile.rs
//! ```
//!
//! A member is refused when it says another epoch than it should: it has been taken for dead. All of it is in the log:
//! after a crash the next coordinator goes on where this one was, and gives each member a whole session to be heard of.
//!
//! ```text
//! heartbeat.rs   the request: what happens in which order
//! request.rs, join.rs, from_classic.rs, said.rs, leave.rs    who asks, and what is new of it
//! enter.rs       the same for members of the classic protocol
//! settings.rs, refusal.rs    what the configuration says, and why a member is refused
//! patterns.rs, regex.rs, hash.rs, assign/   topics by pattern, topics as a number, who gets which partition
//! session.rs     timers, and a member's step towards its target
//! group.rs, member.rs, records.rs, replay.rs    the state, and the records that make it
//! commit.rs, describe.rs    other requests
//! ```

pub(crate) mod assign;
pub(crate) mod commit;
pub(crate) mod describe;
mod enter;
mod epoch;
mod from_classic;
mod group;
pub(crate) mod hash;
pub(crate) mod heartbeat;
mod join;
pub(crate) mod leave;
mod member;
mod patterns;
pub(crate) mod reasons;
mod reconcile;
pub(crate) mod records;
mod refusal;
mod regex;
pub(crate) mod replay;
mod request;
mod said;
pub(crate) mod session;
mod settings;
mod target;

use std::sync::Arc;

pub(crate) use enter::{Entry, enter};
pub(crate) use epoch::Seen;
pub(crate) use group::Group;
pub(crate) use member::{Member, Progress};
pub(crate) use records::{First, begin};
pub(crate) use refusal::Refusal;

use crate::room::Room;
use crate::{Config, Record};

/// The type of these groups, as ListGroups shows it, and the protocol type of all of them.
pub(crate) const TYPE: &str = "consumer";

/// What ends a group.
pub(crate) fn tombstones(id: &Arc<str>, group: &Group) -> Vec<Record> {
    records::no_group(id, group)
}

/// What a batch has room for besides a new epoch of the group, which is written whatever else is.
pub(crate) fn room(config: &Config, group_id: &Arc<str>) -> Room {
    Room::of_batch(config, &[records::epoch(group_id, 0, 0), records::no_partition_metadata(group_id)])
}
