//! Random numbers for a machine that has no dice.
//!
//! A new topic needs a random id, and how many ids a request needs is known only while it is decided. The host draws one
//! seed for the command; the numbers that follow from it differ from one another, and from those of any other seed.

use ottla_base::Uuid;

/// The random numbers of one command: a counter that begins somewhere, mixed.
#[derive(Clone, Debug)]
pub struct Entropy {
    counter: u128,
}

impl Entropy {
    /// `seed`: 128 bits that nobody else draws.
    pub fn new(seed: u128) -> Entropy {
        Entropy { counter: mixed(seed) }
    }

    /// A random uuid. No two of one seed are the same.
    pub(crate) fn uuid(&mut self) -> Uuid {
        loop {
            self.counter = self.counter.wrapping_add(1);
            if let Some(uuid) = Uuid::random_from(mixed(self.counter)) {
                return uuid;
            }
        }
    }
}

/// Spreads each bit over all others. No two inputs give the same output: both steps can be undone.
fn mixed(mut bits: u128) -> u128 {
    // The multiplier of PCG's 128-bit generators.
    const ODD: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;
    for _ in 0..2 {
        bits ^= bits >> 64;
        bits = bits.wrapping_mul(ODD);
    }
    bits ^ bits >> 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn neighbouring_seeds_share_no_uuid() {
        let mut all = BTreeSet::new();
        for seed in 0..100 {
            let mut entropy = Entropy::new(seed);
            all.extend((0..100).map(|_| entropy.uuid()));
        }
        assert_eq!(all.len(), 10_000);
    }

    #[test]
    fn every_bit_is_drawn() {
        let mut entropy = Entropy::new(1);
        let mut ones = [0u32; 128];
        for _ in 0..1000 {
            let bits = u128::from_be_bytes(entropy.uuid().0);
            ones.iter_mut().enumerate().for_each(|(i, n)| *n += (bits >> i & 1) as u32);
        }
        // Six bits say version and variant.
        let fixed = ones.iter().filter(|n| matches!(n, 0 | 1000)).count();
        assert_eq!(fixed, 6);
        assert!(ones.iter().filter(|n| (400..600).contains(*n)).count() == 122, "{ones:?}");
    }
}
