//! No record is in a log twice: idempotent producers send again, and the broker knows it; the others send once.

use std::collections::BTreeMap;

use super::logs::audits;
use super::{Wrong, wrong};
use crate::history::Event;

pub fn check(history: &[Event]) -> Result<(), Wrong> {
    for (at, log, records) in audits(history) {
        let mut found = BTreeMap::new();
        for (offset, record) in records {
            if let Some(other) = found.insert(*record, *offset) {
                return wrong(at, format!("{record} is in {log} at {other} and at {offset}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::example;

    #[test]
    fn a_record_that_is_there_twice_is_found() {
        let mut history = example::history();
        let last = history.len() - 1;
        let Event::Audited { records, .. } = &mut history[last] else { panic!() };
        let (offset, record) = records[0];
        records.push((offset + 100, record));
        assert_eq!(check(&history).unwrap_err().at, last);
    }
}
