//! How long the coordinators of groups take.

use super::measure::Measure;

#[derive(Debug, Default)]
pub struct Coordinators {
    /// Microseconds from when a command comes until it is decided, and what it writes is in the log.
    pub commands_us: Measure,
    /// Microseconds that one step's records take to get into the log.
    pub appends_us: Measure,
    /// Milliseconds that a log takes to be loaded.
    pub loads_ms: Measure,
}
