//! A classic member joins, as often as it must.
//!
//! What it says comes all at once, and it is let in by the rules of its own protocol ([`crate::migrate::join`]). From then
//! on it is a member as any other.

use std::sync::Arc;

use ottla_wire::ErrorCode;
use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions as Reported;
use ottla_wire::records::consumer_offsets::ConsumerGroupMemberMetadataValue;

use super::heartbeat::{News, advance};
use super::refusal::Refusal;
use super::{join, room, said, session};
use crate::groups::Step;

pub(crate) struct Entry<'a> {
    pub(crate) member_id: &'a Arc<str>,
    /// The member whose place it takes, if it is static and back under another id.
    pub(crate) replaced: Option<&'a Arc<str>>,
    pub(crate) said: ConsumerGroupMemberMetadataValue,
    /// What it owns.
    pub(crate) reported: &'a [Reported],
}

pub(crate) fn enter(step: &mut Step<'_>, group_id: &Arc<str>, entry: Entry<'_>) -> Result<(), ErrorCode> {
    let Entry { member_id, replaced, said, reported } = entry;
    let mut room = room(&step.soft.config, group_id);
    let let_in = || -> Result<(), Refusal> {
        if let Some(bearer) = replaced {
            join::replace(step, group_id, bearer, member_id, &mut room)?;
        }
        let change = said::write(step, group_id, (member_id, said), &mut room)?;
        session::heard_of(step, group_id, member_id);
        advance(step, group_id, member_id, News { change, reported: Some(reported) }, &mut room)?;
        Ok(())
    };
    let_in().map_err(|refusal| refusal.code)
}
