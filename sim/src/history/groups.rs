//! What was seen of groups: commits, generations, owners.

use std::fmt;
use std::sync::Arc;

use ottla_wire::ErrorCode;

use super::{At, Keeps, LogId};

#[derive(Clone, Debug, PartialEq)]
pub enum GroupEvent {
    /// What is known of all groups from here on: how well what they are told is kept.
    Settings {
        keeps: Keeps,
    },
    CommitSent {
        commit: Commit,
    },
    /// That which was sent at `sent`.
    Committed {
        sent: At,
    },
    /// Nobody knows what became of it, or will become as long as the process lives.
    CommitGivenUp {
        sent: At,
    },
    /// It is certain that it was not done.
    CommitRefused {
        sent: At,
        error: ErrorCode,
    },
    /// What a group has committed for a log, as asked for at `asked`.
    CommitRead {
        asked: At,
        group: Arc<str>,
        log: LogId,
        found: Option<Found>,
    },
    /// There is no such group, a member was told.
    Unknown {
        group: Arc<str>,
    },
    /// A member was told that it is in a generation, as asked for at `asked`.
    Joined {
        asked: At,
        member: Member,
        generation: i32,
    },
    /// The leader of a generation has shared the logs out.
    Assigned {
        group: Arc<str>,
        generation: i32,
        shares: Vec<Vec<LogId>>,
    },
    /// A member was told what it owns in a generation, as asked for at `asked`.
    Synced {
        asked: At,
        member: Member,
        generation: i32,
        owned: Vec<LogId>,
    },
    /// A member of a consumer group was answered, as asked for at `asked`, and owns these logs now: those that the answer
    /// gives, and others that it had before.
    Owned {
        asked: At,
        member: Member,
        epoch: Epoch,
        given: Vec<LogId>,
        logs: Vec<LogId>,
        term: Term,
    },
    /// A member says from here on that it owns these logs at most.
    Kept {
        member: Member,
        logs: Vec<LogId>,
    },
}

/// Somebody commits an offset for a log. The metadata is the number of the event.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    pub group: Arc<str>,
    pub log: LogId,
    pub offset: i64,
    /// -1 for those who are no members.
    pub generation: i32,
    /// More than the broker takes.
    pub has_long_metadata: bool,
}

/// A commit that was read: the event with which it was sent, and its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub sent: At,
    pub offset: i64,
}

/// A member by its id, or its instance id if it is a static one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    pub group: Arc<str>,
    pub id: Arc<str>,
}

/// The epoch that a member of a consumer group was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epoch {
    Joined(i32),
    Stayed(i32),
}

/// Milliseconds of mono time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    pub now_ms: i64,
    /// Until then the coordinator cannot have taken the member for dead.
    pub until_ms: i64,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.id, self.group)
    }
}

impl fmt::Display for GroupEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupEvent::Settings { keeps } => write!(f, "groups are {keeps:?}"),
            GroupEvent::CommitSent { commit: Commit { group, log, offset, generation, .. } } => {
                write!(f, "commit {offset} of {group} for {log}, generation {generation}")
            }
            GroupEvent::Committed { sent } => write!(f, "committed what event {sent} says"),
            GroupEvent::CommitGivenUp { sent } => write!(f, "nobody knows what becomes of what event {sent} says"),
            GroupEvent::CommitRefused { sent, error } => write!(f, "refused what event {sent} says: {error}"),
            GroupEvent::CommitRead { group, log, found: None, .. } => write!(f, "{group} has nothing for {log}"),
            GroupEvent::CommitRead { group, log, found: Some(Found { sent, offset }), .. } => {
                write!(f, "{group} is at {offset} of {log}, as event {sent} says")
            }
            GroupEvent::Unknown { group } => write!(f, "there is no group {group}"),
            GroupEvent::Joined { member, generation, .. } => write!(f, "{member} is in generation {generation}"),
            GroupEvent::Assigned { group, generation, shares } => {
                write!(f, "shares of {group} in generation {generation}:")?;
                shares.iter().try_for_each(|logs| write!(f, " {}", Logs(logs)))
            }
            GroupEvent::Synced { member, generation, owned, .. } => {
                write!(f, "{member} owns {} in generation {generation}", Logs(owned))
            }
            GroupEvent::Owned { member, epoch: Epoch::Joined(epoch) | Epoch::Stayed(epoch), logs, term, .. } => {
                write!(f, "{member} owns {} in epoch {epoch} for {} ms", Logs(logs), term.until_ms - term.now_ms)
            }
            GroupEvent::Kept { member, logs } => write!(f, "{member} keeps {}", Logs(logs)),
        }
    }
}

struct Logs<'a>(&'a [LogId]);

impl fmt::Display for Logs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let logs: Vec<String> = self.0.iter().map(LogId::to_string).collect();
        write!(f, "[{}]", logs.join(" "))
    }
}
