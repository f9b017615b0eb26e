//! What the members of a group of consumers subscribe to.
//!
//! What a member says of itself is opaque, but for consumers, whose clients all begin it with the same fields: a version
//! and the topics. That much is read, to know which offsets are in use. A member whose bytes mean something else makes
//! the subscription of its group unknown.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_wire::records::consumer_protocol::ConsumerProtocolSubscription;
use ottla_wire::{Message, Reader};

use super::Group;

#[derive(Debug, Default)]
pub(super) enum Subscription {
    #[default]
    Unknown,
    Topics(BTreeSet<Arc<str>>),
}

impl Subscription {
    /// Of the members with the protocol of their generation.
    pub(super) fn of(group: &Group) -> Subscription {
        if group.protocol_type.is_some() && group.members.is_empty() {
            return Subscription::Topics(BTreeSet::new());
        }
        let Some(protocol) = group.protocol.as_ref().filter(|_| group.is_of_consumers()) else {
            return Subscription::Unknown;
        };
        let mut topics = BTreeSet::new();
        for member in group.members.iter() {
            match read(&member.metadata(protocol)) {
                Some(subscribed) => topics.extend(subscribed),
                None => return Subscription::Unknown,
            }
        }
        Subscription::Topics(topics)
    }

    pub(super) fn is_known(&self) -> bool {
        matches!(self, Subscription::Topics(_))
    }

    pub(super) fn may_have(&self, topic: &str, if_unknown: bool) -> bool {
        match self {
            Subscription::Topics(topics) => topics.contains(topic),
            Subscription::Unknown => if_unknown,
        }
    }
}

/// The topics, whatever the version: it only adds fields behind them.
fn read(metadata: &[u8]) -> Option<Vec<Arc<str>>> {
    let mut reader = Reader::new(metadata);
    let version = reader.i16("version").ok()?;
    if version < 0 {
        return None;
    }
    Some(ConsumerProtocolSubscription::decode(&mut reader, 0).ok()?.topics)
}
