//! A number that only rises, as it becomes known.
//!
//! What is asked for after it was known is answered with no less. A loss of power may take back what was answered before,
//! unless it was synced: with each loss that counts, an era begins in which nothing is known.

use super::logs::Losses;
use crate::history::{At, Event, GroupEvent, Keeps};

/// The highest number, and since when it is known.
#[derive(Debug, Default)]
pub struct Known(Vec<(At, i32)>);

impl Known {
    pub fn learn(&mut self, at: At, number: i32) {
        if self.0.last().is_none_or(|(_, highest)| *highest < number) {
            self.0.push((at, number));
        }
    }

    /// What was known at that time.
    pub fn at(&self, at: At) -> Option<i32> {
        let later = self.0.partition_point(|(since, _)| *since < at);
        later.checked_sub(1).map(|last| self.0[last].1)
    }
}

/// The eras of groups.
#[derive(Debug)]
pub struct Eras(Vec<At>);

impl Eras {
    pub fn of(history: &[Event]) -> Eras {
        match keeps(history) {
            Keeps::Synced => Eras(Vec::new()),
            Keeps::Cached => Eras(Losses::of(history).all().to_vec()),
        }
    }

    pub fn at(&self, at: At) -> usize {
        self.0.partition_point(|loss| *loss < at)
    }

    /// The era in which something was asked for and answered; `None` if nobody knows which of several it was.
    pub fn of_answer(&self, asked: At, answered: At) -> Option<usize> {
        Some(self.at(asked)).filter(|era| *era == self.at(answered))
    }
}

/// What groups are promised.
pub fn keeps(history: &[Event]) -> Keeps {
    let settings = history.iter().find_map(|event| match event {
        Event::Group(GroupEvent::Settings { keeps }) => Some(*keeps),
        _ => None,
    });
    settings.unwrap_or(Keeps::Cached)
}
