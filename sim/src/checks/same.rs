//! What was seen once is seen again: a record that a reader was shown stays at its offset.
//!
//! A loss of power may take the end of a log that is only cached. What is left of it is its beginning, without holes but
//! those that compaction makes.

use std::collections::BTreeMap;

use super::logs::{Shedding, promises};
use super::{Wrong, wrong};
use crate::history::{At, Event, Keeps, LogId, Sheds};
use crate::record::Record;

/// What is known of one log.
#[derive(Clone, Debug, Default)]
struct Seen {
    records: BTreeMap<i64, Record>,
    /// Everything before this offset was on the disk at the last clean stop.
    settled: i64,
    /// What was seen before the power was lost, and when that was.
    before_loss: Option<(At, BTreeMap<i64, Record>)>,
}

pub fn check(history: &[Event]) -> Result<(), Wrong> {
    let (promises, shedding) = (promises(history), Shedding::of(history));
    let last_sent = last_sent(history);
    let mut logs: BTreeMap<LogId, Seen> = BTreeMap::new();
    let mut last_loss = None;
    for (at, event) in history.iter().enumerate() {
        let (sent, log, records) = match event {
            Event::Stopped => {
                for seen in logs.values_mut() {
                    seen.settled = seen.records.keys().last().map_or(0, |last| last + 1);
                }
                continue;
            }
            Event::PowerLost => {
                last_loss = Some(at);
                for (_, seen) in logs.iter_mut().filter(|(log, _)| is_cached(&promises, log)) {
                    seen.before_loss = Some((at, seen.records.clone()));
                    seen.records.split_off(&seen.settled);
                }
                continue;
            }
            Event::Fetched { sent, log, records, .. } => (*sent, log, records),
            Event::Audited { log, records, .. } => (at, log, records),
            _ => continue,
        };
        // It may be of the time before the loss.
        if is_cached(&promises, log) && last_loss.is_some_and(|loss| sent <= loss) {
            continue;
        }
        let seen = logs.entry(*log).or_default();
        for (offset, record) in records {
            let before = *seen.records.entry(*offset).or_insert(*record);
            if before != *record {
                return wrong(at, format!("{log} has {record} at {offset}, where {before} was seen"));
            }
        }
        let is_whole = matches!(event, Event::Audited { .. });
        if is_whole && shedding.sheds(log) != Sheds::Overwritten {
            check_rest(seen, at, *log, records, &last_sent)?;
        }
    }
    Ok(())
}

/// What has survived the last loss of power has survived with all that was before it.
fn check_rest(
    seen: &Seen,
    audited: At,
    log: LogId,
    records: &[(i64, Record)],
    last_sent: &BTreeMap<(LogId, Record), Vec<At>>,
) -> Result<(), Wrong> {
    let Some((loss, before)) = &seen.before_loss else { return Ok(()) };
    let found: BTreeMap<_, _> = records.iter().copied().collect();
    // A record that was sent again may lie where it lay by chance.
    let was_sent_again = |record| {
        let times = last_sent.get(&(log, record));
        times.is_some_and(|times| times.iter().any(|sent| (*loss..audited).contains(sent)))
    };
    let mut survivors =
        before.iter().filter(|(at, record)| found.get(*at) == Some(*record) && !was_sent_again(**record));
    let Some((last, survivor)) = survivors.next_back() else { return Ok(()) };
    // What is before its beginning has gone of itself.
    let begins_at = *found.keys().next().unwrap_or(last);
    match before.range(begins_at..*last).find(|(at, record)| found.get(*at) != Some(*record)) {
        None => Ok(()),
        Some((at, record)) => {
            let hole =
                format!("{log} has lost {record} at {at} with the power, and not {survivor} at {last} behind it");
            wrong(audited, hole)
        }
    }
}

fn is_cached(promises: &BTreeMap<ottla_base::Uuid, Keeps>, log: &LogId) -> bool {
    promises.get(&log.topic) == Some(&Keeps::Cached)
}

/// Every time that a record was sent.
fn last_sent(history: &[Event]) -> BTreeMap<(LogId, Record), Vec<At>> {
    let mut times: BTreeMap<_, Vec<At>> = BTreeMap::new();
    for (at, event) in history.iter().enumerate() {
        if let Event::Sent { batch } = event {
            for record in batch.records() {
                times.entry((batch.log, record)).or_default().push(at);
            }
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::example;

    fn audit(of: Keeps, records: &[(i64, Record)]) -> Event {
        let end = records.last().map_or(0, |(last, _)| last + 1);
        Event::Audited { log: example::log(of), marks: example::marks(end), records: records.to_vec() }
    }

    /// The records of the cached log in the example.
    fn cached() -> Vec<(i64, Record)> {
        match example::history().pop() {
            Some(Event::Audited { records, .. }) => records,
            other => panic!("{other:?}"),
        }
    }

    fn check_then(events: &[Event]) -> bool {
        check(&[&example::history(), events].concat()).is_ok()
    }

    #[test]
    fn an_offset_that_shows_something_else_is_found() {
        let mut other = cached();
        other[1].1 = other[2].1;
        assert!(!check_then(&[audit(Keeps::Cached, &other)]));
        assert!(!check_then(&[Event::Killed, audit(Keeps::Cached, &other)]));
    }

    #[test]
    fn a_loss_of_power_takes_an_end_and_no_more() {
        let all = cached();
        assert!(check_then(&[Event::PowerLost, audit(Keeps::Cached, &all[..1])]));
        let hole = [all[0], (all[1].0, Record { producer: 9, number: 9 }), all[2]];
        assert!(!check_then(&[Event::PowerLost, audit(Keeps::Cached, &hole)]));
        assert!(!check_then(&[Event::Stopped, Event::PowerLost, audit(Keeps::Cached, &hole[..2])]));
    }

    #[test]
    fn an_answer_may_be_older_than_the_loss() {
        let replaced = [(0, Record { producer: 9, number: 9 })];
        let late = Event::Fetched {
            sent: 1,
            log: example::log(Keeps::Cached),
            offset: 0,
            marks: example::marks(3),
            records: cached(),
        };
        assert!(check_then(&[Event::PowerLost, audit(Keeps::Cached, &replaced), late.clone()]));
        assert!(!check_then(&[Event::Killed, late, audit(Keeps::Cached, &replaced)]));
    }
}
