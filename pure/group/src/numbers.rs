//! How many groups there are, and of which kind.

use crate::classic::Phase;
use crate::groups::{Soft, State};

/// Of one coordinator, or of several added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Groups of the classic protocol, and of them by state.
    pub classic: usize,
    pub preparing: usize,
    pub completing: usize,
    pub stable: usize,
    pub empty: usize,
    /// Groups of the consumer protocol, by [`CONSUMER_STATES`].
    pub consumer: [usize; CONSUMER_STATES.len()],
    pub offsets: usize,
    pub offset_counts: OffsetCounts,
}

/// Kafka's names for the states of groups of the consumer protocol.
pub const CONSUMER_STATES: [&str; 4] = ["Empty", "Assigning", "Reconciling", "Stable"];

/// What became of offsets since the coordinator was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffsetCounts {
    pub committed: u64,
    /// By OffsetDelete.
    pub deleted: u64,
    pub expired: u64,
}

impl OffsetCounts {
    fn plus(self, other: OffsetCounts) -> OffsetCounts {
        OffsetCounts {
            committed: self.committed + other.committed,
            deleted: self.deleted + other.deleted,
            expired: self.expired + other.expired,
        }
    }
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
        for group in state.consumer.values() {
            let place = CONSUMER_STATES.iter().position(|state| *state == group.state());
            numbers.consumer[place.expect("there are no other states")] += 1;
        }
        numbers.offset_counts = soft.offset_counts;
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
            consumer: std::array::from_fn(|place| self.consumer[place] + other.consumer[place]),
            offsets: self.offsets + other.offsets,
            offset_counts: self.offset_counts.plus(other.offset_counts),
        }
    }
}
