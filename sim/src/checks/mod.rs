//! What a broker promises, as functions of a history.
//!
//! Each check goes through the whole history of one broker and gives the first thing in it that may not be.

mod commits;
mod dense;
mod generations;
mod honest;
mod kept;
mod known;
mod logs;
mod marks;
mod once;
mod order;
mod owners;
mod refusals;
mod same;
mod topics;

use std::fmt;

use crate::history::{At, Event};

/// Something that may not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The event that shows it.
    pub at: At,
    pub what: String,
}

type Check = fn(&[Event]) -> Result<(), Wrong>;

const CHECKS: &[(&str, Check)] = &[
    ("honest", honest::check),
    ("kept", kept::check),
    ("once", once::check),
    ("order", order::check),
    ("dense", dense::check),
    ("same", same::check),
    ("marks", marks::check),
    ("topics", topics::check),
    ("refusals", refusals::check),
    ("commits", commits::check),
    ("generations", generations::check),
    ("owners", owners::check),
];

/// A promise that a broker broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub broker: &'static str,
    pub check: &'static str,
    pub wrong: Wrong,
    /// The event of [`Wrong::at`].
    pub event: String,
}

/// Everything that is wrong in the history of a broker.
pub fn check(broker: &'static str, history: &[Event]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (name, check) in CHECKS {
        if let Err(wrong) = check(history) {
            let event = history[wrong.at].to_string();
            violations.push(Violation { broker, check: name, wrong, event });
        }
    }
    violations
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { broker, check, wrong: Wrong { at, what }, event } = self;
        write!(f, "broker {broker}, {check}: {what}; event {at}: {event}")
    }
}

/// Ends a check.
fn wrong<T>(at: At, what: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { at, what: what.into() })
}

#[cfg(test)]
mod example;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_history_passes_all_checks() {
        assert_eq!(check("a", &example::history()), []);
    }
}
