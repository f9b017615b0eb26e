//! The controller's machine on its log.
//!
//! A command is decided, its records are appended and the asker is parked, all in one go and in the order of arrival. The
//! records count as committed when they are flushed; only when the broker has applied them as well does the reply leave
//! ([`Host::release`]). If the log refuses records, the machine's state is ahead of the log: the machine is dropped, its
//! askers are told to try again, and it is loaded anew from the log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use ottla_machine::{At, Load, Output, Shard, Waiter};
use ottla_metadata::{Command, Controller, Record, Reply};
use ottla_rt::Rt;
use ottla_storage::{LogError, Reader};
use tokio::sync::{Notify, oneshot, watch};

use super::log::{LoadError, MetadataLog, load};

/// The controller cannot decide now; the same command may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller is not available")]
pub struct Unavailable;

#[derive(Debug)]
pub struct Host {
    rt: Rt,
    reader: Reader,
    state: Mutex<State>,
    /// What is flushed: everything before this offset is committed.
    flushed: watch::Sender<i64>,
    /// Wakes the flusher.
    flush_asked: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    /// `None` once it is closed.
    log: Option<MetadataLog>,
    /// `None` while it must be loaded anew.
    shard: Option<Shard<Controller>>,
    waiting: BTreeMap<Waiter, oneshot::Sender<Reply>>,
    next_waiter: u64,
    /// Records in the log that the broker has not taken to apply them.
    unapplied: VecDeque<(i64, Record)>,
    /// Everything before this offset is applied.
    released: i64,
}

impl Host {
    /// Loads the machine. Each record of the log goes to `on_record` first, which may find it wrong.
    pub fn load(
        rt: Rt,
        log: MetadataLog,
        flush_asked: Arc<Notify>,
        mut on_record: impl FnMut(i64, &Record) -> Result<(), LoadError>,
    ) -> Result<Host, LoadError> {
        let reader = log.reader();
        let mut machine = Load::<Controller>::default();
        load(&reader, |offset, record| {
            on_record(offset, &record)?;
            machine.replay(At { offset }, &record);
            Ok(())
        })?;
        let end = log.end_offset();
        let state = State {
            shard: Some(machine.finish(end)),
            log: Some(log),
            waiting: BTreeMap::new(),
            next_waiter: 0,
            unapplied: VecDeque::new(),
            released: 0,
        };
        Ok(Host { rt, reader, state: Mutex::new(state), flushed: watch::Sender::new(0), flush_asked })
    }

    /// Decides a command, and gives its reply once it can be relied upon.
    pub async fn submit(&self, command: Command) -> Result<Reply, Unavailable> {
        let reply = self.decide(command)?;
        reply.await.map_err(|_| Unavailable)
    }

    fn decide(&self, command: Command) -> Result<oneshot::Receiver<Reply>, Unavailable> {
        let now = self.rt.now();
        let mut state = self.state();
        let waiter = Waiter(state.next_waiter);
        state.next_waiter += 1;
        let State { shard, log, .. } = &mut *state;
        let (shard, log) = shard.as_mut().zip(log.as_mut()).ok_or(Unavailable)?;
        let batch = shard.submit(now, waiter, command);
        if !batch.records.is_empty() {
            if let Err(error) = log.append(&batch.records, now.wall_ms) {
                tracing::error!("the metadata log refuses records: {error}");
                state.drop_shard();
                self.flush_asked.notify_one();
                return Err(Unavailable);
            }
            state.unapplied.extend((batch.base_offset..).zip(batch.records));
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.insert(waiter, sender);
        // Where nothing was written and nothing is under way, the reply is free already.
        let released = state.released;
        state.release(released);
        drop(state);
        self.flush_asked.notify_one();
        Ok(receiver)
    }

    /// The log is flushed up to this offset.
    pub fn flushed(&self, offset: i64) {
        self.flushed.send_if_modified(|flushed| std::mem::replace(flushed, offset.max(*flushed)) < offset);
    }

    /// Tells of every flush that commits records.
    pub fn watch_flushed(&self) -> watch::Receiver<i64> {
        self.flushed.subscribe()
    }

    /// The committed records that were not taken yet, with their offsets, and the offset behind all that is committed.
    pub fn take_committed(&self) -> (Vec<(i64, Record)>, i64) {
        let flushed = *self.flushed.borrow();
        let mut state = self.state();
        let count = state.unapplied.partition_point(|(offset, _)| *offset < flushed);
        (state.unapplied.drain(..count).collect(), flushed)
    }

    /// The broker has applied everything before this offset: replies that waited for it leave.
    pub fn release(&self, offset: i64) {
        self.state().release(offset);
    }

    /// Loads the machine anew if it was dropped.
    pub fn reload_if_dropped(&self) -> Result<(), LoadError> {
        let mut state = self.state();
        let end = match &state.log {
            Some(log) if state.shard.is_none() => log.end_offset(),
            _ => return Ok(()),
        };
        let mut machine = Load::<Controller>::default();
        load(&self.reader, |offset, record| {
            machine.replay(At { offset }, &record);
            Ok(())
        })?;
        state.shard = Some(machine.finish(end));
        let released = state.released;
        state.release(released);
        tracing::info!("the controller has loaded its log again, up to offset {end}");
        Ok(())
    }

    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Ends the machine and closes its log.
    pub fn close_log(&self) -> Result<(), LogError> {
        let mut state = self.state();
        state.drop_shard();
        state.log.take().map_or(Ok(()), |log| log.close())
    }

    /// A panic in a decision leaves the machine's state half changed: it is dropped, the log is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| {
            let mut state = poisoned.into_inner();
            state.drop_shard();
            self.state.clear_poison();
            state
        })
    }
}

impl State {
    fn release(&mut self, offset: i64) {
        self.released = offset.max(self.released);
        let Some(shard) = &mut self.shard else { return };
        for output in shard.high_watermark(self.released) {
            match output {
                Output::Reply(waiter, reply) => {
                    if let Some(asker) = self.waiting.remove(&waiter) {
                        // An asker that has gone does not want to know.
                        let _ = asker.send(reply);
                    }
                }
                Output::Effect(never) => match never {},
            }
        }
    }

    fn drop_shard(&mut self) {
        self.shard = None;
        self.waiting.clear();
    }
}
