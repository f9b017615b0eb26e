//! Where the members of a group believe to be.
//!
//! Whether a group has settled is seen when all of its members say the same at one moment.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::history::LogId;

/// Of one group. Clones are the same roster.
#[derive(Clone, Debug)]
pub struct Roster(Arc<Mutex<Vec<Option<Place>>>>);

/// A member's generation, or epoch, and what it owns in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub generation: i32,
    pub logs: Vec<LogId>,
}

impl Roster {
    pub fn of(members: usize) -> Roster {
        Roster(Arc::new(Mutex::new(vec![None; members])))
    }

    /// Where the member is from now on, if it is in the group.
    pub fn set(&self, member: usize, place: Option<Place>) {
        self.places()[member] = place;
    }

    /// Whether all are in one generation, and each log is owned by one.
    pub fn is_settled(&self, all: &BTreeSet<LogId>) -> bool {
        let places = self.places();
        let mut owned = BTreeSet::new();
        let generation = places.first().and_then(Option::as_ref).map(|place| place.generation);
        let are_together =
            places.iter().all(|place| place.as_ref().is_some_and(|place| Some(place.generation) == generation));
        let is_shared = places.iter().flatten().flat_map(|place| &place.logs).all(|log| owned.insert(*log));
        are_together && is_shared && owned == *all
    }

    fn places(&self) -> MutexGuard<'_, Vec<Option<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ottla_base::Uuid;

    use super::*;

    fn log(partition: i32) -> LogId {
        LogId { topic: Uuid([7; 16]), partition }
    }

    fn check(places: &[Option<(i32, &[i32])>]) -> bool {
        let roster = Roster::of(places.len());
        for (member, place) in places.iter().enumerate() {
            let place = place.map(|(generation, partitions)| Place {
                generation,
                logs: partitions.iter().copied().map(log).collect(),
            });
            roster.set(member, place);
        }
        roster.is_settled(&[log(0), log(1)].into())
    }

    #[test]
    fn a_group_has_settled_when_each_log_has_an_owner_in_one_generation() {
        assert!(check(&[Some((3, &[0, 1])), Some((3, &[]))]));
        assert!(check(&[Some((3, &[0])), Some((3, &[1]))]));
        assert!(!check(&[Some((3, &[0, 1])), None]));
        assert!(!check(&[Some((3, &[0])), Some((4, &[1]))]));
        assert!(!check(&[Some((3, &[0])), Some((3, &[]))]));
        assert!(!check(&[Some((3, &[0])), Some((3, &[0, 1]))]));
    }
}
