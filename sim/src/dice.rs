//! What the simulation itself draws.

use std::ops::RangeInclusive;

use ottla_rt::Rt;

/// The dice of one process, thrown in the ways that a story needs.
#[derive(Clone, Debug)]
pub struct Dice(pub Rt);

impl Dice {
    pub fn within(&self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.0.random_u64() % (range.end() - range.start() + 1)
    }

    pub fn one_in(&self, n: u64) -> bool {
        self.within(1..=n) == 1
    }

    /// # Panics
    /// If there is nothing to pick from.
    pub fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[self.within(0..=from.len() as u64 - 1) as usize]
    }
}
