//! The times at which something is to happen, each under a name.
//!
//! A member that sends its heartbeat moves the end of its session; most timers are moved many times and never go off. So
//! a timer has a name, and setting it again replaces it. Setting it to a later time, which is what a heartbeat does, only
//! notes that: the timer keeps its place in the order, and moves when that place is reached.
//!
//! Timers belong to a machine's `Soft` state: after a failure they are gone, and `loaded` sets those that are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use ottla_base::Now;

#[derive(Clone, Debug)]
pub struct Timers<K> {
    timers: BTreeMap<K, Timer>,
    /// By place and, of one moment, by name, so that two runs of one history are the same.
    order: BTreeSet<(i64, K)>,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    at: i64,
    /// Where it stands in the order: not later than `at`.
    place: i64,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Timers { timers: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    /// Sets the timer to `after_ms` from now, wherever it stood before.
    pub fn set(&mut self, name: K, now: Now, after_ms: i64) {
        let at = now.mono_ms.saturating_add(after_ms);
        if let Some(timer) = self.timers.get_mut(&name) {
            timer.at = at;
            if timer.place <= at {
                return;
            }
            self.order.remove(&(timer.place, name.clone()));
        }
        self.timers.insert(name.clone(), Timer { at, place: at });
        self.order.insert((at, name));
    }

    pub fn cancel(&mut self, name: &K) {
        if let Some((name, timer)) = self.timers.remove_entry(name) {
            self.order.remove(&(timer.place, name));
        }
    }

    /// When to look for the next one, in [`Now::mono_ms`]: not later than it goes off.
    pub fn deadline(&self) -> Option<i64> {
        self.order.first().map(|(place, _)| *place)
    }

    /// Takes the first of those whose time has come, with that time in [`Now::mono_ms`]: whoever asks may be late.
    pub fn take_due(&mut self, now: Now) -> Option<(K, i64)> {
        while self.deadline()? <= now.mono_ms {
            let (place, name) = self.order.pop_first()?;
            let timer = self.timers.get_mut(&name).expect("what stands in the order is a timer");
            if timer.at == place {
                self.timers.remove(&name);
                return Some((name, place));
            }
            timer.place = timer.at;
            self.order.insert((timer.at, name));
        }
        None
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(mono_ms: i64) -> Now {
        Now { mono_ms, wall_ms: 0 }
    }

    #[test]
    fn they_go_off_in_order_and_once() {
        let mut timers = Timers::default();
        timers.set("late", at(0), 30);
        timers.set("early", at(0), 10);
        timers.set("also early", at(5), 5);
        assert_eq!(timers.deadline(), Some(10));
        assert_eq!(timers.take_due(at(9)), None);
        assert_eq!(timers.take_due(at(50)), Some(("also early", 10)));
        assert_eq!(timers.take_due(at(50)), Some(("early", 10)));
        assert_eq!(timers.take_due(at(50)), Some(("late", 30)));
        assert_eq!(timers.take_due(at(50)), None);
        assert_eq!(timers.deadline(), None);
    }

    #[test]
    fn setting_a_timer_again_moves_it() {
        let mut timers = Timers::default();
        timers.set(1, at(0), 10);
        timers.set(1, at(0), 20);
        assert_eq!(timers.deadline(), Some(10), "it is looked at too early");
        assert_eq!(timers.take_due(at(10)), None);
        assert_eq!(timers.deadline(), Some(20));
        timers.set(1, at(10), 5);
        assert_eq!(timers.take_due(at(15)), Some((1, 15)));
        assert!(timers.is_empty());
    }

    #[test]
    fn a_cancelled_timer_does_not_go_off() {
        let mut timers = Timers::default();
        timers.set(1, at(0), 10);
        timers.cancel(&1);
        timers.cancel(&2);
        assert_eq!(timers.take_due(at(100)), None);
        assert!(timers.is_empty());
    }

    #[test]
    fn a_timer_may_be_further_away_than_time_goes() {
        let mut timers = Timers::default();
        timers.set(1, at(i64::MAX - 1), 10);
        assert_eq!(timers.deadline(), Some(i64::MAX));
    }

    proptest! {
        #[test]
        fn they_go_off_as_they_were_set_last(acts in prop::collection::vec((0..3u8, 0..6u8, 0..20i64), 0..60)) {
            let mut timers = Timers::default();
            let mut model = BTreeMap::new();
            for (act, name, ms) in acts {
                match act {
                    0 => {
                        timers.set(name, at(0), ms);
                        model.insert(name, ms);
                    }
                    1 => {
                        timers.cancel(&name);
                        model.remove(&name);
                    }
                    _ => {
                        let due = model.iter().map(|(name, at)| (*at, *name)).min().filter(|(at, _)| *at <= ms);
                        prop_assert_eq!(timers.take_due(at(ms)), due.map(|(at, name)| (name, at)));
                        due.map(|(_, name)| model.remove(&name));
                    }
                }
                prop_assert!(timers.deadline() <= model.values().min().copied());
                prop_assert_eq!(timers.deadline().is_none(), model.is_empty());
                prop_assert_eq!(timers.is_empty(), model.is_empty());
            }
        }
    }
}
