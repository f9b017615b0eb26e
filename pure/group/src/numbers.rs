//! How many groups there are, and of which kind.

use crate::classic::Phase;
use crate::groups::{Soft, State};

/// Of one coordinator, or of several added up. Groups of the classic protocol, as Kafka counts them here, and all offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    pub classic: usize,
    pub preparing: usize,
    pub completing: usize,
    pub stable: usize,
    pub empty: usize,
    pub offsets: usize,
}

impl Numbers {
    /// Looks at each group once.
    pub fn of(state: &State, soft: &Soft) -> Numbers {
        let mut numbers = Numbers { classic: state.groups.len(), ..Numbers::default() };
        for group in soft.classic.iter() {
            match group.phase {
                Phase::Empty => {}
                Phase::Preparing(_) => numbers.preparing += 1,
                Phase::Completing => numbers.completing += 1,
                Phase::Stable => numbers.stable += 1,
            }
        }
        numbers.empty = numbers.classic.saturating_sub(numbers.preparing + numbers.completing + numbers.stable);
        numbers.offsets =
            state.offsets.values().flat_map(|topics| topics.values()).map(|partitions| partitions.len()).sum();
        numbers
    }

    #[must_use]
    pub fn plus(self, other: Numbers) -> Numbers {
        Numbers {
            classic: self.classic + other.classic,
            preparing: self.preparing + other.preparing,
            completing: self.completing + other.completing,
            stable: self.stable + other.stable,
            empty: self.empty + other.empty,
            offsets: self.offsets + other.offsets,
        }
    }
}
