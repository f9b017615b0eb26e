//! With what software clients have connected, as they say themselves (KIP-511).
//!
//! Both words are a client's text, and become values of labels, of which whoever stores metrics wants to see few. So as many
//! kinds are told apart as there may reasonably be, those that came first of who is there; all others are one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ottla_observe::{Entered, Level};

/// Kinds at a listener that are told apart.
const KINDS_MAX: usize = 100;
/// Longer names and versions are those of no kind.
const WORD_BYTES_MAX: usize = 64;
/// The words for all others.
const OTHER: &str = "other";
/// What Kafka calls both name and version where a client has not said them.
pub const UNKNOWN: &str = "unknown";

/// Name and version.
pub type Kind = (Arc<str>, Arc<str>);

/// Connections by their listener and the kind of their client.
#[derive(Debug, Default)]
pub struct Software(Mutex<BTreeMap<(Kind, Arc<str>), Level>>);

impl Software {
    /// A connection counts as one of this kind from now on, until what is returned is dropped. Who says that it is unknown
    /// has said nothing.
    pub fn enter(&self, listener: &Arc<str>, name: &str, version: &str) -> Option<Entered> {
        if (name, version) == (UNKNOWN, UNKNOWN) {
            return None;
        }
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = |name: &str, version: &str| ((name.into(), version.into()), listener.clone());
        let own = key(name, version);
        if kinds.len() >= KINDS_MAX {
            kinds.retain(|_, level| level.get() > 0);
        }
        let is_told_apart =
            kinds.contains_key(&own) || kinds.len() < KINDS_MAX && name.len().max(version.len()) <= WORD_BYTES_MAX;
        Some(kinds.entry(if is_told_apart { own } else { key(OTHER, OTHER) }).or_default().enter())
    }

    /// The kinds that there are connections of, and how many.
    pub fn counts(&self) -> Vec<(Kind, Arc<str>, u64)> {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = kinds.iter().map(|((kind, listener), level)| (kind.clone(), listener.clone(), level.get()));
        counts.filter(|(_, _, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_kinds_the_first_are_told_apart() {
        let (software, listener) = (Software::default(), Arc::from("L"));
        let first = software.enter(&listener, "a", "1");
        let _others: Vec<_> = (0..1_000).map(|i| software.enter(&listener, "b", &i.to_string())).collect();
        let _again = software.enter(&listener, "a", "1");
        let _long = software.enter(&listener, "a", &"1".repeat(65));
        let count = |name: &str, version: &str| {
            let kind = (name.into(), version.into());
            software.counts().into_iter().find(|(known, ..)| *known == kind).map(|(_, _, count)| count)
        };
        assert_eq!((count("a", "1"), count("b", "7"), count("b", "999")), (Some(2), Some(1), None));
        assert_eq!((count("other", "other"), software.counts().len()), (Some(902), KINDS_MAX + 1));
        drop((first, _again));
        assert_eq!(count("a", "1"), None);
    }

    #[test]
    fn kinds_of_which_nobody_is_left_make_room_for_others() {
        let (software, listener) = (Software::default(), Arc::from("L"));
        let stays = software.enter(&listener, "a", "1");
        (0..1_000).for_each(|i| drop(software.enter(&listener, "b", &i.to_string())));
        let comes = software.enter(&listener, "c", "1");
        let counts: Vec<_> = software.counts().into_iter().map(|((name, _), _, count)| (name, count)).collect();
        assert_eq!(counts, [("a".into(), 1), ("c".into(), 1)]);
        drop((stays, comes));
    }
}
