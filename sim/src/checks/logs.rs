//! What checks want to know of logs and losses.

use std::collections::BTreeMap;

use ottla_base::Uuid;

use crate::history::{At, Batch, Event, Keeps, LogId, Sheds};
use crate::record::Record;

/// What each topic keeps.
pub fn promises(history: &[Event]) -> BTreeMap<Uuid, Keeps> {
    let created = history.iter().filter_map(|event| match event {
        Event::Created { id, keeps, .. } => Some((*id, *keeps)),
        _ => None,
    });
    created.collect()
}

/// What each topic loses of itself; those that are not named lose nothing.
#[derive(Debug)]
pub struct Shedding(BTreeMap<Uuid, Sheds>);

impl Shedding {
    pub fn of(history: &[Event]) -> Shedding {
        let created = history.iter().filter_map(|event| match event {
            Event::Created { id, sheds, .. } => Some((*id, *sheds)),
            _ => None,
        });
        Shedding(created.collect())
    }

    pub fn sheds(&self, log: &LogId) -> Sheds {
        self.0.get(&log.topic).copied().unwrap_or(Sheds::Nothing)
    }
}

/// Every record that was sent to a log, and when for the first time.
pub fn first_sent(history: &[Event]) -> BTreeMap<(LogId, Record), At> {
    let mut sent = BTreeMap::new();
    for (at, event) in history.iter().enumerate() {
        if let Event::Sent { batch } = event {
            for record in batch.records() {
                sent.entry((batch.log, record)).or_insert(at);
            }
        }
    }
    sent
}

/// Whole logs, and when they were read.
pub fn audits(history: &[Event]) -> impl Iterator<Item = (At, LogId, &[(i64, Record)])> {
    history.iter().enumerate().filter_map(|(at, event)| match event {
        Event::Audited { log, records, .. } => Some((at, *log, records.as_slice())),
        _ => None,
    })
}

/// Before which offset the records of each log may have been deleted.
pub fn trimmed(history: &[Event]) -> BTreeMap<(&str, i32), i64> {
    let mut trimmed = BTreeMap::new();
    for event in history {
        if let Event::TrimSent { topic, partition, before } = event {
            let most = trimmed.entry((topic.as_str(), *partition)).or_insert(0);
            *most = before.max(most).to_owned();
        }
    }
    trimmed
}

/// The name of each topic.
pub fn names(history: &[Event]) -> BTreeMap<Uuid, &str> {
    let created = history.iter().filter_map(|event| match event {
        Event::Created { id, name, .. } => Some((*id, name.as_str())),
        _ => None,
    });
    created.collect()
}

/// Acknowledgements of a log, with their times and base offsets.
pub fn kept(history: &[Event], of: LogId) -> impl Iterator<Item = (At, Batch, i64)> {
    history.iter().enumerate().filter_map(move |(at, event)| match event {
        Event::Kept { batch, base_offset, .. } if batch.log == of => Some((at, *batch, *base_offset)),
        _ => None,
    })
}

/// Losses of power, and the clean stops after which nothing was left to lose.
#[derive(Debug)]
pub struct Losses {
    losses: Vec<At>,
    stops: Vec<At>,
}

impl Losses {
    pub fn of(history: &[Event]) -> Losses {
        let all = |wanted: Event| (0..history.len()).filter(|at| history[*at] == wanted).collect();
        Losses { losses: all(Event::PowerLost), stops: all(Event::Stopped) }
    }

    pub fn all(&self) -> &[At] {
        &self.losses
    }

    /// The first loss behind `from` and before `until`.
    pub fn first(&self, from: At, until: At) -> Option<At> {
        self.losses.iter().copied().find(|loss| (from..until).contains(loss))
    }

    /// Whether a batch of a log that is only cached may be missing at `now`: sent at `sent` for the first time, acknowledged
    /// at `kept`. A loss before the acknowledgement came may have been behind the append.
    pub fn may_have_taken(&self, sent: At, kept: At, now: At) -> bool {
        let Some(loss) = self.first(sent, now) else { return false };
        !self.stops.iter().any(|stop| (kept..loss).contains(stop))
    }
}
