//! Decide, append, replay, release: the shape of every coordinator.
//!
//! A coordinator (controller, groups, transactions) must not tell a client what a crash could take back, and after a
//! crash must know what it told. The simple answer, change a map and write a log line beside it, fails twice: a change
//! whose line is lost has been seen, and the code that changes the map differs from the code that reads the log.
//!
//! So a [`Machine`] changes its durable state in one function only, [`Machine::replay`]. A decision reads that state and
//! changes it by *writing a record*, which replays it on the spot; the next line of the same decision sees it. One step
//! is one atomic batch of records. What a step answers stays in its [`Shard`] until the high watermark of the log has
//! passed the batch. After a failure the shard is dropped and loaded from the log: there is nothing else to repair.
//!
//! Time passes too: a machine keeps [`Timers`] in its soft state, and the host calls [`Shard::tick`] when
//! [`Shard::deadline`] has come. That is a step like any other.
//!
//! Nothing here knows a lock, a thread, a clock or a disk: the host brings them.

use std::fmt::Debug;

use ottla_base::TxnOutcome;

mod shard;
mod step;
mod timers;

pub use shard::{Batch, Load, Output, OutputOf, Shard};
pub use step::{Ledger, Step};
pub use timers::Timers;

/// A coordinator's rules. The value itself holds nothing: state is in [`Machine::Hard`] and [`Machine::Soft`].
pub trait Machine: Sized + 'static {
    /// What the log says. Only [`Machine::replay`] gets it mutably.
    type Hard: Default + Debug;
    /// What the log does not say, gone after a failure: parked askers and timers, for two.
    type Soft: Debug;
    type Command: Debug;
    type Record: Debug;
    type Reply: Debug;
    /// What is to be done elsewhere once the step is committed.
    type Effect: Debug;

    /// Answers one command: reads `step.log`, writes records to it, replies now, later or never.
    fn decide(step: &mut Step<'_, Self>, asker: Waiter, command: Self::Command);

    /// Makes one record true. Called as the record is written and again, in the same order, when the log is loaded: it may
    /// depend on nothing but its arguments.
    fn replay(hard: &mut Self::Hard, at: At, record: &Self::Record);

    /// The same for a record that a producer wrote in a transaction: it is to be true once that was committed. Only loaded, as
    /// nothing that is decided writes such records.
    fn replay_pending(hard: &mut Self::Hard, at: At, _producer_id: i64, record: &Self::Record) {
        Self::replay(hard, at, record);
    }

    /// A marker in the log says how the producer's transaction has ended.
    fn replay_marker(_hard: &mut Self::Hard, _producer_id: i64, _outcome: TxnOutcome) {}

    /// The first step after the log was loaded: sets timers, resumes what was half done.
    fn loaded(_step: &mut Step<'_, Self>) {}

    /// When [`Machine::expire`] has something to do, in [`Now::mono_ms`](ottla_base::Now::mono_ms).
    fn deadline(_soft: &Self::Soft) -> Option<i64> {
        None
    }

    /// Does what is due at `step.now`. Called at the deadline or later; too early, it does nothing.
    fn expire(_step: &mut Step<'_, Self>) {}
}

/// Who waits for a reply. The host deals these out and knows what stands behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiter(pub u64);

/// Where in the log a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    pub offset: i64,
}
