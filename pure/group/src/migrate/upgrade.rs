//! A classic group becomes a consumer group, as a member joins that speaks the consumer protocol.
//!
//! Its members stay, with what they own: the generation becomes the epoch of the group, of its target and of each member.
//! Those that wait for an answer are told to join again. The member that joins makes a new epoch then, as it would anywhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_wire::ErrorCode;
use ottla_wire::records::consumer_offsets::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupMemberMetadataValue, GroupMetadataKey,
};

use super::protocol::{self, Unreadable};
use crate::classic::Group;
use crate::classic::convert::{Leaving, dissolve};
use crate::consumer::{self, Member, Refusal};
use crate::groups::Step;
use crate::room::Room;
use crate::{MigrationPolicy, Record, Topics};

/// Whether the classic group, which has members, may become a consumer group: the members that it would have.
pub(crate) fn members(step: &Step<'_>, id: &Arc<str>, group: &Group) -> Result<Vec<(Arc<str>, Member)>, Refusal> {
    let refuse = |why: &str| {
        let message = format!("Cannot upgrade classic group {id} to consumer group because {why}.");
        Refusal::new(ErrorCode::GroupIdNotFound, message)
    };
    let config = &step.soft.config;
    if !matches!(config.consumer_migration_policy, MigrationPolicy::Upgrade | MigrationPolicy::Bidirectional) {
        return Err(refuse("online upgrade is disabled"));
    }
    if !group.is_of_consumers() {
        return Err(refuse("the group does not use the consumer embedded protocol"));
    }
    if group.members_count() > config.consumer_members_max {
        return Err(refuse("the group size exceeds the consumer group maximum size"));
    }
    let generation = group.generation;
    let members = group.leaving().into_iter().map(|leaving| {
        let id = leaving.id.clone();
        Ok((id, member(leaving, generation, &step.soft.topics)?))
    });
    members.collect::<Result<_, _>>().map_err(|unreadable| match unreadable {
        Unreadable::Malformed => refuse("the embedded consumer protocol is malformed"),
        Unreadable::UserData => refuse(
            "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default assignor \
             before re-attempting the upgrade",
        ),
    })
}

fn member(leaving: Leaving, generation: i32, topics: &Topics) -> Result<Member, Unreadable> {
    let assigned = protocol::assignment(&leaving.assignment, topics)?.into_iter();
    let assigned = assigned
        .map(|(topic, partitions)| (topic, partitions.into_iter().map(|partition| (partition, generation)).collect()));
    let subscription = protocol::subscription(&leaving.said)?;
    let names: BTreeSet<Arc<str>> = subscription.topics.into_iter().collect();
    let said = ConsumerGroupMemberMetadataValue {
        instance_id: leaving.instance_id,
        rack_id: subscription.rack_id.filter(|rack| !rack.is_empty()),
        client_id: leaving.client_id,
        client_host: leaving.client_host,
        subscribed_topic_names: names.into_iter().collect(),
        subscribed_topic_regex: Some(Arc::default()),
        rebalance_timeout_ms: leaving.rebalance_timeout_ms,
        server_assignor: None,
        classic_member_metadata: Some(classic_metadata(leaving.session_timeout_ms, leaving.protocols)),
        ..Default::default()
    };
    let member = Member { said, epoch: generation, previous_epoch: generation, ..Member::default() };
    Ok(Member { assigned: assigned.collect(), ..member })
}

pub(super) fn classic_metadata(
    session_timeout_ms: i32,
    protocols: Vec<(Arc<str>, bytes::Bytes)>,
) -> ClassicMemberMetadata {
    let protocols = protocols.into_iter();
    let supported_protocols =
        protocols.map(|(name, metadata)| ClassicProtocol { name, metadata, ..Default::default() }).collect();
    ClassicMemberMetadata { session_timeout_ms, supported_protocols, ..Default::default() }
}

/// Ends the classic group and begins the consumer group with these members.
pub(crate) fn convert(
    step: &mut Step<'_>,
    id: &Arc<str>,
    members: &[(Arc<str>, Member)],
    room: &mut Room,
) -> Result<(), Refusal> {
    let generation = members.first().map_or(0, |(_, member)| member.epoch);
    let mut records = vec![Record::GroupMetadata(GroupMetadataKey { group: id.clone() }, None)];
    records.extend(consumer::begin(id, generation, members, &step.soft.topics));
    room.take(&records)?;
    dissolve(step, id);
    records.into_iter().for_each(|record| step.log.write(record));
    for (member_id, _) in members {
        consumer::session::heard_of(step, id, member_id);
    }
    Ok(())
}
