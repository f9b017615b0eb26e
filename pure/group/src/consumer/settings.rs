//! What a group goes by: its own configuration, or else the server's. All in milliseconds.

use crate::groups::Soft;
use crate::{GroupConfig, GroupConfigs};

/// What the group's own configuration says, or that of all.
fn of<T>(soft: &Soft, group: &str, say: fn(&GroupConfig) -> Option<T>) -> Option<T> {
    let GroupConfigs { own, all } = &soft.group_configs;
    own.get(group).and_then(say).or_else(|| say(all))
}

pub(super) fn session_timeout_ms(soft: &Soft, group: &str) -> i64 {
    of(soft, group, |config| config.session_timeout_ms).unwrap_or(soft.config.consumer_session_timeout_ms).into()
}

pub(super) fn heartbeat_interval_ms(soft: &Soft, group: &str) -> i32 {
    of(soft, group, |config| config.heartbeat_interval_ms).unwrap_or(soft.config.consumer_heartbeat_interval_ms)
}

pub(super) fn assignment_interval_ms(soft: &Soft, group: &str) -> i64 {
    let own = of(soft, group, |config| config.assignment_interval_ms);
    own.unwrap_or(soft.config.consumer_assignment_interval_ms).into()
}
