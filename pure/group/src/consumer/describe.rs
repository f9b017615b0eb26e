//! ConsumerGroupDescribe: groups with their members, what each owns and what it shall own.
//!
//! What a member is still giving up is shown as owned. Topics that are gone are not shown: they have no name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::ErrorCode;
use ottla_wire::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};
use ottla_wire::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};

use super::group::Group;
use super::member::Member;
use super::target;
use crate::Topics;
use crate::groups::{Soft, Step};

/// The type of a member that speaks the classic protocol.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

pub(crate) fn decide(step: &Step<'_>, request: ConsumerGroupDescribeRequest) -> ConsumerGroupDescribeResponse {
    let groups = request.group_ids.into_iter().map(|id| match step.log.consumer.get(&id) {
        Some(group) => described(step.soft, id, group),
        None => missing(step, id),
    });
    ConsumerGroupDescribeResponse { groups: groups.collect(), ..Default::default() }
}

fn described(soft: &Soft, id: Arc<str>, group: &Group) -> DescribedGroup {
    DescribedGroup {
        group_id: id,
        group_state: group.state().into(),
        group_epoch: group.epoch,
        assignment_epoch: group.assignment_epoch,
        assignor_name: target::assignor_name(soft, group),
        members: group.members.iter().map(|(id, member)| described_member(&soft.topics, group, id, member)).collect(),
        ..Default::default()
    }
}

fn described_member(topics: &Topics, group: &Group, id: &Arc<str>, member: &Member) -> DescribedMember {
    let mut owned = BTreeMap::<Uuid, BTreeSet<i32>>::new();
    for (topic, partition) in member.partitions() {
        owned.entry(topic).or_default().insert(partition);
    }
    DescribedMember {
        member_id: id.clone(),
        instance_id: member.said.instance_id.clone(),
        rack_id: member.said.rack_id.clone(),
        member_epoch: member.epoch,
        client_id: member.said.client_id.clone(),
        client_host: member.said.client_host.clone(),
        subscribed_topic_names: member.said.subscribed_topic_names.clone(),
        subscribed_topic_regex: member.said.subscribed_topic_regex.clone(),
        assignment: named(topics, &owned),
        target_assignment: named(topics, &group.target(id)),
        member_type: if member.is_classic() { CLASSIC_MEMBER } else { CONSUMER_MEMBER },
        ..Default::default()
    }
}

fn named(topics: &Topics, partitions: &BTreeMap<Uuid, BTreeSet<i32>>) -> Assignment {
    let exist = partitions.iter().filter_map(|(id, partitions)| Some((id, topics.name_of(id)?, partitions)));
    let topic_partitions = exist.map(|(id, name, partitions)| TopicPartitions {
        topic_id: *id,
        topic_name: name.clone(),
        partitions: partitions.iter().copied().collect(),
        ..Default::default()
    });
    Assignment { topic_partitions: topic_partitions.collect(), ..Default::default() }
}

fn missing(step: &Step<'_>, id: Arc<str>) -> DescribedGroup {
    let message = match step.log.groups.contains_key(&id) {
        true => format!("Group {id} is not a consumer group."),
        false => format!("Group {id} not found."),
    };
    DescribedGroup {
        error_code: ErrorCode::GroupIdNotFound.code(),
        error_message: Some(message.into()),
        group_id: id,
        ..Default::default()
    }
}
