//! The numbers that groups go by.
//!
//! Most are the server's. Some a consumer group may have of its own ([`GroupConfig`]): an administrator sets them, and they
//! hold from the group's next step on.

use std::sync::Arc;

use imbl::OrdMap;

use crate::consumer::assign::Assignor;

/// What the server's configuration says about groups. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// `group.min.session.timeout.ms`
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`
    pub members_max: usize,
    /// `offset.metadata.max.bytes`, which Kafka counts in UTF-16 units.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval_ms: i64,
    /// What a batch of the log may have, `max.message.bytes` of the topic.
    pub batch_bytes_max: usize,
    /// `group.consumer.session.timeout.ms`
    pub consumer_session_timeout_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`
    pub consumer_heartbeat_interval_ms: i32,
    /// `group.consumer.assignment.interval.ms` (KIP-1263)
    pub consumer_assignment_interval_ms: i32,
    /// `group.consumer.max.size`
    pub consumer_members_max: usize,
    /// `group.consumer.assignors`
    pub consumer_assignors: Assignors,
    /// `group.consumer.regex.refresh.interval.ms`
    pub consumer_regex_refresh_interval_ms: i32,
    /// `group.consumer.migration.policy`
    pub consumer_migration_policy: MigrationPolicy,
    /// What the rebalances that are kept may take.
    pub history_bytes_max: usize,
}

/// The assignors that members of consumer groups may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignors {
    default: Assignor,
    other: Option<Assignor>,
}

impl Assignors {
    /// From the values of the key, the first of which is the default. `None` if one is not known or there is none.
    pub fn named(names: &[&str]) -> Option<Assignors> {
        let mut known = names.iter().map(|name| Assignor::named(name)).collect::<Option<Vec<_>>>()?.into_iter();
        let default = known.next()?;
        Some(Assignors { default, other: known.find(|other| *other != default) })
    }

    pub(crate) fn default(&self) -> Assignor {
        self.default
    }

    pub(crate) fn find(&self, name: &str) -> Option<Assignor> {
        self.iter().find(|assignor| assignor.name() == name)
    }

    /// The default first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Assignor> {
        [self.default].into_iter().chain(self.other)
    }
}

/// Whether a group may change its protocol while it has members. One that is empty always may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    Disabled,
    Upgrade,
    Downgrade,
    Bidirectional,
}

/// What the configuration of one consumer group says; what it does not say is as in [`Config`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupConfig {
    /// `consumer.session.timeout.ms`
    pub session_timeout_ms: Option<i32>,
    /// `consumer.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Option<i32>,
    /// `consumer.assignment.interval.ms`
    pub assignment_interval_ms: Option<i32>,
}

/// What was set since the start. A clone shares all that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupConfigs {
    /// The groups that have a configuration of their own.
    pub own: OrdMap<Arc<str>, GroupConfig>,
    /// What holds for the others, in place of [`Config`].
    pub all: GroupConfig,
}

impl Default for Config {
    /// Kafka's defaults, where Kafka has such a thing.
    fn default() -> Config {
        Config {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            members_max: i32::MAX as usize,
            offset_metadata_max: 4_096,
            offsets_retention_ms: 10_080 * 60_000,
            offsets_retention_check_interval_ms: 600_000,
            batch_bytes_max: 1_048_588,
            consumer_session_timeout_ms: 45_000,
            consumer_heartbeat_interval_ms: 5_000,
            consumer_assignment_interval_ms: 1_000,
            consumer_members_max: i32::MAX as usize,
            consumer_assignors: Assignors { default: Assignor::Uniform, other: Some(Assignor::Range) },
            consumer_regex_refresh_interval_ms: 600_000,
            consumer_migration_policy: MigrationPolicy::Bidirectional,
            history_bytes_max: 1 << 20,
        }
    }
}
