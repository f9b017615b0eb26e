//! What a group goes by: its own configuration, or else the server's. All in milliseconds.

use crate::GroupConfig;
use crate::groups::Soft;

fn of(soft: &Soft, group: &str) -> GroupConfig {
    soft.group_configs.get(group).copied().unwrap_or_default()
}

pub(super) fn session_timeout_ms(soft: &Soft, group: &str) -> i64 {
    of(soft, group).session_timeout_ms.unwrap_or(soft.config.consumer_session_timeout_ms).into()
}

pub(super) fn heartbeat_interval_ms(soft: &Soft, group: &str) -> i32 {
    of(soft, group).heartbeat_interval_ms.unwrap_or(soft.config.consumer_heartbeat_interval_ms)
}

pub(super) fn assignment_interval_ms(soft: &Soft, group: &str) -> i64 {
    of(soft, group).assignment_interval_ms.unwrap_or(soft.config.consumer_assignment_interval_ms).into()
}
