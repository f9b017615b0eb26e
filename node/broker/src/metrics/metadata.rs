//! What becomes of metadata: what the controller is asked, and what the broker takes from it.

use ottla_observe::Counter;

use super::measure::Measure;

#[derive(Debug, Default)]
pub struct Metadata {
    /// Microseconds from when the controller is given a command until it is decided, and what it writes is in the log.
    pub commands_us: Measure,
    /// Commands that were not committed in time.
    pub late_commands: Counter,
    /// How often the controller lost its state: a bug ended a decision, the log took no records or could not be loaded again.
    pub controller_errors: Counter,
    /// Those of them where the log could not be loaded.
    pub load_errors: Counter,
    /// Microseconds from when a batch is appended until it is committed.
    pub commits_us: Measure,
    /// Records that the broker has applied at once.
    pub applied: Measure,
    /// Microseconds until they were applied, and their partitions open.
    pub applied_us: Measure,
}
