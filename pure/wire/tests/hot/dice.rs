//! Values drawn from a seed, the awkward ones often.

use bytes::Bytes;
use kafka_wire_core::{StrBytes, TaggedField, TaggedFields, Uuid};

pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// SplitMix64.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    pub fn i64(&mut self) -> i64 {
        match self.below(6) {
            0 => -1,
            1 => 0,
            2 => i64::MAX,
            3 => i64::MIN,
            _ => self.bits() as i64,
        }
    }

    pub fn i32(&mut self) -> i32 {
        self.i64() as i32
    }

    pub fn i16(&mut self) -> i16 {
        self.i64() as i16
    }

    /// Never zero, so that no tagged field is left out for being the default.
    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_bytes((u128::from(self.bits()) << 64 | 1).to_be_bytes())
    }

    pub fn maybe<T>(&mut self, draw: impl FnOnce(&mut Dice) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| draw(self))
    }

    /// Mostly a few elements, sometimes none, sometimes more than one byte can count.
    pub fn some<T>(&mut self, mut draw: impl FnMut(&mut Dice) -> T) -> Vec<T> {
        let len = if self.below(40) == 0 { 130 } else { self.below(4) };
        (0..len).map(|_| draw(self)).collect()
    }

    pub fn bytes(&mut self) -> Bytes {
        let len = if self.below(10) == 0 { 20_000 } else { self.below(140) };
        (0..len).map(|_| self.bits() as u8).collect()
    }

    pub fn text(&mut self) -> StrBytes {
        let len = self.below(140);
        let text: String = (0..len).map(|_| ['a', 'Z', '.', '-', 'é', '漢', '\0'][self.below(7)]).collect();
        StrBytes::from(text)
    }

    /// Tagged fields of tags that no version knows.
    pub fn unknown_tags(&mut self) -> TaggedFields {
        let tags = (0..self.below(3) as u32).map(|i| TaggedField::new(100 + 1000 * i, self.bytes()));
        TaggedFields::from_sorted(tags.collect()).unwrap()
    }
}
