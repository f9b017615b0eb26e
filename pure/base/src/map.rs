//! Hash maps whose order depends on nothing but their seed.
//!
//! `std`'s default hasher draws its keys from the process, so two runs of one simulation seed would visit a map in two
//! orders. A [`Map`] is made from a [`Seed`] that its owner was given: random in production, fixed in simulation.

use std::hash::BuildHasher;

use foldhash::fast::{FoldHasher, SeedableRandomState};

/// A hash map with a given seed. Made by `Map::with_hasher(seed)`.
pub type Map<K, V> = std::collections::HashMap<K, V, Seed>;

/// A hash set with a given seed. Made by `Set::with_hasher(seed)`.
pub type Set<K> = std::collections::HashSet<K, Seed>;

/// What a [`Map`] hashes with. The broker draws one at its start, so that no client can choose keys that collide.
#[derive(Clone, Copy, Debug)]
pub struct Seed(u64);

impl Seed {
    pub fn new(seed: u64) -> Seed {
        Seed(seed)
    }
}

impl BuildHasher for Seed {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        SeedableRandomState::with_seed(self.0, foldhash::SharedSeed::global_fixed()).build_hasher()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_order() {
        let order = |seed| {
            let mut map = Map::with_hasher(Seed::new(seed));
            map.extend((0..100).map(|n| (n, ())));
            map.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
    }
}
