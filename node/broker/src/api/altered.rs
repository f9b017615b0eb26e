//! Who may alter the configs of a resource: what AlterConfigs and IncrementalAlterConfigs have in common.

use ottla_wire::ErrorCode;

use crate::ctx::{Ctx, Operation, Resource};

/// Kafka's ids of resource types.
const TOPIC: i8 = 2;
const GROUP: i8 = 32;

/// Why the client may not.
pub fn refusal(ctx: &Ctx, resource_type: i8, name: &str) -> Option<ErrorCode> {
    let may = |resource: Resource<'_>| ctx.may(Operation::AlterConfigs, resource);
    match resource_type {
        TOPIC => (!may(Resource::Topic(name))).then_some(ErrorCode::TopicAuthorizationFailed),
        GROUP => (!may(Resource::Group(name))).then_some(ErrorCode::GroupAuthorizationFailed),
        _ => (!may(Resource::Cluster)).then_some(ErrorCode::ClusterAuthorizationFailed),
    }
}
