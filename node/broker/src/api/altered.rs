//! Who may alter the configs of a resource: what AlterConfigs and IncrementalAlterConfigs have in common.

use std::sync::Arc;

use ottla_wire::ErrorCode;

use crate::ctx::{Ctx, Operation, Resource};

/// Kafka's ids of resource types.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

const LISTENERS: &str = "listeners";

/// Whether it is this broker.
pub fn is_ours(ctx: &Ctx, resource_type: i8, name: &str) -> bool {
    resource_type == BROKER && name.parse() == Ok(ctx.broker.identity.node_id.0)
}

/// Why a listener that is asked for, for this broker, cannot be opened. `set` are the keys that get a value, or more of it.
pub async fn cannot_listen<'a>(
    ctx: &Ctx,
    set: impl Iterator<Item = (&'a Arc<str>, &'a Option<Arc<str>>)>,
) -> Option<Arc<str>> {
    let mut texts = set.filter(|(key, _)| ***key == *LISTENERS).filter_map(|(_, value)| value.as_deref());
    ctx.broker.listeners.first_unbindable(texts.next()?).await.map(Arc::from)
}

/// Why the client may not.
pub fn refusal(ctx: &Ctx, resource_type: i8, name: &str) -> Option<ErrorCode> {
    let may = |resource: Resource<'_>| ctx.may(Operation::AlterConfigs, resource);
    match resource_type {
        TOPIC => (!may(Resource::Topic(name))).then_some(ErrorCode::TopicAuthorizationFailed),
        GROUP => (!may(Resource::Group(name))).then_some(ErrorCode::GroupAuthorizationFailed),
        _ => (!may(Resource::Cluster)).then_some(ErrorCode::ClusterAuthorizationFailed),
    }
}
