//! Nothing that was acknowledged is lost: it lies where the acknowledgement said, whatever has happened since that its topic
//! promises to survive; unless somebody has asked for it to go, or its topic sheds it: in a log that is compacted its key must
//! come again behind it, and one of which the old records go goes on from where it begins (`dense`).

use std::collections::BTreeMap;

use super::logs::{Losses, Shedding, audits, first_sent, kept, names, promises, trimmed};
use super::{Wrong, wrong};
use crate::history::{Event, Keeps, Sheds};
use crate::record::Record;

pub fn check(history: &[Event]) -> Result<(), Wrong> {
    let (promises, losses, sent) = (promises(history), Losses::of(history), first_sent(history));
    let (names, trimmed, shedding) = (names(history), trimmed(history), Shedding::of(history));
    for (audited, log, records) in audits(history) {
        let name = names.get(&log.topic).copied().unwrap_or_default();
        let may_begin_at = trimmed.get(&(name, log.partition)).copied().unwrap_or(0);
        let begins_at = records.first().map_or(i64::MAX, |(first, _)| *first);
        let found: BTreeMap<_, _> = records.iter().copied().collect();
        let may_be_shed = |offset, record: Record| match shedding.sheds(&log) {
            Sheds::Nothing => false,
            Sheds::Old => offset < begins_at,
            Sheds::Overwritten => found.range(offset + 1..).any(|(_, later)| later.key() == record.key()),
        };
        for (acknowledged, batch, base_offset) in kept(&history[..audited], log) {
            for (offset, record) in (base_offset..).zip(batch.records()) {
                let is_there = found.get(&offset) == Some(&record);
                let first_sent = sent.get(&(log, record)).copied().unwrap_or(acknowledged);
                let may_be_lost = promises.get(&log.topic) == Some(&Keeps::Cached)
                    && losses.may_have_taken(first_sent, acknowledged, audited);
                let may_be_gone = offset < may_begin_at || may_be_shed(offset, record);
                if !is_there && !may_be_lost && !may_be_gone {
                    let there = found.get(&offset).map_or("nothing".to_owned(), |other| other.to_string());
                    let lost = format!("{record} was kept at {offset} (event {acknowledged}), and there is {there}");
                    return wrong(audited, lost);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::example;

    /// The example, where the last record of a log is missing in the last audit.
    fn without_the_last(of: Keeps, before_it: &[Event]) -> Vec<Event> {
        let mut history = example::history();
        let Some(Event::Audited { mut records, marks, .. }) = history.pop() else { panic!() };
        records.pop();
        history.extend_from_slice(before_it);
        history.push(Event::Audited { log: example::log(of), marks, records });
        history
    }

    #[test]
    fn a_lost_record_is_found() {
        for lost in [without_the_last(Keeps::Cached, &[]), without_the_last(Keeps::Cached, &[Event::Killed])] {
            assert_eq!(check(&lost).unwrap_err().at, lost.len() - 1);
        }
    }

    #[test]
    fn what_was_asked_to_go_may_be_gone() {
        let Some(Event::Audited { log, marks, mut records }) = example::history().pop() else { panic!() };
        let (first, _) = records.remove(0);
        let name = names(&example::history())[&log.topic].to_owned();
        let check_asked = |before| {
            let mut history = example::history();
            history.push(Event::TrimSent { topic: name.clone(), partition: log.partition, before });
            history.push(Event::Audited { log, marks, records: records.clone() });
            check(&history)
        };
        assert!(check_asked(first).is_err());
        assert_eq!(check_asked(first + 1), Ok(()));
    }

    #[test]
    fn a_topic_may_shed_what_it_is_made_to_shed() {
        // Two records of one key, one of another before them.
        let records = [(3, 1), (2, 0), (4, 0)].map(|(producer, number)| Record { producer, number });
        let check_left = |sheds, left: &[usize]| {
            let mut history = example::history_that_sheds(sheds);
            for (offset, record) in (9..).zip(records) {
                let batch = example::batch(Keeps::Synced, record.producer, record.number, false);
                history.push(Event::Kept { batch, base_offset: offset, acks_all: true });
            }
            let synced = history.iter().find_map(|event| match event {
                Event::Audited { log, records, .. } if *log == example::log(Keeps::Synced) => Some(records.clone()),
                _ => None,
            });
            let mut found = synced.unwrap();
            if sheds != Sheds::Overwritten {
                found.clear();
            }
            found.extend(left.iter().map(|at| (9 + *at as i64, records[*at])));
            let log = example::log(Keeps::Synced);
            history.push(Event::Audited { log, marks: example::marks(12), records: found });
            check(&history)
        };
        assert_eq!(check_left(Sheds::Overwritten, &[0, 2]), Ok(()));
        assert!(check_left(Sheds::Overwritten, &[0, 1]).is_err());
        assert!(check_left(Sheds::Overwritten, &[1, 2]).is_err());
        assert_eq!(check_left(Sheds::Old, &[1, 2]), Ok(()));
        assert!(check_left(Sheds::Old, &[0, 2]).is_err());
        assert!(check_left(Sheds::Nothing, &[0, 1, 2]).is_err());
    }

    #[test]
    fn the_power_may_take_what_is_only_cached_and_was_not_written_at_a_stop() {
        assert_eq!(check(&without_the_last(Keeps::Cached, &[Event::PowerLost])), Ok(()));
        assert!(check(&without_the_last(Keeps::Cached, &[Event::Stopped, Event::PowerLost])).is_err());
    }

    #[test]
    fn the_power_may_not_take_what_is_synced() {
        let mut history = example::history();
        history.push(Event::PowerLost);
        let log = example::log(Keeps::Synced);
        let none = Event::Audited { log, marks: example::marks(0), records: Vec::new() };
        history.push(none);
        assert!(check(&history).is_err());
    }
}
