//! Replicas go from one log directory to another while they are served (KIP-113).
//!
//! A log is copied as a *future* replica, `<topic>-<n>.<id>-future`, while it is appended to; compaction of it waits, for what
//! is copied must be of one time. When the copy has nearly caught up, the partition goes offline for a moment
//! ([`super::swapping`]), and is opened in its new place. Clients are told meanwhile that it has another
//! leader, or that its storage fails (once the publisher has seen that it is away); they ask again after either.
//!
//! What cannot be done is given up, with a line that says why: the other directory is too small, or the log is damaged.
//! What may work another time is tried again, later each time.
//!
//! That a move was asked for is known by the future replica's directory, which is there before the request is answered and
//! until the move ends: a start goes on with what it finds (`control/whereabouts.rs`). The copy is begun anew then, as after
//! every failure, because what it is a copy of may have lost its end meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_base::Uuid;
use ottla_config::ServerConfig;
use ottla_rt::{Lane, Panicked, Rt, Stop};
use ottla_storage::checkpoint::topic_id;
use ottla_storage::{Checkpointed, Log, LogDir, LogError, NameTooLong};
use ottla_wire::TopicKey;
use tokio::sync::Notify;

use super::compaction::Compaction;
use crate::control::publisher::Removal;
use crate::control::replicas::Replicas;
use crate::control::whereabouts::{ReplicaId, Unfinished};
use crate::control::{Control, NotAssigned};
use crate::directory::Directory;
use crate::partition::Partition;
use crate::room::ROOM_BYTES_MIN;
use crate::topics::Published;

/// More of them would leave no threads for flushes and metadata.
pub const THREADS_MAX: usize = 8;
/// With fewer bytes left to copy the partition goes offline for the rest.
const REST_BYTES: u64 = 512 << 10;
/// Copied between two looks at whether to go on.
const STRETCH_BYTES: u64 = 4 << 20;
/// The pause after something has failed, doubled each time, and the longest.
const RETRY_MS: i64 = 1_000;
const RETRY_MS_MAX: i64 = 300_000;
/// How often it is looked whether one may be tried again, whether a compaction is over, and how fast it may go.
const LOOK: Duration = Duration::from_secs(1);
/// The dynamic config of brokers that limits what all moves copy in a second (KIP-113). It is not among Kafka's static keys.
const RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

/// The moves that are asked for.
#[derive(Debug)]
pub struct Moving {
    pub rt: Rt,
    pub replicas: Arc<Replicas>,
    pub control: Arc<Control>,
    pub compaction: Arc<Compaction>,
    pub published: Arc<ArcSwap<Published>>,
    pub config: Arc<ServerConfig>,
    pub moves: Mutex<BTreeMap<ReplicaId, Arc<Move>>>,
    /// Where replicas are that have moved, until the metadata say so.
    pub untold: Mutex<BTreeMap<ReplicaId, Uuid>>,
    pub asked: Notify,
    /// Replicas whose last move was given up.
    pub failed: Mutex<BTreeSet<ReplicaId>>,
}

/// A replica on its way.
#[derive(Debug)]
pub struct Move {
    pub replica: ReplicaId,
    pub to: Arc<Directory>,
    /// Name of the copy's directory.
    pub future: String,
    /// Somebody is at it.
    is_taken: AtomicBool,
    is_cancelled: AtomicBool,
    failures: AtomicU32,
    /// Not to be tried again before ([`ottla_base::Now::mono_ms`]).
    due_ms: AtomicI64,
    /// End of the copy.
    pub copied_to: AtomicI64,
    pub copied_bytes: AtomicU64,
    /// What is to be copied in all; 0 while nothing is.
    bytes: AtomicU64,
}

/// Why a move is not noted.
#[derive(Debug, thiserror::Error)]
pub enum NotNoted {
    #[error("the name of the copy's directory would be too long")]
    NameTooLong,
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Move {
    fn new(replica: ReplicaId, to: &Arc<Directory>, future: String) -> Arc<Move> {
        Arc::new(Move {
            replica,
            to: to.clone(),
            future,
            is_taken: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            due_ms: AtomicI64::new(i64::MIN),
            copied_to: AtomicI64::new(0),
            copied_bytes: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        })
    }

    fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Relaxed)
    }

    /// Nobody wants the replica there any more, or the directory has failed: nothing may be moved into it.
    pub fn is_off(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed) || self.to.has_failed()
    }

    /// Makes the directory by which a start knows that the move was asked for.
    fn make_future(&self) -> Result<(), LogError> {
        let dir = &self.to.log_dir;
        dir.create_replica(&self.future)?;
        topic_id::store(dir.disk(), &dir.path().join(&self.future), self.replica.topic)
    }

    /// Takes away what was copied. The move is still asked for.
    pub fn empty_future(&self) {
        if !self.to.has_failed()
            && let Err(error) = self.to.log_dir.empty_replica(&self.future)
        {
            tracing::error!("cannot empty {}: {error}", self.future);
        }
    }

    /// The move is asked for no more. In a directory that has failed it is: the start that finds it well goes on.
    fn remove_future(&self) {
        if !self.to.has_failed() {
            self.to.remove(&self.future);
        }
    }

    fn rest_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed).saturating_sub(self.copied_bytes.load(Ordering::Relaxed))
    }
}

/// How a move ends, or one attempt at it.
enum Ended {
    /// It is there.
    Done,
    /// Nobody wants it there any more.
    GivenUp,
    /// It cannot be there: why.
    Impossible(String),
    Failed(LogError),
    /// The partition is not open.
    NotNow,
}

/// What there is to begin with.
enum Begun {
    Log(Box<Log>),
    /// Why the replica cannot be there.
    Impossible(String),
}

/// What a stretch of copying leaves.
enum Left {
    More { copied: u64 },
    NotMuch,
}

impl Moving {
    /// Asks for a replica to be moved. To where it is: asks for it to stay. Blocks.
    pub fn ask(&self, replica: ReplicaId, partition: &Partition, to: &Arc<Directory>) -> Result<(), NotNoted> {
        let future = LogDir::future_name(&partition.directory(), self.rt.random_uuid());
        let asked = Move::new(replica, to, future.map_err(|NameTooLong| NotNoted::NameTooLong)?);
        if self.moves().get(&replica).is_some_and(|going| Arc::ptr_eq(&going.to, to)) {
            return Ok(());
        }
        let going = self.moves().remove(&replica);
        // In this order: what is out of the list notes no failure any more.
        self.failed().remove(&replica);
        self.call_off(going);
        // Only now: one that is in its last step, and did not see that it was called off, has taken the partition offline.
        if Arc::ptr_eq(&partition.home, to) && !partition.has_moved() {
            return Ok(());
        }
        asked.make_future().inspect_err(|error| {
            to.note(error);
            asked.remove_future();
        })?;
        let other = self.moves().insert(replica, asked);
        self.call_off(other);
        self.asked.notify_one();
        Ok(())
    }

    /// One that is out of the list. Whoever is at it sees to what is copied.
    fn call_off(&self, one: Option<Arc<Move>>) {
        let Some(one) = one else { return };
        one.is_cancelled.store(true, Ordering::Relaxed);
        // Those who take it do so while it is in the list.
        if !one.is_taken() {
            one.remove_future();
        }
    }

    /// Goes on with the moves that an earlier start has not finished.
    pub fn go_on(&self, moves: Vec<Unfinished>) {
        for Unfinished { to, replica, future } in moves {
            let other = self.moves().insert(replica, Move::new(replica, &to, future));
            self.call_off(other);
        }
    }

    /// All that are asked for or under way.
    pub fn all(&self) -> Vec<Arc<Move>> {
        self.moves().values().cloned().collect()
    }

    /// Unless another move of it is asked for by now, or that it stays.
    fn note_failed(&self, one: &Arc<Move>) {
        let moves = self.moves();
        if moves.get(&one.replica).is_some_and(|going| Arc::ptr_eq(going, one)) {
            let mut failed = self.failed();
            failed.retain(|other| !self.is_deleted(*other));
            failed.insert(one.replica);
        }
    }

    /// Replicas whose last move was given up, but for those of topics that are gone.
    pub fn failed_count(&self) -> usize {
        self.failed().iter().filter(|replica| !self.is_deleted(**replica)).count()
    }

    fn failed(&self) -> MutexGuard<'_, BTreeSet<ReplicaId>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that has waited for the longest, of those that are due.
    fn take(&self) -> Option<Arc<Move>> {
        let now_ms = self.rt.mono_ms();
        let moves = self.moves();
        let waits = |one: &&Arc<Move>| !one.is_taken();
        let next = moves.values().filter(waits).min_by_key(|one| one.due_ms.load(Ordering::Relaxed))?;
        let is_due = next.due_ms.load(Ordering::Relaxed) <= now_ms;
        is_due.then(|| {
            next.is_taken.store(true, Ordering::Relaxed);
            next.clone()
        })
    }

    /// The move has ended, unless another is asked for by now.
    fn forget(&self, one: &Arc<Move>) {
        let mut moves = self.moves();
        if moves.get(&one.replica).is_some_and(|going| Arc::ptr_eq(going, one)) {
            moves.remove(&one.replica);
        }
    }

    /// Says whether it is still asked for.
    fn try_later(&self, one: &Arc<Move>) -> bool {
        // Whoever takes it out of the list sees whether somebody is at it.
        let moves = self.moves();
        if moves.get(&one.replica).is_none_or(|going| !Arc::ptr_eq(going, one)) {
            return false;
        }
        let failures = one.failures.fetch_add(1, Ordering::Relaxed).min(16);
        one.due_ms.store(self.rt.mono_ms() + (RETRY_MS << failures).min(RETRY_MS_MAX), Ordering::Relaxed);
        one.bytes.store(0, Ordering::Relaxed);
        one.is_taken.store(false, Ordering::Relaxed);
        true
    }

    fn partition(&self, replica: ReplicaId) -> Option<Arc<Partition>> {
        let published = self.published.load();
        published.topics.find(TopicKey::Id(replica.topic))?.partition(replica.index).ok().cloned()
    }

    fn is_deleted(&self, replica: ReplicaId) -> bool {
        self.published.load().image.topics().get_by_id(&replica.topic).is_none()
    }

    /// Bytes that one of the moves that are going on may copy in a second: each has its share.
    fn bytes_per_second(&self) -> Option<u64> {
        let published = self.published.load();
        let layers = published.image.configs().layers(&self.config);
        let text = layers.broker.get(RATE).or_else(|| layers.cluster.get(RATE))?;
        let rate: u64 = text.parse().ok().filter(|rate| *rate > 0)?;
        let going = self.moves().values().filter(|one| one.is_taken()).count();
        Some((rate / going.max(1) as u64).max(1))
    }

    fn moves(&self) -> MutexGuard<'_, BTreeMap<ReplicaId, Arc<Move>>> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn untold(&self) -> MutexGuard<'_, BTreeMap<ReplicaId, Uuid>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the controller where the replicas are that have moved. What it is not told now it is told later.
    async fn tell(&self) -> Result<(), NotAssigned> {
        let untold: Vec<_> = self.untold().iter().map(|(replica, directory)| (*directory, *replica)).collect();
        self.control.assign(untold.clone()).await?;
        let mut left = self.untold();
        for (directory, replica) in untold {
            if left.get(&replica) == Some(&directory) {
                left.remove(&replica);
            }
        }
        Ok(())
    }

    /// A log for the copy, if there is room for all of it.
    fn begin(&self, one: &Arc<Move>, partition: &Partition) -> Result<Begun, LogError> {
        let dir = &one.to.log_dir;
        // It may be of a topic that was deleted, which the next start sees to, or of one that has just come.
        if dir.list()?.contains(&partition.directory()) {
            return Ok(Begun::Impossible("there is a directory of that name".to_owned()));
        }
        dir.empty_replica(&one.future)?;
        let (_, bytes) = partition.reader.segments_and_bytes()?;
        let free = dir.free_bytes()?;
        let moves = self.moves();
        let is_other = |other: &&Arc<Move>| !Arc::ptr_eq(other, one) && Arc::ptr_eq(&other.to, &one.to);
        let free = free.saturating_sub(moves.values().filter(is_other).map(|other| other.rest_bytes()).sum());
        if free < bytes.saturating_add(ROOM_BYTES_MIN) {
            return Ok(Begun::Impossible(format!("it has {bytes} bytes, and {free} are free there")));
        }
        one.copied_bytes.store(0, Ordering::Relaxed);
        one.bytes.store(bytes, Ordering::Relaxed);
        drop(moves);
        one.make_future()?;
        let first = partition.reader.segments()?[0].base_offset;
        let options = partition.settings().log_options(self.rt.random_u64());
        let (log, _) = Log::open(dir, &one.future, options, Checkpointed { log_start: first, ..Default::default() })?;
        Ok(Begun::Log(Box::new(log)))
    }

    /// Copies some of the log. Where not much is left, what there is is on the disk.
    fn stretch(
        &self,
        one: &Move,
        partition: &Partition,
        log: &mut Log,
        buffer: &mut Vec<u8>,
    ) -> Result<Left, LogError> {
        let mut copied = 0;
        while copied < STRETCH_BYTES {
            let stretch = log.copy(&partition.reader, partition.reader.end(), buffer)?;
            copied += stretch.bytes;
            one.copied_to.store(log.end().offset, Ordering::Relaxed);
            one.copied_bytes.fetch_add(stretch.bytes, Ordering::Relaxed);
            if stretch.is_last && stretch.bytes < REST_BYTES {
                let is_flushed = log.reader().flushed() == log.end();
                if is_flushed || copied == 0 {
                    return Ok(Left::NotMuch);
                }
                // So that nobody waits for it while the partition is offline.
                log.flush()?;
            }
        }
        Ok(Left::More { copied })
    }

    /// Nobody knows which of two directories is the replica's: the next start sees to it, unless its topic is deleted.
    pub fn leave_stuck(&self, one: &Move) {
        let name = one.future.rsplit_once('.').map_or("", |(name, _)| name);
        let removals = self.replicas.never_let_go(one.replica, name);
        removals.into_iter().for_each(|removal| self.remove_later(removal));
    }

    /// Has a replica's directory removed after a while.
    pub fn remove_later(&self, Removal { home, name, delay }: Removal) {
        let rt = self.rt.clone();
        self.rt.spawn(Lane::Control, "remove", async move {
            rt.sleep(delay).await;
            rt.blocking(move || home.remove(&name)).await;
        });
    }
}

/// Does what is asked for, one move after the other, until `stop`.
pub async fn run(moving: Arc<Moving>, mut stop: Stop) {
    while !stop.is_told() {
        let Some(one) = moving.take() else {
            let is_idle = moving.moves().is_empty() && moving.untold().is_empty();
            tokio::select! {
                biased;
                () = stop.told() => return,
                () = moving.asked.notified() => {}
                () = moving.rt.sleep(LOOK), if !is_idle => {}
            }
            tokio::select! {
                biased;
                () = stop.told() => return,
                // That they could not be told was said the first time.
                _ = moving.tell() => {}
            }
            continue;
        };
        let (at_work, asked, mut hears) = (moving.clone(), one.clone(), stop.again());
        // In a task of its own: a bug that one log brings out must not end the moves of all.
        let work = async move { move_one(&at_work, &asked, &mut hears).await };
        let ended = match moving.rt.spawn(Lane::Control, "move one", work).await {
            Ok(ended) => ended,
            Err(Panicked) => {
                // If it was in its last step, nobody knows in which of two directories the replica is. In one of them it has
                // its own name: what still has the copy's is not needed, and the next start is not to go on with it.
                let (at_work, asked) = (moving.clone(), one.clone());
                let leave = move || {
                    at_work.leave_stuck(&asked);
                    asked.remove_future();
                };
                moving.rt.blocking(leave).await;
                Ended::Impossible("a bug has ended it".to_owned())
            }
        };
        if stop.is_told() && !one.is_off() {
            return;
        }
        let to = one.to.path().display();
        match ended {
            Ended::Done => {
                moving.failed().remove(&one.replica);
                moving.forget(&one);
                continue;
            }
            Ended::Impossible(why) => {
                tracing::error!("a move to {to} is given up: {why}");
                moving.note_failed(&one);
            }
            // Of a log that is deleted the topic is, or it was opened anew.
            Ended::Failed(LogError::Deleted) | Ended::NotNow if moving.try_later(&one) => continue,
            Ended::Failed(error) if moving.try_later(&one) => {
                tracing::error!("a move to {to} failed, and is tried again: {error}");
                continue;
            }
            Ended::GivenUp | Ended::Failed(_) | Ended::NotNow => {}
        }
        end(&moving, &one).await;
    }
}

/// A move comes to nothing.
async fn end(moving: &Arc<Moving>, one: &Arc<Move>) {
    // Of one that is stuck not even the names are certain after a loss of power: the next start sees to it.
    if !moving.replicas.is_stuck(one.replica) {
        let gone = one.clone();
        moving.rt.blocking(move || gone.remove_future()).await;
    }
    moving.forget(one);
}

async fn move_one(moving: &Arc<Moving>, one: &Arc<Move>, stop: &mut Stop) -> Ended {
    let Some(partition) = moving.partition(one.replica) else {
        return if moving.is_deleted(one.replica) || one.is_off() { Ended::GivenUp } else { Ended::NotNow };
    };
    if one.is_off() || moving.replicas.is_stuck(one.replica) {
        return Ended::GivenUp;
    }
    // Another move of it is in its last step.
    if partition.has_moved() {
        return Ended::NotNow;
    }
    if Arc::ptr_eq(&partition.home, &one.to) {
        return Ended::GivenUp;
    }
    // What is copied before and what is copied after a compaction do not belong together.
    let _uncompacted = loop {
        if let Some(held) = moving.compaction.hold(&partition) {
            break held;
        }
        tokio::select! {
            biased;
            () = stop.told() => return Ended::GivenUp,
            () = moving.rt.sleep(LOOK) => {}
        }
        if one.is_off() {
            return Ended::GivenUp;
        }
    };
    // Another move of it may have held it.
    if partition.has_moved() {
        return Ended::NotNow;
    }
    let (topic, index) = (&partition.topic, partition.index);
    let begin = (moving.clone(), one.clone(), partition.clone());
    let log = moving.rt.blocking(move || begin.0.begin(&begin.1, &begin.2)).await;
    let swapped = match log {
        Ok(Begun::Log(log)) => match copy(moving, one, &partition, *log, stop).await {
            Ok(Some(log)) => {
                let work = (moving.clone(), one.clone(), partition.clone());
                moving.rt.blocking(move || work.0.swap(&work.1, &work.2, log)).await
            }
            Ok(None) => return Ended::GivenUp,
            Err(error) => Err(error),
        },
        Ok(Begun::Impossible(why)) => return Ended::Impossible(format!("{topic}-{index}: {why}")),
        Err(error) => Err(error),
    };
    match swapped {
        Ok(()) => {
            let to = one.to.path().display();
            tracing::info!(%topic, partition = index, "the replica is in {to} now");
            moving.untold().insert(one.replica, one.to.id);
            // Until the metadata say so, the next start sees where it is.
            if !stop.is_told()
                && let Err(error) = moving.tell().await
            {
                tracing::warn!(%topic, partition = index, "the metadata do not say yet that it is in {to}: {error}");
            }
            Ended::Done
        }
        Err(error) => {
            // Reading from a disk is no reason to give up the one that is written to.
            if error.path().is_some_and(|path| path.starts_with(one.to.path())) {
                one.to.note(&error);
            }
            match error {
                _ if moving.is_deleted(one.replica) || one.is_off() => Ended::GivenUp,
                LogError::Corrupt { .. } => Ended::Impossible(error.to_string()),
                _ if error.is_out_of_space() => Ended::Impossible(error.to_string()),
                _ => Ended::Failed(error),
            }
        }
    }
}

/// Copies until not much is left. `None` if it is not to go on: what was copied is gone then, as it is after an error.
async fn copy(
    moving: &Arc<Moving>,
    one: &Arc<Move>,
    partition: &Arc<Partition>,
    mut log: Log,
    stop: &mut Stop,
) -> Result<Option<Log>, LogError> {
    let mut buffer = Vec::new();
    loop {
        if one.is_off() || stop.is_told() || moving.is_deleted(one.replica) {
            discard(moving, one, log).await;
            return Ok(None);
        }
        let work = (moving.clone(), one.clone(), partition.clone());
        let stretch;
        (log, buffer, stretch) = moving
            .rt
            .blocking(move || {
                let stretch = work.0.stretch(&work.1, &work.2, &mut log, &mut buffer);
                (log, buffer, stretch)
            })
            .await;
        match stretch {
            Ok(Left::NotMuch) => return Ok(Some(log)),
            Ok(Left::More { copied }) => pause(moving, one, copied, stop).await,
            Err(error) => {
                discard(moving, one, log).await;
                return Err(error);
            }
        }
    }
}

/// Waits until so many bytes may have been copied. What is allowed may change meanwhile.
async fn pause(moving: &Moving, one: &Move, copied: u64, stop: &mut Stop) {
    let mut ahead = copied;
    while let Some(rate) = moving.bytes_per_second().filter(|_| ahead > 0) {
        if one.is_off() {
            return;
        }
        let some = ahead.min(rate);
        tokio::select! {
            biased;
            () = stop.told() => return,
            () = moving.rt.sleep(Duration::from_secs_f64(some as f64 / rate as f64)) => {}
        }
        ahead -= some;
    }
}

/// Takes away what was copied.
async fn discard(moving: &Arc<Moving>, one: &Arc<Move>, log: Log) {
    let gone = one.clone();
    let discard = move || {
        log.let_go();
        gone.empty_future();
    };
    moving.rt.blocking(discard).await;
}
