//! The controller's machine on its log.
//!
//! A command is decided, its records are appended and the asker is parked, all in one go and in the order of arrival. The
//! records count as committed when they are flushed; only when the broker has applied them as well does the reply leave
//! ([`Host::release`]). If the log refuses records, the machine's state is ahead of the log: the machine is dropped, the
//! asker is told to try again, and it is loaded anew from the log, once that may take records again. Those who wait for records
//! that are in the log wait on. Where the disk is full there was room kept for this log: see [`crate::room`].
//!
//! While the log cannot be synced no command is decided: who is refused then can rely on it that nothing comes of what it
//! asked. Who was waiting by then cannot, and is not told anything but that it took too long.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_machine::{Load, Output, OutputOf, Shard, Waiter};
use ottla_metadata::snapshot::SnapshotId;
use ottla_metadata::{Command, Controller, Image, Record, Reply, State as ControllerState};
use ottla_rt::Rt;
use ottla_storage::{LogError, Reader, Removed};
use tokio::sync::{Notify, oneshot, watch};

use super::loading::{self, LoadError, Loaded};
use super::log::MetadataLog;
use super::quorum::Quorum;
use crate::directory::Directory;
use crate::metrics::metadata::Metadata;

/// So much must be free before a log that had no room is tried again.
const ROOM_BYTES_MIN: u64 = 64 << 10;

/// Why a command has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// Nothing comes of it. The same command may succeed later.
    #[error("the controller cannot write its log")]
    Unavailable,
    /// It was not committed in time. It may come true yet.
    #[error("the controller could not sync its log in time")]
    Late,
}

#[derive(Debug)]
pub struct Host {
    rt: Rt,
    home: Arc<Directory>,
    reader: Reader,
    /// What snapshots say of the quorum.
    quorum: Quorum,
    /// The snapshot that all was loaded from.
    base: Option<SnapshotId>,
    /// Of the log behind that snapshot.
    bytes_behind: AtomicU64,
    /// Of the newest snapshot that was made since.
    snapshot_bytes: AtomicU64,
    /// When that was made, or else the start.
    snapshot_ms: AtomicI64,
    state: Mutex<State>,
    /// What is flushed: everything before this offset is committed.
    flushed: watch::Sender<i64>,
    /// Everything before this offset is applied.
    released: watch::Sender<i64>,
    /// The log's last sync failed.
    is_failing: watch::Sender<bool>,
    /// Wakes the flusher.
    flush_asked: Arc<Notify>,
    /// Where batches end that are not flushed, and when it was begun to append them. Held for a moment only, with the state or without.
    unflushed: Mutex<VecDeque<(i64, i64)>>,
    pub metrics: Box<Metadata>,
}

#[derive(Debug)]
struct State {
    /// `None` once it is closed.
    log: Option<MetadataLog>,
    /// `None` while it must be loaded anew.
    shard: Option<Shard<Controller>>,
    first_records: Vec<Record>,
    /// What a shard that was dropped has owed, in order of the offset that must be released.
    owed: VecDeque<(i64, OutputOf<Controller>)>,
    waiting: BTreeMap<Waiter, oneshot::Sender<Reply>>,
    next_waiter: u64,
    /// Records in the log that the broker has not taken to apply them.
    unapplied: VecDeque<(i64, Record)>,
    /// Everything before this offset is applied.
    released: i64,
    refusal: Option<Refusal>,
}

/// Why the log's last append failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    NoRoom,
    Other,
}

/// A log in which an epoch has begun, and what was loaded from it before.
#[derive(Debug)]
pub struct Begun {
    pub home: Arc<Directory>,
    pub log: MetadataLog,
    pub loaded: Loaded,
    /// What the log is to begin with.
    pub first_records: Vec<Record>,
}

impl Host {
    /// The machine goes on from the end of the log.
    pub fn new(rt: Rt, begun: Begun) -> Host {
        let Begun { home, log, loaded, first_records } = begun;
        let Loaded { image, quorum, snapshot, bytes_behind, .. } = loaded;
        let reader = log.reader();
        let state = State {
            shard: Some(shard_of(image, log.end_offset())),
            first_records,
            log: Some(log),
            owed: VecDeque::new(),
            waiting: BTreeMap::new(),
            next_waiter: 0,
            unapplied: VecDeque::new(),
            released: 0,
            refusal: None,
        };
        let (flushed, released, is_failing) = (watch::Sender::new(0), watch::Sender::new(0), watch::Sender::new(false));
        let snapshot_ms = AtomicI64::new(rt.now().mono_ms);
        let bytes_behind = AtomicU64::new(bytes_behind);
        let state = Mutex::new(state);
        Host {
            rt,
            flush_asked: home.flushing.wake.clone(),
            home,
            reader,
            quorum,
            base: snapshot,
            bytes_behind,
            snapshot_bytes: AtomicU64::new(0),
            snapshot_ms,
            state,
            flushed,
            released,
            is_failing,
            unflushed: Mutex::default(),
            metrics: Box::default(),
        }
    }

    /// Decides a command, and gives its reply once it can be relied upon.
    pub async fn submit(&self, command: Command, patience: Duration) -> Result<Reply, NoReply> {
        // As in Kafka, which does nothing then.
        if patience.is_zero() {
            return Err(NoReply::Late);
        }
        let began_us = self.rt.mono_us();
        let decided = self.decide(command);
        self.metrics.commands_us.took(began_us, self.rt.mono_us());
        match self.rt.timeout(patience, decided?).await {
            Some(Ok(reply)) => Ok(reply),
            Some(Err(_)) | None => {
                self.metrics.late_commands.add(1);
                Err(NoReply::Late)
            }
        }
    }

    fn decide(&self, command: Command) -> Result<oneshot::Receiver<Reply>, NoReply> {
        if self.is_failing() {
            return Err(NoReply::Unavailable);
        }
        let now = self.rt.now();
        let mut state = self.state();
        let waiter = Waiter(state.next_waiter);
        state.next_waiter += 1;
        let State { shard, log, refusal, .. } = &mut *state;
        let (shard, log) = shard.as_mut().zip(log.as_mut()).ok_or(NoReply::Unavailable)?;
        let batch = shard.submit(now, waiter, command);
        if !batch.records.is_empty() {
            // Before it is there: it may be flushed at once.
            let end = batch.base_offset + batch.records.len() as i64;
            self.unflushed().push_back((end, self.rt.mono_us()));
            match self.append(log, &batch.records, now.wall_ms) {
                Ok(bytes) => {
                    self.bytes_behind.fetch_add(bytes, Ordering::Relaxed);
                    if refusal.take().is_some() {
                        tracing::info!("the metadata log takes records again");
                    }
                }
                Err(error) => {
                    self.unflushed().pop_back();
                    let why = if error.is_out_of_space() { Refusal::NoRoom } else { Refusal::Other };
                    if refusal.replace(why).is_none() {
                        tracing::error!("the metadata log refuses records, which is tried again: {error}");
                    }
                    state.drop_shard();
                    self.metrics.controller_errors.add(1);
                    self.flush_asked.notify_one();
                    return Err(NoReply::Unavailable);
                }
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

    /// Where there is no room, it takes what was kept for that.
    fn append(&self, log: &mut MetadataLog, records: &[Record], wall_ms: i64) -> Result<u64, LogError> {
        log.append(records, wall_ms).or_else(|error| {
            self.home.note(&error);
            if error.is_out_of_space() { log.append(records, wall_ms) } else { Err(error) }
        })
    }

    /// The log is flushed up to this offset.
    pub fn flushed(&self, offset: i64) {
        if *self.flushed.borrow() < offset {
            let now_us = self.rt.mono_us();
            let mut unflushed = self.unflushed();
            let count = unflushed.partition_point(|(end, _)| *end <= offset);
            unflushed.drain(..count).for_each(|(_, appended_us)| self.metrics.commits_us.took(appended_us, now_us));
        }
        self.flushed.send_if_modified(|flushed| std::mem::replace(flushed, offset.max(*flushed)) < offset);
    }

    /// The log was synced.
    pub fn sync_succeeded(&self) {
        if self.is_failing.send_replace(false) {
            tracing::info!("the metadata log can be synced again");
        }
    }

    /// Gives whether the sync before this one had succeeded.
    pub fn sync_failed(&self, error: &LogError) -> bool {
        let is_first = !self.is_failing.send_replace(true);
        if is_first {
            tracing::error!("the metadata log cannot be synced, which is tried again; no change is accepted: {error}");
        }
        is_first
    }

    pub fn is_failing(&self) -> bool {
        *self.is_failing.borrow()
    }

    /// Until no sync has succeeded for so long, though some were tried.
    pub async fn has_failed_for(&self, limit: Duration) {
        let mut failing = self.is_failing.subscribe();
        loop {
            let _ = failing.wait_for(|is_failing| *is_failing).await;
            if self.rt.timeout(limit, failing.wait_for(|is_failing| !*is_failing)).await.is_none() {
                return;
            }
        }
    }

    /// Those who wait are told that it took too long.
    pub fn give_up(&self) {
        self.state().waiting.clear();
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
        self.released.send_if_modified(|released| std::mem::replace(released, offset.max(*released)) < offset);
    }

    /// Before which everything is applied, and before which everything is committed.
    pub fn applied_and_committed(&self) -> (i64, i64) {
        let applied = *self.released.borrow();
        (applied, *self.flushed.borrow())
    }

    /// Tells of everything that the broker has applied.
    pub fn watch_released(&self) -> watch::Receiver<i64> {
        self.released.subscribe()
    }

    /// Loads the machine anew if it was dropped, unless it would be dropped again.
    pub fn reload_if_dropped(&self) -> Result<(), LoadError> {
        let mut state = self.state();
        let end = match &state.log {
            Some(log) if state.shard.is_none() => log.end_offset(),
            _ => return Ok(()),
        };
        if state.refusal == Some(Refusal::NoRoom) && !self.has_room() {
            return Ok(());
        }
        let loaded = loading::base(&self.home.log_dir).and_then(|base| loading::load(base, &self.reader));
        let loaded = loaded.inspect_err(|_| {
            self.metrics.controller_errors.add(1);
            self.metrics.load_errors.add(1);
        })?;
        state.shard = Some(shard_of(loaded.image, end));
        let released = state.released;
        state.release(released);
        tracing::debug!("the controller has loaded its log again, up to offset {end}");
        Ok(())
    }

    /// If nobody can tell, an append will.
    fn has_room(&self) -> bool {
        let dir = &self.home.log_dir;
        dir.disk().free_bytes(dir.path()).map_or(true, |free| free >= ROOM_BYTES_MIN)
    }

    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// What the log is to begin with. Only once.
    pub fn take_first_records(&self) -> Vec<Record> {
        std::mem::take(&mut self.state().first_records)
    }

    pub fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// The snapshot that this start was loaded from.
    pub fn base(&self) -> Option<SnapshotId> {
        self.base
    }

    /// Bytes of the log that are not in [`Host::base`]. It grows only.
    pub fn bytes_behind(&self) -> u64 {
        self.bytes_behind.load(Ordering::Relaxed)
    }

    pub fn note_snapshot(&self, bytes: u64, now_ms: i64) {
        self.snapshot_bytes.store(bytes, Ordering::Relaxed);
        self.snapshot_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Bytes and age of the newest snapshot of this start: 0, and the start's age, if there is none.
    pub fn snapshot_bytes_and_age_ms(&self) -> (u64, i64) {
        let age_ms = self.rt.now().mono_ms - self.snapshot_ms.load(Ordering::Relaxed);
        (self.snapshot_bytes.load(Ordering::Relaxed), age_ms)
    }

    /// The log begins at `offset`, which a snapshot that is on the disk reaches. Nobody loads it meanwhile.
    pub fn trim_log(&self, offset: i64) -> Removed {
        self.state().log.as_mut().map(|log| log.trim(offset)).unwrap_or_default()
    }

    /// Ends the machine and closes its log.
    pub fn close_log(&self) -> Result<(), LogError> {
        let mut state = self.state();
        state.drop_shard();
        state.waiting.clear();
        state.log.take().map_or(Ok(()), |log| log.close())
    }

    fn unflushed(&self) -> MutexGuard<'_, VecDeque<(i64, i64)>> {
        self.unflushed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic in a decision leaves the machine's state half changed: it is dropped, the log is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| {
            let mut state = poisoned.into_inner();
            state.drop_shard();
            self.metrics.controller_errors.add(1);
            self.state.clear_poison();
            state
        })
    }
}

fn shard_of(image: Image, end_offset: i64) -> Shard<Controller> {
    let next_offset = image.offset() + 1;
    Load::of(ControllerState::of(image), next_offset).finish(end_offset)
}

impl State {
    fn release(&mut self, offset: i64) {
        self.released = offset.max(self.released);
        let free = self.owed.partition_point(|(offset, _)| *offset <= self.released);
        let mut outputs: Vec<_> = self.owed.drain(..free).map(|(_, output)| output).collect();
        outputs.extend(self.shard.as_mut().map(|shard| shard.high_watermark(self.released)).unwrap_or_default());
        for output in outputs {
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
        let end = self.log.as_ref().map_or(0, MetadataLog::end_offset);
        let parked = self.shard.take().map(Shard::into_parked).unwrap_or_default();
        self.owed.extend(parked.into_iter().filter(|(offset, _)| *offset <= end));
    }
}
