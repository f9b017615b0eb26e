//! What a reader was told of a log's ends does not go back, and what was acknowledged by all replicas is below the high
//! watermark of whoever asks from then on.

use std::collections::BTreeMap;

use super::logs::promises;
use super::refusals::is_to_go;
use super::{Wrong, wrong};
use crate::history::{At, Event, Keeps, LogId, Marks};

/// The ends of one log as they have become known: never less than that from the given time on.
#[derive(Debug, Default)]
struct Known {
    since: Vec<(At, Marks)>,
    /// High watermark at the last clean stop.
    settled: i64,
    /// Where the log begins whatever happens: somebody was told that the records before are deleted, or it was at a clean stop.
    deleted_to: i64,
}

impl Known {
    fn at(&self, at: At) -> Marks {
        let later = self.since.partition_point(|(since, _)| *since < at);
        later.checked_sub(1).map_or(Marks { start: 0, high_watermark: 0 }, |last| self.since[last].1)
    }

    fn rise(&mut self, at: At, to: Marks) {
        let now = self.at(At::MAX);
        let start = now.start.max(to.start);
        self.since.push((at, Marks { start, high_watermark: now.high_watermark.max(to.high_watermark) }));
    }
}

pub fn check(history: &[Event]) -> Result<(), Wrong> {
    let promises = promises(history);
    let is_cached = |log: &LogId| promises.get(&log.topic) == Some(&Keeps::Cached);
    let mut logs: BTreeMap<LogId, Known> = BTreeMap::new();
    let mut last_loss = None;
    for (at, event) in history.iter().enumerate() {
        match event {
            Event::Stopped => {
                for known in logs.values_mut() {
                    Marks { start: known.deleted_to, high_watermark: known.settled } = known.at(At::MAX);
                }
            }
            Event::Killed | Event::PowerLost => {
                let is_loss = *event == Event::PowerLost;
                if is_loss {
                    last_loss = Some(at);
                }
                for (log, known) in &mut logs {
                    let Marks { high_watermark, .. } = known.at(At::MAX);
                    let settled = if is_loss && is_cached(log) { known.settled } else { high_watermark };
                    let start = known.deleted_to;
                    known.since.push((at, Marks { start, high_watermark: high_watermark.min(settled) }));
                }
            }
            Event::Kept { batch, base_offset, acks_all: true } if !is_cached(&batch.log) => {
                let high_watermark = base_offset + i64::from(batch.count);
                logs.entry(batch.log).or_default().rise(at, Marks { start: 0, high_watermark });
            }
            // The name that was asked for may be that of another topic by now.
            Event::Trimmed { log, start } if !is_to_go(&history[..at], log) => {
                let known = logs.entry(*log).or_default();
                known.deleted_to = known.deleted_to.max(*start);
                known.rise(at, Marks { start: *start, high_watermark: 0 });
            }
            Event::Fetched { log, marks, .. } | Event::Ends { log, marks, .. } | Event::Audited { log, marks, .. } => {
                let sent = if let Event::Fetched { sent, .. } | Event::Ends { sent, .. } = event { *sent } else { at };
                // It may tell of the time before the loss.
                if is_cached(log) && last_loss.is_some_and(|loss| sent <= loss) {
                    continue;
                }
                let known = logs.entry(*log).or_default();
                let least = known.at(sent);
                if marks.high_watermark < least.high_watermark || marks.start < least.start {
                    return wrong(at, format!("{log} is {marks} and was {least}"));
                }
                known.rise(at, *marks);
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::example;

    fn audit(of: Keeps, marks: Marks) -> Event {
        Event::Audited { log: example::log(of), marks, records: Vec::new() }
    }

    fn check_then(events: &[Event]) -> bool {
        check(&[&example::history(), events].concat()).is_ok()
    }

    #[test]
    fn a_mark_that_goes_back_is_found() {
        for of in [Keeps::Synced, Keeps::Cached] {
            assert!(!check_then(&[Event::Killed, audit(of, example::marks(1))]));
            let started = Marks { start: 2, ..example::marks(9) };
            assert!(!check_then(&[audit(of, started), audit(of, example::marks(9))]));
        }
    }

    #[test]
    fn what_was_deleted_does_not_come_back() {
        let log = example::log(Keeps::Cached);
        let trimmed = Event::Trimmed { log, start: 2 };
        assert!(!check_then(&[trimmed.clone(), Event::PowerLost, audit(Keeps::Cached, example::marks(9))]));
        let of_another = Event::DeleteSent { id: log.topic };
        assert!(check_then(&[of_another, trimmed, Event::PowerLost, audit(Keeps::Cached, example::marks(9))]));
    }

    #[test]
    fn only_the_power_takes_a_mark_back_and_not_below_a_clean_stop() {
        assert!(check_then(&[Event::PowerLost, audit(Keeps::Cached, example::marks(1))]));
        assert!(!check_then(&[Event::Stopped, Event::PowerLost, audit(Keeps::Cached, example::marks(1))]));
        assert!(!check_then(&[Event::PowerLost, audit(Keeps::Synced, example::marks(1))]));
    }

    #[test]
    fn what_all_replicas_keep_is_below_the_mark() {
        let kept = Event::Kept { batch: example::batch(Keeps::Synced, 0, 9, true), base_offset: 50, acks_all: true };
        assert!(check_then(&[kept.clone(), audit(Keeps::Synced, example::marks(51))]));
        assert!(!check_then(&[kept, audit(Keeps::Synced, example::marks(50))]));
    }

    #[test]
    fn an_answer_is_judged_by_when_it_was_asked_for() {
        let at = example::history().len();
        let fetched = |sent, high_watermark| Event::Fetched {
            sent,
            log: example::log(Keeps::Synced),
            offset: 0,
            marks: example::marks(high_watermark),
            records: Vec::new(),
        };
        assert!(check_then(&[fetched(at, 20), fetched(at, 10)]));
        assert!(!check_then(&[fetched(at, 20), fetched(at + 1, 10)]));
        let ends = |sent| Event::Ends { sent, log: example::log(Keeps::Synced), marks: example::marks(10) };
        assert!(check_then(&[fetched(at, 20), ends(at)]));
        assert!(!check_then(&[fetched(at, 20), ends(at + 1)]));
    }
}
