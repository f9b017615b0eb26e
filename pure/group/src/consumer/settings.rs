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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn the_groups_own_setting_counts_then_that_of_all_then_the_servers() {
        let every = |ms| GroupConfig { assignment_interval_ms: Some(ms), ..GroupConfig::default() };
        let mut soft = Soft::new(Config { consumer_assignment_interval_ms: 1, ..Config::default() });
        assert_eq!(assignment_interval_ms(&soft, "g"), 1);
        soft.group_configs.all = every(2);
        assert_eq!(assignment_interval_ms(&soft, "g"), 2);
        soft.group_configs.own.insert("g".into(), every(3));
        assert_eq!((assignment_interval_ms(&soft, "g"), assignment_interval_ms(&soft, "h")), (3, 2));
        soft.group_configs.own.insert("g".into(), GroupConfig::default());
        assert_eq!(assignment_interval_ms(&soft, "g"), 2);
        // What nobody sets while the broker runs.
        assert_eq!(heartbeat_interval_ms(&soft, "g"), Config::default().consumer_heartbeat_interval_ms);
    }
}
