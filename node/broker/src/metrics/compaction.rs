//! What compaction tells of itself. Kafka's numbers are those of the last compaction, in whole percent and seconds.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ottla_observe::Counter;

#[derive(Debug, Default)]
pub struct Compaction {
    /// Read and written, by those that are going on too.
    pub bytes: Counter,
    last: Mutex<Last>,
}

#[derive(Clone, Debug, Default)]
pub struct Last {
    /// How much of what was read was written again.
    pub recopied: f64,
    pub map_use: f64,
    pub took_ms: i64,
    /// Of the log of which most was dirty.
    pub dirty: f64,
    /// For how long a record of some log had waited beyond its `max.compaction.lag.ms`, when the last one was begun.
    pub overdue_ms: i64,
    /// In mono time. `None` before the first look.
    pub looked_ms: Option<i64>,
    /// Logs that cannot be compacted, by the path of their log directory.
    pub uncleanable: BTreeMap<String, usize>,
}

impl Compaction {
    pub fn last(&self) -> Last {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn note(&self, change: impl FnOnce(&mut Last)) {
        change(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
