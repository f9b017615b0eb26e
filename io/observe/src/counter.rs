//! A number that only grows, and one that rises and falls.
//!
//! Plain atomics: an addition costs about 5 ns where no other core has just done the same. Whoever would share one between
//! all cores has several instead and adds them up when they are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts from the start of the process on.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    #[inline]
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are of something at the moment.
#[derive(Clone, Debug, Default)]
pub struct Level(Arc<AtomicU64>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Entered(Level);

impl Level {
    pub fn enter(&self) -> Entered {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(self.clone())
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_falls_with_those_who_leave() {
        let level = Level::default();
        let [first, second] = [level.enter(), level.enter()];
        assert_eq!(level.get(), 2);
        drop(first);
        assert_eq!(level.get(), 1);
        drop(second);
        assert_eq!(level.get(), 0);
    }
}
