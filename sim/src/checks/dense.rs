//! Offsets are dense: what is read goes on without a gap, below the high watermark, and a whole log has every offset. A log
//! that is compacted has gaps, but its last record.

use super::logs::Shedding;
use super::{Wrong, wrong};
use crate::history::{Event, Sheds};

pub fn check(history: &[Event]) -> Result<(), Wrong> {
    let shedding = Shedding::of(history);
    for (at, event) in history.iter().enumerate() {
        let (log, marks, records) = match event {
            Event::Fetched { log, marks, records, offset, .. } => {
                if records.first().is_some_and(|(first, _)| first > offset) {
                    return wrong(at, format!("{log} was read from {offset}, and records between were passed over"));
                }
                (log, marks, records)
            }
            Event::Audited { log, marks, records } => {
                let first = records.first().map_or(marks.high_watermark, |(first, _)| *first);
                let next = records.last().map_or(marks.high_watermark, |(last, _)| last + 1);
                let begins_well = match shedding.sheds(log) {
                    Sheds::Nothing => first == marks.start,
                    // More of it may have gone while it was read.
                    Sheds::Old => first <= marks.start,
                    Sheds::Overwritten => first >= marks.start,
                };
                if !begins_well || next != marks.high_watermark {
                    return wrong(at, format!("{log} is {marks} and has records from {first} to {next}"));
                }
                (log, marks, records)
            }
            _ => continue,
        };
        let may_have_gaps = shedding.sheds(log) == Sheds::Overwritten;
        let goes_on = |pair: &[(i64, _)]| pair[1].0 == pair[0].0 + 1 || may_have_gaps && pair[1].0 > pair[0].0;
        if let Some(gap) = records.windows(2).find(|pair| !goes_on(pair)) {
            return wrong(at, format!("{log} goes on at {} behind {}", gap[1].0, gap[0].0));
        }
        if let Some((last, _)) = records.last().filter(|(last, _)| *last >= marks.high_watermark) {
            return wrong(at, format!("{log} shows {last}, and its high watermark is {}", marks.high_watermark));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::example;
    use crate::history::Marks;
    use crate::record::Record;

    fn check_changed(at: usize, change: impl FnOnce(&mut Marks, &mut Vec<(i64, Record)>)) -> bool {
        let mut history = example::history();
        let at = at.min(history.len() - 1);
        match &mut history[at] {
            Event::Fetched { marks, records, .. } | Event::Audited { marks, records, .. } => change(marks, records),
            other => panic!("{other}"),
        }
        check(&history).is_err_and(|wrong| wrong.at == at)
    }

    #[test]
    fn gaps_are_found() {
        for at in [example::FETCHED, usize::MAX] {
            assert!(check_changed(at, |_, records| records.retain(|(offset, _)| *offset != 1)));
            assert!(check_changed(at, |_, records| records.retain(|(offset, _)| *offset != 0)));
        }
        assert!(check_changed(usize::MAX, |_, records| records.truncate(2)));
        assert!(check_changed(usize::MAX, |_, records| records.clear()));
    }

    #[test]
    fn gaps_are_where_a_topic_makes_them() {
        let check_without = |sheds, gone: i64| {
            let mut history = example::history_that_sheds(sheds);
            let Some(Event::Audited { records, marks, .. }) = history.last_mut() else { panic!() };
            records.retain(|(offset, _)| *offset != gone);
            if sheds == Sheds::Old {
                marks.start = 1;
            }
            check(&history).is_ok()
        };
        assert_eq!([0, 1, 2].map(|gone| check_without(Sheds::Overwritten, gone)), [true, true, false]);
        assert_eq!([0, 1, 2].map(|gone| check_without(Sheds::Old, gone)), [true, false, false]);
    }

    #[test]
    fn nothing_lies_above_the_high_watermark() {
        assert!(check_changed(example::FETCHED, |marks, _| marks.high_watermark = 1));
    }
}
