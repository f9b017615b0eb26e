//! The order of a log is one that its writers can have meant.
//!
//! What was acknowledged before something else was sent lies before it; and the records of an idempotent producer lie in
//! the order of their numbers, however often they were sent. Where a loss of power may have taken what the broker knew of a
//! producer, any sequence is a beginning to it (KIP-360).

use std::collections::BTreeMap;

use super::logs::{Losses, audits, first_sent, kept, promises};
use super::{Wrong, wrong};
use crate::history::{At, Event, Keeps, LogId};
use crate::record::Record;

pub fn check(history: &[Event]) -> Result<(), Wrong> {
    let (promises, losses, sent) = (promises(history), Losses::of(history), first_sent(history));
    for (at, log, records) in audits(history) {
        let offsets: BTreeMap<Record, i64> = records.iter().map(|(offset, record)| (*record, *offset)).collect();
        check_time(history, at, log, &offsets, &sent)?;
        if promises.get(&log.topic) != Some(&Keeps::Cached) || losses.first(0, at).is_none() {
            check_numbers(history, at, log, records)?;
        }
    }
    Ok(())
}

fn check_time(
    history: &[Event],
    audited: At,
    log: LogId,
    offsets: &BTreeMap<Record, i64>,
    sent: &BTreeMap<(LogId, Record), At>,
) -> Result<(), Wrong> {
    let mut acknowledged = kept(&history[..audited], log).peekable();
    let mut furthest: Option<(i64, Record)> = None;
    let mut by_time: Vec<_> =
        offsets.iter().filter_map(|(record, offset)| Some((sent.get(&(log, *record))?, offset, record))).collect();
    by_time.sort();
    for (sent, offset, record) in by_time {
        while let Some((_, batch, _)) = acknowledged.next_if(|(at, ..)| at < sent) {
            let lying = batch.records().filter_map(|record| Some((*offsets.get(&record)?, record)));
            furthest = furthest.into_iter().chain(lying).max();
        }
        if let Some((before, earlier)) = furthest.filter(|(before, _)| before >= offset) {
            let what =
                format!("{earlier} at {before} was kept before {record} was sent, which is at {offset} of {log}");
            return wrong(audited, what);
        }
    }
    Ok(())
}

fn check_numbers(history: &[Event], audited: At, log: LogId, records: &[(i64, Record)]) -> Result<(), Wrong> {
    let idempotent = history.iter().filter_map(|event| match event {
        Event::Sent { batch } if batch.log == log && batch.is_idempotent => Some(batch.producer),
        _ => None,
    });
    let mut last: BTreeMap<u32, Option<u32>> = idempotent.map(|producer| (producer, None)).collect();
    for (offset, record) in records {
        let Some(last) = last.get_mut(&record.producer) else { continue };
        if let Some(before) = last.filter(|before| *before >= record.number) {
            return wrong(
                audited,
                format!("{record} at {offset} of {log} lies behind number {before} of its producer"),
            );
        }
        *last = Some(record.number);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::example;

    /// The example with another order of the records in the last audit.
    fn ordered(order: &[(u32, u32)]) -> Vec<Event> {
        let mut history = example::history();
        let records = (0..).zip(order.iter().map(|(producer, number)| Record { producer: *producer, number: *number }));
        history.push(Event::Audited {
            log: example::log(Keeps::Cached),
            marks: example::marks(order.len() as i64),
            records: records.collect(),
        });
        history
    }

    #[test]
    fn what_was_kept_before_lies_before() {
        assert_eq!(check(&ordered(&[(2, 0), (3, 0), (2, 1)])), Ok(()));
        let exchanged = ordered(&[(2, 1), (3, 0), (2, 0)]);
        assert_eq!(check(&exchanged).unwrap_err().at, exchanged.len() - 1);
    }

    #[test]
    fn numbers_of_an_idempotent_producer_rise() {
        let mut history = ordered(&[(1, 1), (1, 0)]);
        let batch = |first| example::batch(Keeps::Cached, 1, first, true);
        for event in [Event::Sent { batch: batch(1) }, Event::Sent { batch: batch(0) }] {
            history.insert(0, event);
        }
        assert!(check(&history).unwrap_err().what.contains("lies behind number 1"));
        history.insert(0, Event::PowerLost);
        assert_eq!(check(&history), Ok(()));
    }
}
