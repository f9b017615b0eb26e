//! Nothing is read that was not sent, and no answer is one that no broker may give.

use super::logs::first_sent;
use super::{Wrong, wrong};
use crate::history::Event;

pub fn check(history: &[Event]) -> Result<(), Wrong> {
    let sent = first_sent(history);
    for (at, event) in history.iter().enumerate() {
        let (log, records) = match event {
            Event::Broken { what } => return wrong(at, what.clone()),
            Event::Fetched { log, records, .. } | Event::Audited { log, records, .. } => (*log, records),
            _ => continue,
        };
        for (offset, record) in records {
            if sent.get(&(log, *record)).is_none_or(|sent| *sent > at) {
                return wrong(at, format!("{record} at {offset} was not sent to {log}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::example;
    use crate::record::Record;

    #[test]
    fn a_record_from_nowhere_is_found() {
        let mut history = example::history();
        let Event::Fetched { records, .. } = &mut history[example::FETCHED] else { panic!() };
        records[0].1 = Record { producer: 0, number: 77 };
        assert_eq!(check(&history).unwrap_err().at, example::FETCHED);
    }

    #[test]
    fn what_a_client_calls_broken_is_found() {
        let mut history = example::history();
        history.push(Event::Broken { what: "a torn batch".into() });
        assert_eq!(check(&history).unwrap_err().what, "a torn batch");
    }
}
