//! ListGroups: all groups of this coordinator, in a state and of a type that was asked for.
//!
//! States and types are compared without regard to case, and one that there is not is the state of no group (KIP-518,
//! KIP-848).

use std::sync::Arc;

use ottla_wire::messages::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

use crate::groups::Step;
use crate::{classic, consumer};

pub(crate) fn decide(step: &Step<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    let ListGroupsRequest { states_filter, types_filter, .. } = request;
    let wants = |filter: &[Arc<str>], word: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(word))
    };
    let classic = step.log.groups.iter().map(|(id, recorded)| {
        let alive = step.soft.classic.get(id);
        ListedGroup {
            group_id: id.clone(),
            protocol_type: alive.map_or_else(|| recorded.protocol_type.clone(), |group| group.protocol_type_or_empty()),
            group_state: alive.map_or(classic::EMPTY, |group| group.phase.name()).into(),
            group_type: classic::TYPE.into(),
            ..Default::default()
        }
    });
    let consumer = step.log.consumer.iter().map(|(id, group)| ListedGroup {
        group_id: id.clone(),
        protocol_type: consumer::TYPE.into(),
        group_state: group.state().into(),
        group_type: consumer::TYPE.into(),
        ..Default::default()
    });
    let groups = classic
        .chain(consumer)
        .filter(|group| wants(&states_filter, &group.group_state) && wants(&types_filter, &group.group_type));
    ListGroupsResponse { groups: groups.collect(), ..Default::default() }
}
