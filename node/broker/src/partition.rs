//! A partition that this broker leads: its log, its leader, and who waits for it.
//!
//! Two locks. [`State`] is held across a write: offsets are given and bytes are written in one order. [`Tail`] is a copy of
//! the few numbers that readers go by, and is never held across a system call, so a disk that stalls an append does not
//! stop those who read what is in memory. Whoever takes both takes the state first.
//!
//! A panic while the state is held poisons it: the numbers may be ahead of the log. Such a partition answers
//! KAFKA_STORAGE_ERROR until it is opened again from its files.

mod cleaning;
mod read;
mod trim;

use std::ops::Range;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use ottla_base::{LeaderEpoch, NodeId, Now};
use ottla_partition::{
    Acks, Admitted, EpochEnd, EpochEntry, Expiry, Leader, Marks, Moved, ProducerEntry, ProducerSnapshot,
};
use ottla_records::{BatchHeader, Packing, Refusal, Scratch, Stamp, check};
use ottla_storage::{Log, LogError, Piece, Place, Reader};
use ottla_wire::ErrorCode;
use tokio::sync::Notify;

use crate::api::outcome;
use crate::directory::Directory;
use crate::fetch::wait::Waits;
use crate::metrics::topics::{self, Traffic};
use crate::produced::{Outcome, Refused};
use crate::topic_settings::TopicSettings;

pub use cleaning::Dirty;
pub use read::{Cold, Isolation};
pub use trim::Trimmed;

#[derive(Debug)]
pub struct Partition {
    pub topic: Arc<str>,
    pub index: i32,
    pub node_id: NodeId,
    replicas: usize,
    settings: ArcSwap<TopicSettings>,
    /// What `leader-epoch-checkpoint` says.
    pub stored_epochs: Mutex<Vec<EpochEntry>>,
    /// Offset of the newest `.snapshot` when it was opened, -1 if there was none. An empty log needs none, and has 0.
    pub snapshot_at: i64,
    /// End of the log when it was last asked whether it is idle.
    end_seen: AtomicI64,
    /// Up to where the log is compacted; 0 if none of it is.
    first_dirty: AtomicI64,
    /// Producers that the leader remembers.
    producer_count: AtomicUsize,
    /// Something in the log cannot be compacted.
    is_uncleanable: AtomicBool,
    /// It was logged that a batch of it is too large to be compacted.
    is_told_too_large: AtomicBool,
    /// A flush is asked for, to come in time for `flush.ms`.
    flush_is_due: AtomicBool,
    pub reader: Reader,
    pub waits: Waits,
    pub traffic: Traffic,
    /// The log directory that it is in.
    pub home: Arc<Directory>,
    /// One of [`health`].
    health: AtomicU8,
    /// The last read failed.
    cannot_read: AtomicBool,
    /// `None` once the partition is offline.
    state: Mutex<Option<State>>,
    tail: Mutex<Tail>,
    /// Told when marks move that acks wait for, and when the partition goes offline.
    acked: Notify,
}

/// What the disk does to a partition. Changes are logged, not what comes of them.
mod health {
    pub const WELL: u8 = 0;
    /// The last append failed; the next one may succeed.
    pub const APPEND_FAILED: u8 = 1;
    /// The last sync failed: nothing is appended until one succeeds.
    pub const SYNC_FAILED: u8 = 2;
}

#[derive(Debug)]
struct State {
    leader: Leader,
    log: Log,
    /// `flush.ms`
    flush_ms: i64,
}

/// What readers go by.
#[derive(Clone, Copy, Debug)]
struct Tail {
    marks: Marks,
    /// Where the high watermark lies in the log.
    high_watermark: Place,
    /// Why the partition serves no more.
    gone: Option<Gone>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    Deleted,
    /// It was closed, because the broker stops, or failed.
    Closed,
    /// It is in another log directory by now, and opened there.
    Moved,
}

impl Gone {
    fn error(self) -> ErrorCode {
        match self {
            Gone::Deleted => ErrorCode::UnknownTopicOrPartition,
            Gone::Closed => outcome::STORAGE,
            Gone::Moved => ErrorCode::NotLeaderOrFollower,
        }
    }
}

/// A batch that was checked and waits for the end of its turn.
#[derive(Debug)]
pub struct Batch {
    pub partition: Arc<Partition>,
    pub acks: Acks,
    /// The header to be stored; offset and leader epoch are given under the lock.
    pub header: BatchHeader,
    /// The bytes that go before the rest of the batch, once it is admitted.
    pub stamp: Option<Stamp>,
    /// The whole batch in the receive buffer.
    pub bytes: Range<usize>,
    /// Which of the turn's outcomes is its own.
    pub outcome: usize,
}

/// A client's batch that is good.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    /// To be stored; offset and leader epoch are given under the lock.
    pub header: BatchHeader,
    /// How the batch is to be packed before that; `None` if it may stay as it is.
    pub packing: Option<Packing>,
}

/// What an append leaves to be done without the lock.
#[derive(Debug, Default)]
#[must_use]
pub struct AfterAppend {
    /// A segment was begun: the producers as of its first offset, to be written beside it.
    pub snapshot: Option<ProducerSnapshot>,
    /// `flush.messages` or `flush.ms` ask for a flush in so many milliseconds.
    pub flush_in_ms: Option<i64>,
}

/// How a log is opened and by what rules it is led.
#[derive(Debug)]
pub struct Opening {
    pub topic: Arc<str>,
    pub index: i32,
    pub node_id: NodeId,
    pub replicas: usize,
    pub settings: Arc<TopicSettings>,
    pub home: Arc<Directory>,
    pub traffic: Traffic,
    pub leader: Leader,
    pub log: Log,
    pub stored_epochs: Vec<EpochEntry>,
    pub snapshot_at: i64,
}

impl Partition {
    pub fn new(opening: Opening) -> Partition {
        let Opening {
            topic,
            index,
            node_id,
            replicas,
            settings,
            home,
            traffic,
            leader,
            log,
            stored_epochs,
            snapshot_at,
        } = opening;
        let first_dirty = home.checkpoints.first_dirty(&format!("{topic}-{index}"));
        let marks = leader.marks();
        // Where only what is flushed counts, the high watermark begins where the flushed part ends.
        let reader = log.reader();
        let high_watermark = if marks.high_watermark == marks.end { log.end() } else { reader.flushed() };
        let tail = Tail { marks, high_watermark, gone: None };
        let flush_ms = settings.config.flush_ms;
        Partition {
            topic,
            index,
            node_id,
            replicas,
            settings: ArcSwap::new(settings),
            stored_epochs: Mutex::new(stored_epochs),
            snapshot_at,
            end_seen: AtomicI64::new(-1),
            first_dirty: AtomicI64::new(first_dirty),
            producer_count: AtomicUsize::new(leader.producer_count()),
            is_uncleanable: AtomicBool::new(false),
            is_told_too_large: AtomicBool::new(false),
            flush_is_due: AtomicBool::new(false),
            reader,
            waits: Waits::default(),
            traffic,
            home,
            health: AtomicU8::new(health::WELL),
            cannot_read: AtomicBool::new(false),
            state: Mutex::new(Some(State { leader, log, flush_ms })),
            tail: Mutex::new(tail),
            acked: Notify::new(),
        }
    }

    /// Name of its directory in [`Partition::home`].
    pub fn directory(&self) -> String {
        format!("{}-{}", self.topic, self.index)
    }

    pub fn settings(&self) -> Arc<TopicSettings> {
        self.settings.load_full()
    }

    pub fn min_insync_replicas(&self) -> usize {
        usize::try_from(self.settings.load().config.min_insync_replicas).unwrap_or(1)
    }

    /// `retention.bytes`, where the topic wants old records to go.
    pub fn retention_bytes(&self) -> Option<u64> {
        let settings = self.settings.load();
        settings.config.retention_bytes.filter(|_| settings.config.delete)
    }

    /// Goes by other settings from now on. Its share of the jitter is drawn with `chance`.
    pub fn configure(&self, settings: &Arc<TopicSettings>, chance: u64) {
        if self.settings.load().config == settings.config {
            return;
        }
        let mut guard = self.state.lock();
        let Some(State { leader, log, flush_ms }) = guard.as_deref_mut().ok().and_then(Option::as_mut) else { return };
        log.set_options(settings.log_options(chance));
        *flush_ms = settings.config.flush_ms;
        let moved = leader.set_rules(settings.leader_rules(self.replicas));
        self.settings.store(settings.clone());
        self.publish(leader, moved.high_watermark.map(|_| log.end()));
        drop(guard);
        if moved.high_watermark.is_some() {
            self.waits.wake_all();
        }
        if moved != Moved::default() {
            self.acked.notify_waiters();
        }
    }

    /// Checks a client's batch against the topic's rules.
    pub fn check(&self, batch: &[u8], now: Now, scratch: &mut Scratch) -> Result<Checked, Refused> {
        self.checked(batch, now, scratch).map_err(|refusal| {
            self.traffic.refused(&refusal);
            self.refused(refusal)
        })
    }

    /// The same for a batch that was checked before, which is counted once.
    pub fn check_again(&self, batch: &[u8], now: Now, scratch: &mut Scratch) -> Result<Checked, Refused> {
        self.checked(batch, now, scratch).map_err(|refusal| self.refused(refusal))
    }

    fn checked(&self, batch: &[u8], now: Now, scratch: &mut Scratch) -> Result<Checked, Refusal> {
        let settings = self.settings.load();
        let header = check(batch, &settings.batches, now, scratch)?;
        let packing = settings.packing.filter(|packing| header.attributes.codec() != Some(packing.codec));
        Ok(Checked { header, packing })
    }

    fn refused(&self, refusal: Refusal) -> Refused {
        outcome::of_batch(refusal, self.tail().marks.start)
    }

    /// Writes a turn's batches: one lock, one write. Each batch's outcome is put in its place.
    ///
    /// `pieces` is room that is used again.
    pub fn append(
        self: &Arc<Self>,
        batches: &mut [Batch],
        buffer: &[u8],
        pieces: &mut Vec<Piece<'static>>,
        outcomes: &mut [Outcome],
    ) -> AfterAppend {
        let after = self.append_locked(batches, buffer, pieces, outcomes);
        self.count(batches, outcomes);
        after
    }

    /// Counts what was appended; what is a duplicate is not.
    fn count(&self, batches: &[Batch], outcomes: &[Outcome]) {
        let mut all = topics::Appended { requests: batches.len() as u64, ..Default::default() };
        for batch in batches {
            match outcomes[batch.outcome].error() {
                ErrorCode::None if batch.stamp.is_some() => {
                    all.messages += u64::from(batch.header.record_count.unsigned_abs());
                    all.bytes += batch.bytes.len() as u64;
                }
                error => self.traffic.failed_to_append(error),
            }
        }
        self.traffic.appended(all);
    }

    fn append_locked(
        self: &Arc<Self>,
        batches: &mut [Batch],
        buffer: &[u8],
        pieces: &mut Vec<Piece<'static>>,
        outcomes: &mut [Outcome],
    ) -> AfterAppend {
        let mut guard = self.state.lock();
        let Some(State { leader, log, flush_ms }) = guard.as_deref_mut().ok().and_then(Option::as_mut) else {
            refuse(batches, outcomes, self.gone());
            return AfterAppend::default();
        };
        let health = self.health.load(Ordering::Relaxed);
        if self.refuses_all() {
            refuse(batches, outcomes, outcome::STORAGE);
            return AfterAppend::default();
        }
        let Marks { leader_epoch, start, .. } = leader.marks();
        let mut staged = leader.stage();
        for batch in &mut *batches {
            outcomes[batch.outcome] = match staged.admit(&batch.header, batch.acks) {
                Ok(Admitted::Append { base_offset }) => {
                    batch.header.base_offset = base_offset;
                    batch.header.leader_epoch = leader_epoch.0;
                    batch.stamp = Some(Stamp::new(&buffer[batch.bytes.clone()], &batch.header));
                    Outcome::stored(&batch.header, start)
                }
                Ok(Admitted::Duplicate(duplicate)) => Outcome::duplicate(&duplicate, start),
                Err(refusal) => Outcome::refused(outcome::of_leader(refusal, start)),
            };
        }
        let mut admitted = recycle(std::mem::take(pieces));
        admitted.extend(batches.iter().filter_map(|batch| {
            let stamp = batch.stamp.as_ref()?;
            Some(Piece { head: stamp.head(), body: stamp.body(&buffer[batch.bytes.clone()]), header: batch.header })
        }));
        let appended = log.append(&admitted);
        *pieces = recycle(admitted);
        let appended = match appended {
            Ok(appended) => appended,
            Err(error) => {
                drop(staged);
                drop(guard);
                self.home.note(&error);
                if self.turn(health::WELL, health::APPEND_FAILED) {
                    tracing::error!(topic = %self.topic, partition = self.index, "append failed: {error}");
                }
                refuse(batches, outcomes, outcome::of_storage(&error));
                return AfterAppend::default();
            }
        };
        if health == health::APPEND_FAILED && self.turn(health::APPEND_FAILED, health::WELL) {
            tracing::info!(topic = %self.topic, partition = self.index, "appends work again");
        }
        let rolled = appended.start.segment != appended.end.segment;
        let snapshot = rolled.then(|| staged.producer_snapshot(appended.end.segment));
        let moved = staged.commit();
        let flush_in_ms = self.flush_in_ms(leader, *flush_ms);
        let marks = self.publish(leader, moved.high_watermark.map(|_| appended.end));
        drop(guard);
        for batch in &*batches {
            outcomes[batch.outcome].wait_for(self, &marks, batch.acks);
        }
        if moved.high_watermark.is_some() {
            self.waits.arrived(batches.iter().map(|batch| batch.bytes.len() as i64).sum());
        }
        AfterAppend { snapshot, flush_in_ms }
    }

    /// When a flush must begin after this append, unless one is under way already.
    fn flush_in_ms(&self, leader: &Leader, flush_ms: i64) -> Option<i64> {
        if leader.flush_due() {
            return Some(0);
        }
        let in_time = flush_ms < i64::MAX && !self.flush_is_due.swap(true, Ordering::Relaxed);
        in_time.then_some(flush_ms)
    }

    /// Asks the flusher for everything that is in the log now.
    pub fn ask_flush(&self) {
        self.flush_is_due.store(false, Ordering::Relaxed);
        self.reader.ask_flush();
    }

    /// A sync of the log failed. Those who wait for it are told; until one succeeds nothing is appended. Gives whether the
    /// one before had succeeded.
    pub fn sync_failed(&self, error: &LogError) -> bool {
        let is_first = self.health.swap(health::SYNC_FAILED, Ordering::Relaxed) != health::SYNC_FAILED;
        // Of a directory that is offline one line was logged for all.
        if is_first && !self.home.has_failed() {
            tracing::error!(
                topic = %self.topic, partition = self.index,
                "the log cannot be synced, which is tried again; produce is refused: {error}"
            );
        }
        self.acked.notify_waiters();
        is_first
    }

    /// Nothing is appended at the moment: the disk is full, or cannot be synced.
    pub fn refuses_all(&self) -> bool {
        self.cannot_be_synced() || self.home.room.is_full()
    }

    pub fn cannot_be_synced(&self) -> bool {
        self.health.load(Ordering::Relaxed) == health::SYNC_FAILED
    }

    fn turn(&self, from: u8, to: u8) -> bool {
        self.health.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The log was synced: it survives a loss of power up to this place.
    pub fn flushed(&self, to: Place) {
        if self.turn(health::SYNC_FAILED, health::WELL) {
            tracing::info!(topic = %self.topic, partition = self.index, "the log can be synced again");
        }
        let mut guard = self.state.lock();
        let Some(State { leader, .. }) = guard.as_deref_mut().ok().and_then(Option::as_mut) else { return };
        let moved = leader.flushed(to.offset);
        self.publish(leader, moved.high_watermark.map(|_| to));
        drop(guard);
        if moved.high_watermark.is_some() {
            self.waits.wake_all();
        }
        if moved != Moved::default() {
            self.acked.notify_waiters();
        }
    }

    /// Closes the log's file, if nothing was appended since the last call.
    pub fn rest_if_idle(&self) {
        if let Ok(Some(state)) = self.state.lock().as_deref_mut().map(Option::as_mut) {
            let end = state.log.end().offset;
            if self.end_seen.swap(end, Ordering::Relaxed) == end {
                state.log.rest();
            }
        }
    }

    /// Forgets producers that have been idle for `producer.id.expiration.ms`.
    pub fn expire_producers(&self, expiry: Expiry) {
        if let Ok(Some(state)) = self.state.lock().as_deref_mut().map(Option::as_mut) {
            state.leader.expire_producers(expiry);
            self.producer_count.store(state.leader.producer_count(), Ordering::Relaxed);
        }
    }

    /// Waits until the marks that `acks` asks for have passed everything before `offset`.
    pub async fn kept(&self, acks: Acks, offset: i64) -> Result<(), ErrorCode> {
        let mut moved = pin!(self.acked.notified());
        loop {
            moved.as_mut().enable();
            let tail = self.tail();
            if tail.marks.acked(acks) >= offset {
                return Ok(());
            }
            if let Some(gone) = tail.gone {
                return Err(gone.error());
            }
            if self.cannot_be_synced() {
                return Err(outcome::STORAGE);
            }
            moved.as_mut().await;
            moved.set(self.acked.notified());
        }
    }

    pub fn marks(&self) -> Result<Marks, ErrorCode> {
        let tail = self.tail();
        tail.gone.map_or(Ok(tail.marks), |gone| Err(gone.error()))
    }

    /// Where the records end that a reader may see.
    pub fn readable_end(&self) -> Place {
        self.tail().high_watermark
    }

    /// The newest leader epoch: that of the log's end.
    pub fn latest_epoch(&self) -> Result<i32, ErrorCode> {
        self.marks().map(|marks| marks.leader_epoch.0)
    }

    /// The leader epoch that wrote `offset`, -1 if it is not known.
    pub fn epoch_for(&self, offset: i64) -> Result<i32, ErrorCode> {
        self.with_leader(|leader| leader.epochs().epoch_for(offset).map_or(-1, |epoch| epoch.0))
    }

    pub fn leader_epochs(&self) -> Result<Vec<EpochEntry>, ErrorCode> {
        self.with_leader(|leader| leader.epochs().entries().to_vec())
    }

    /// The batches that are remembered of idempotent producers: see [`ProducerSnapshot`].
    pub fn producers(&self) -> Result<Vec<ProducerEntry>, ErrorCode> {
        self.with_leader(|leader| leader.producer_snapshot().producers)
    }

    pub fn producer_count(&self) -> usize {
        self.producer_count.load(Ordering::Relaxed)
    }

    /// OffsetForLeaderEpoch: see [`Leader::end_offset_for`].
    pub fn end_offset_for(&self, epoch: LeaderEpoch) -> Result<Option<EpochEnd>, ErrorCode> {
        self.with_leader(|leader| leader.end_offset_for(epoch))
    }

    /// Takes the log out, so that it can be closed or deleted. Whoever waits is answered; the partition stays offline. If it is
    /// so already, it stays gone for the reason it is.
    pub fn take_offline(&self, why: Gone) -> Option<(Leader, Log)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).take();
        if state.is_some() {
            lock(&self.tail).gone = Some(why);
        }
        self.waits.wake_all();
        self.acked.notify_waiters();
        state.map(|State { leader, log, .. }| (leader, log))
    }

    /// A bug has ended a call that held the state: what it says may be ahead of the log.
    pub fn has_failed(&self) -> bool {
        self.state.is_poisoned()
    }

    /// It was taken offline to be opened in another log directory.
    pub fn has_moved(&self) -> bool {
        self.tail().gone == Some(Gone::Moved)
    }

    /// Why there is no state.
    fn gone(&self) -> ErrorCode {
        self.tail().gone.map_or(outcome::STORAGE, Gone::error)
    }

    fn with_leader<T>(&self, ask: impl FnOnce(&Leader) -> T) -> Result<T, ErrorCode> {
        let guard = self.state.lock();
        let state = guard.as_deref().ok().and_then(Option::as_ref).ok_or_else(|| self.gone())?;
        Ok(ask(&state.leader))
    }

    /// Copies the marks to where readers see them. Called with the state held.
    fn publish(&self, leader: &Leader, high_watermark: Option<Place>) -> Marks {
        self.producer_count.store(leader.producer_count(), Ordering::Relaxed);
        let marks = leader.marks();
        let mut tail = lock(&self.tail);
        tail.marks = marks;
        if let Some(place) = high_watermark {
            tail.high_watermark = place;
        }
        marks
    }

    fn tail(&self) -> Tail {
        *lock(&self.tail)
    }
}

fn refuse(batches: &[Batch], outcomes: &mut [Outcome], error: ErrorCode) {
    for batch in batches {
        outcomes[batch.outcome] = Outcome::refused(Refused::of(error));
    }
}

/// The same vector, empty, for pieces of another turn.
fn recycle<'a>(mut pieces: Vec<Piece<'_>>) -> Vec<Piece<'a>> {
    pieces.clear();
    pieces.into_iter().map(|_| unreachable!("the vector is empty")).collect()
}

/// The tail's lock: nothing panics while it is held, so what it guards is whole.
fn lock(tail: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}
