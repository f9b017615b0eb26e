//! A classic group becomes a consumer group, as a member joins that speaks the consumer protocol.
//!
//! Its members stay, with what they own: the generation becomes the epoch of the group, of its target and of each member.
//! Those that wait for an answer are told to join again. The member that joins makes a new epoch then, as it would anywhere.
//!
//! What a member owns is what it was assigned, and, if it is a cooperative one, what it has said it has and was not
//! assigned again: that it reads until it has heard of it, and nobody else was assigned it so far. Kafka forgets that.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::ErrorCode;
use ottla_wire::records::consumer_offsets::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupMemberMetadataValue, GroupMetadataKey,
};
use ottla_wire::records::consumer_protocol::ConsumerProtocolSubscription;

use super::protocol::{self, Unreadable};
use crate::classic::convert::{Leaving, dissolve};
use crate::classic::{Group, Phase};
use crate::consumer::{self, First, Member, Progress, Refusal, hash};
use crate::groups::Step;
use crate::history::{Protocol, Reason, What};
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
    let topics = &step.soft.topics;
    let generation = group.generation;
    let read = || {
        let mut claims = Vec::new();
        let mut members = Vec::new();
        for leaving in group.leaving() {
            let id = leaving.id.clone();
            let subscription = protocol::subscription(&leaving.said)?;
            claims.push(Claim {
                place: members.len(),
                generation: subscription.generation_id,
                owned: protocol::owned(&subscription, topics),
            });
            members.push((id, member(leaving, subscription, generation, topics)?));
        }
        keep_unrevoked(&mut members, generation, claims);
        Ok(members)
    };
    read().map_err(|unreadable| match unreadable {
        Unreadable::Malformed => refuse("the embedded consumer protocol is malformed"),
        Unreadable::UserData => refuse(
            "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default assignor \
             before re-attempting the upgrade",
        ),
    })
}

/// What a member says it has.
struct Claim {
    /// Where the member stands among the others.
    place: usize,
    /// The generation in which it got that, -1 if it does not say.
    generation: i32,
    owned: Vec<(Uuid, i32)>,
}

/// Lets members have what they say they have, unless it was assigned to somebody, or somebody says it who knows better.
fn keep_unrevoked(members: &mut [(Arc<str>, Member)], generation: i32, mut claims: Vec<Claim>) {
    claims.sort_by_key(|claim| Reverse(claim.generation));
    let mut taken: BTreeSet<(Uuid, i32)> = members.iter().flat_map(|(_, member)| member.partitions()).collect();
    for claim in claims {
        let member = &mut members[claim.place].1;
        for (topic, partition) in claim.owned.into_iter().filter(|place| taken.insert(*place)) {
            member.progress = Progress::UnrevokedPartitions;
            member.revoking.entry(topic).or_default().insert(partition, generation);
        }
    }
}

fn member(
    leaving: Leaving,
    subscription: ConsumerProtocolSubscription,
    generation: i32,
    topics: &Topics,
) -> Result<Member, Unreadable> {
    let assigned = protocol::assignment(&leaving.assignment, topics)?.into_iter();
    let assigned = assigned
        .map(|(topic, partitions)| (topic, partitions.into_iter().map(|partition| (partition, generation)).collect()));
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

/// Ends the classic group and begins the consumer group with these members, if that leaves room for what is needed next.
pub(crate) fn convert(
    step: &mut Step<'_>,
    id: &Arc<str>,
    (members, needs): (&[(Arc<str>, Member)], &[Record]),
    room: &mut Room,
) -> Result<(), Refusal> {
    let Some(group) = step.soft.classic.get(id) else { return Ok(()) };
    // It may have nobody in it but some who are expected.
    let epoch = group.generation;
    let first = First { epoch, metadata_hash: metadata_hash(group, members, &step.soft.topics) };
    let mut records = vec![Record::GroupMetadata(GroupMetadataKey { group: id.clone() }, None)];
    records.extend(consumer::begin(id, first, members));
    room.take(&records)?;
    room.clone().take(needs)?;
    dissolve(step, id);
    step.soft.history.noted(step.now, id, (Protocol::Consumer, epoch), Reason::of_group(What::Upgraded));
    records.into_iter().for_each(|record| step.log.write(record));
    for (member_id, _) in members {
        consumer::session::heard_of(step, id, member_id);
    }
    Ok(())
}

/// That of the topics, if what the members were assigned is all there is of them. Else nothing has that hash, so that a new
/// target is due at once: the classic group was about to make a rebalance, or its leader had not seen new partitions yet.
fn metadata_hash(group: &Group, members: &[(Arc<str>, Member)], topics: &Topics) -> i64 {
    let names: BTreeSet<&Arc<str>> =
        members.iter().flat_map(|(_, member)| &member.said.subscribed_topic_names).collect();
    let assigned = members.iter().flat_map(|(_, member)| &member.assigned);
    let assigned: BTreeSet<(&Uuid, i32)> =
        assigned.flat_map(|(topic, partitions)| partitions.keys().map(move |p| (topic, *p))).collect();
    let mut exist = names.iter().filter_map(|name| topics.get(name));
    match group.phase == Phase::Stable
        && exist.all(|topic| (0..topic.partitions).all(|p| assigned.contains(&(&topic.id, p))))
    {
        true => hash::of_group(&names, topics),
        false => 0,
    }
}
