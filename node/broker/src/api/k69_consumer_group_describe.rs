//! ConsumerGroupDescribe: consumer groups with their members and what these are assigned (KIP-848). Versions 0-1.

use std::sync::Arc;

use ottla_wire::messages::consumer_group_describe_response::{Assignment, DescribedGroup};
use ottla_wire::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};
use ottla_wire::{ApiKey, ErrorCode};

use super::answer_room::AnswerRoom;
use super::{Api, Run};
use crate::coordinate::groups::ask;
use crate::ctx::{Ctx, Operation, Resource};

pub const API: Api = Api { key: ApiKey::ConsumerGroupDescribe, run: Run::Cold(|call| call.answer(handle)) };

async fn handle(ctx: Ctx, request: ConsumerGroupDescribeRequest) -> ConsumerGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    let mut room = AnswerRoom::default();
    for id in request.group_ids {
        let described = match room.check() {
            Ok(()) => describe(&ctx, &id).await,
            Err(error) => Err(error),
        };
        let described = described.and_then(|group| room.take(bytes(&group)).map(|()| group));
        let mut described = described.unwrap_or_else(|error| DescribedGroup {
            error_code: error.code(),
            group_id: id.clone(),
            ..Default::default()
        });
        if request.include_authorized_operations && described.error_code == ErrorCode::None.code() {
            described.authorized_operations = ctx.authorized_operations(Resource::Group(&id));
        }
        groups.push(described);
    }
    ConsumerGroupDescribeResponse { groups, ..Default::default() }
}

async fn describe(ctx: &Ctx, id: &Arc<str>) -> Result<DescribedGroup, ErrorCode> {
    if !ctx.broker.settings.consumer_groups {
        return Err(ErrorCode::UnsupportedVersion);
    }
    if !ctx.may(Operation::Describe, Resource::Group(id)) {
        return Err(ErrorCode::GroupAuthorizationFailed);
    }
    let request = ConsumerGroupDescribeRequest { group_ids: vec![id.clone()], ..Default::default() };
    let response = ask!(ctx.broker.groups, id, ConsumerGroupDescribe(request))?;
    let group = response.groups.into_iter().next().unwrap_or_default();
    if has_unseen_topics(ctx, &group) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    Ok(group)
}

/// Whether a member has to do with a topic that the client must not know of.
fn has_unseen_topics(ctx: &Ctx, group: &DescribedGroup) -> bool {
    let unseen = |name: &Arc<str>| !ctx.may(Operation::Describe, Resource::Topic(name));
    group.members.iter().any(|member| {
        let assigned = member.assignment.topic_partitions.iter().chain(&member.target_assignment.topic_partitions);
        member.subscribed_topic_names.iter().any(unseen) || assigned.map(|topic| &topic.topic_name).any(unseen)
    })
}

/// About as many as it has on the wire.
fn bytes(group: &DescribedGroup) -> usize {
    const NUMBERS: usize = 32;
    let assigned = |assignment: &Assignment| {
        let topics = assignment.topic_partitions.iter();
        topics.map(|topic| NUMBERS + topic.topic_name.len() + 4 * topic.partitions.len()).sum::<usize>()
    };
    let members = group.members.iter().map(|member| {
        let texts = member.member_id.len() + member.client_id.len() + member.client_host.len();
        let pattern = member.subscribed_topic_regex.as_ref().map_or(0, |pattern| pattern.len());
        let names = member.subscribed_topic_names.iter().map(|name| name.len() + 2);
        NUMBERS
            + texts
            + pattern
            + names.sum::<usize>()
            + assigned(&member.assignment)
            + assigned(&member.target_assignment)
    });
    NUMBERS + group.group_id.len() + members.sum::<usize>()
}
