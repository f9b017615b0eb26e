//! One decision under way: what it may read, write and say.

use std::ops::Deref;

use ottla_base::Now;

use crate::{At, Machine, Output, OutputOf, Waiter};

/// One call of [`Machine::decide`], and the one atomic batch that comes of it.
#[derive(Debug)]
pub struct Step<'a, M: Machine> {
    pub log: Ledger<'a, M>,
    pub soft: &'a mut M::Soft,
    pub now: Now,
    pub(crate) outputs: Vec<OutputOf<M>>,
}

impl<M: Machine> Step<'_, M> {
    /// Answers `to` once this step is committed, and all steps before it.
    pub fn reply(&mut self, to: Waiter, reply: M::Reply) {
        self.outputs.push(Output::Reply(to, reply));
    }

    /// Asks the host to do `effect` once this step is committed, and all steps before it.
    pub fn effect(&mut self, effect: M::Effect) {
        self.outputs.push(Output::Effect(effect));
    }
}

/// The durable state, to be read, and the records by which this step changes it.
#[derive(Debug)]
pub struct Ledger<'a, M: Machine> {
    pub(crate) hard: &'a mut M::Hard,
    pub(crate) next_offset: i64,
    pub(crate) records: Vec<M::Record>,
}

impl<M: Machine> Ledger<'_, M> {
    /// Makes `record` true at once, and part of the step's batch.
    pub fn write(&mut self, record: M::Record) {
        M::replay(self.hard, At { offset: self.next_offset }, &record);
        self.records.push(record);
        self.next_offset += 1;
    }

    /// Whether this step has written anything.
    pub fn has_written(&self) -> bool {
        !self.records.is_empty()
    }

    /// The offset of the next record written.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }
}

impl<M: Machine> Deref for Ledger<'_, M> {
    type Target = M::Hard;

    fn deref(&self) -> &M::Hard {
        self.hard
    }
}
