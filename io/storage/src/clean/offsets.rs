//! The newest offset of each key, in memory of a fixed size.
//!
//! A key may be long, so its hash stands for it: of 128 bits, at which two different keys do not meet (one pair in 10^18, among
//! 10^10 keys). An entry takes 24 bytes, as in Kafka, which hashes with MD5. The table is filled to some part only, since a
//! search goes on to the next slot where the first is taken.

use twox_hash::XxHash3_128;

/// Hash, and the offset plus one: 0 is an empty slot.
type Slot = [u64; 3];

pub(super) struct OffsetMap {
    slots: Vec<Slot>,
    /// Slots that are searched: fewer than there are, if there are few keys. The rest need not be cleared.
    used: usize,
    entries: usize,
    entries_max: usize,
    load_factor: f64,
}

impl OffsetMap {
    pub fn new(bytes: usize, load_factor: f64) -> OffsetMap {
        let slots = bytes / size_of::<Slot>();
        let map = OffsetMap { slots: vec![[0; 3]; slots], used: slots, entries: 0, entries_max: 0, load_factor };
        assert!(map.entries_of(slots) > 0, "a map of {bytes} bytes, to be filled to {load_factor}, takes no key");
        map
    }

    /// Forgets everything. At most so many keys will be put in.
    pub fn clear_for(&mut self, keys: u64) {
        let needed = (keys as f64 / self.load_factor).ceil() as usize;
        self.used = needed.saturating_add(2).min(self.slots.len());
        self.slots[..self.used].fill([0; 3]);
        self.entries = 0;
        self.entries_max = self.entries_of(self.used);
    }

    /// Notes the newest offset of a key. `false`: the map is full.
    pub fn put(&mut self, key: &[u8], offset: i64) -> bool {
        let slot = self.search(key);
        let [high, low, stored] = &mut self.slots[slot];
        if *stored == 0 {
            if self.entries == self.entries_max {
                return false;
            }
            self.entries += 1;
            [*high, *low] = halves(key);
        }
        *stored = (*stored).max(offset.cast_unsigned() + 1);
        true
    }

    pub fn get(&self, key: &[u8]) -> Option<i64> {
        self.slots[self.search(key)][2].checked_sub(1).map(u64::cast_signed)
    }

    /// The part of all slots that are taken.
    pub fn use_of_all(&self) -> f64 {
        self.entries as f64 / self.slots.len() as f64
    }

    fn entries_of(&self, slots: usize) -> usize {
        // One at least stays empty, where a search ends.
        ((slots as f64 * self.load_factor) as usize).min(slots.saturating_sub(1))
    }

    /// The slot of the key, or the empty one where it would be.
    fn search(&self, key: &[u8]) -> usize {
        let [high, low] = halves(key);
        let mut slot = ((u128::from(high) * self.used as u128) >> 64) as usize;
        loop {
            let [stored_high, stored_low, stored] = self.slots[slot];
            if stored == 0 || (stored_high, stored_low) == (high, low) {
                return slot;
            }
            slot = if slot + 1 == self.used { 0 } else { slot + 1 };
        }
    }
}

impl std::fmt::Debug for OffsetMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OffsetMap").field("slots", &self.slots.len()).field("entries", &self.entries).finish()
    }
}

fn halves(key: &[u8]) -> [u64; 2] {
    let hash = XxHash3_128::oneshot(key);
    [(hash >> 64) as u64, hash as u64]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_knows_what_a_map_knows_until_it_is_full() {
        for (slots, load_factor, room) in [(2, 0.9, 1), (10, 0.5, 5), (10, 1.0, 9), (1000, 0.9, 900)] {
            let mut map = OffsetMap::new(24 * slots + 23, load_factor);
            for _ in 0..2 {
                map.clear_for(u64::MAX / 2);
                let mut truth = BTreeMap::new();
                for offset in 0.. {
                    // Every other one is of a key that is there.
                    let key = (offset / 2 * (offset % 2 + 1)).to_string();
                    if !map.put(key.as_bytes(), offset) {
                        break;
                    }
                    truth.insert(key, offset);
                }
                assert_eq!(truth.len(), room);
                assert!(
                    (0..5000).map(|key| key.to_string()).all(|key| map.get(key.as_bytes()) == truth.get(&key).copied())
                );
                assert!(map.put(truth.keys().next().unwrap().as_bytes(), 1 << 40), "a key that is there has its place");
                assert!((map.use_of_all() - room as f64 / slots as f64).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn few_keys_use_few_slots() {
        let mut map = OffsetMap::new(24 << 20, 0.75);
        for keys in [0, 1, 2, 7, 100] {
            map.clear_for(keys);
            assert!(map.used <= 2 * keys as usize + 2);
            assert!((0..keys).all(|key| map.put(&key.to_be_bytes(), 5)));
            assert!((0..keys).all(|key| map.get(&key.to_be_bytes()) == Some(5)));
            assert_eq!(map.get(&keys.to_be_bytes()), None);
        }
    }

    #[test]
    fn an_older_offset_does_not_replace_a_newer() {
        let mut map = OffsetMap::new(240, 0.9);
        map.clear_for(5);
        assert!(map.put(b"k", 7) && map.put(b"k", 3));
        assert_eq!((map.get(b"k"), map.get(b"l")), (Some(7), None));
    }

    #[test]
    #[should_panic(expected = "takes no key")]
    fn a_map_without_room_is_a_bug() {
        OffsetMap::new(24, 0.9);
    }
}
