//! Replicas go from one log directory to another while they are served (KIP-113).
//!
//! A log is copied as a *future* replica, `<topic>-<n>.<id>-future`, while it is appended to; compaction of it waits, for what
//! is copied must be of one time. When the copy has nearly caught up, the partition goes offline for a moment
//! ([`super::swapping`]), and is opened in its new place. Clients are told that it has another leader meanwhile, and ask again.
//!
//! What cannot be done is given up, with a line that says why: the other directory is too small, or the log is damaged.
//! What may work another time is tried again, later each time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_config::ServerConfig;
use ottla_rt::{Lane, Rt, Stop};
use ottla_storage::checkpoint::topic_id;
use ottla_storage::{Checkpointed, Log, LogDir, LogError, NameTooLong};
use ottla_wire::TopicKey;
use tokio::sync::Notify;

use super::compaction::Compaction;
use crate::control::Control;
use crate::control::publisher::Removal;
use crate::control::replicas::Replicas;
use crate::control::whereabouts::ReplicaId;
use crate::directory::Directory;
use crate::partition::Partition;
use crate::room::ROOM_BYTES_MIN;
use crate::topics::Published;

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
    pub asked: Notify,
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
    /// The other directory has so many bytes free.
    TooSmall {
        bytes: u64,
        free: u64,
    },
}

/// What a stretch of copying leaves.
enum Left {
    More { copied: u64 },
    NotMuch,
}

impl Moving {
    /// Asks for a replica to be moved. To where it is: asks for it to stay.
    pub fn ask(&self, replica: ReplicaId, partition: &Partition, to: &Arc<Directory>) -> Result<(), NameTooLong> {
        let future = LogDir::future_name(&partition.directory(), self.rt.random_uuid())?;
        let mut moves = self.moves();
        if moves.get(&replica).is_some_and(|going| Arc::ptr_eq(&going.to, to)) {
            return Ok(());
        }
        if let Some(other) = moves.remove(&replica) {
            other.is_cancelled.store(true, Ordering::Relaxed);
        }
        if !Arc::ptr_eq(&partition.home, to) {
            let asked = Move {
                replica,
                to: to.clone(),
                future,
                is_taken: AtomicBool::new(false),
                is_cancelled: AtomicBool::new(false),
                failures: AtomicU32::new(0),
                due_ms: AtomicI64::new(i64::MIN),
                copied_to: AtomicI64::new(0),
                copied_bytes: AtomicU64::new(0),
            };
            moves.insert(replica, Arc::new(asked));
            drop(moves);
            self.asked.notify_one();
        }
        Ok(())
    }

    /// Asks for the moves that an earlier start has not finished.
    pub fn go_on(&self, moves: &[(Arc<Directory>, ReplicaId)]) {
        for (to, replica) in moves {
            if let Some(partition) = self.partition(*replica) {
                // The name was not too long then.
                let _ = self.ask(*replica, &partition, to);
            }
        }
    }

    /// All that are asked for or under way.
    pub fn all(&self) -> Vec<Arc<Move>> {
        self.moves().values().cloned().collect()
    }

    /// The one that has waited for the longest, of those that are due.
    fn take(&self) -> Option<Arc<Move>> {
        let now_ms = self.rt.mono_ms();
        let moves = self.moves();
        let waits = |one: &&Arc<Move>| !one.is_taken.load(Ordering::Relaxed);
        let next = moves.values().filter(waits).min_by_key(|one| one.due_ms.load(Ordering::Relaxed))?;
        let is_due = next.due_ms.load(Ordering::Relaxed) <= now_ms;
        is_due.then(|| {
            next.is_taken.store(true, Ordering::Relaxed);
            next.clone()
        })
    }

    /// Nothing is left to be done, unless something else is asked for by now.
    fn forget(&self, one: &Arc<Move>) {
        let mut moves = self.moves();
        if moves.get(&one.replica).is_some_and(|going| Arc::ptr_eq(going, one)) {
            moves.remove(&one.replica);
        }
    }

    fn try_later(&self, one: &Move) {
        let failures = one.failures.fetch_add(1, Ordering::Relaxed).min(16);
        one.due_ms.store(self.rt.mono_ms() + (RETRY_MS << failures).min(RETRY_MS_MAX), Ordering::Relaxed);
        one.is_taken.store(false, Ordering::Relaxed);
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
        let going = self.moves().values().filter(|one| one.is_taken.load(Ordering::Relaxed)).count();
        Some((rate / going.max(1) as u64).max(1))
    }

    fn moves(&self) -> MutexGuard<'_, BTreeMap<ReplicaId, Arc<Move>>> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A log for the copy, if there is room for all of it.
    fn begin(&self, one: &Move, partition: &Partition) -> Result<Begun, LogError> {
        let dir = &one.to.log_dir;
        dir.remove(&one.future)?;
        let (_, bytes) = partition.reader.segments_and_bytes()?;
        let free = dir.free_bytes()?;
        if free < bytes.saturating_add(ROOM_BYTES_MIN) {
            return Ok(Begun::TooSmall { bytes, free });
        }
        let first = partition.reader.segments()?[0].base_offset;
        let options = partition.settings().log_options(self.rt.random_u64());
        let (log, _) = Log::open(dir, &one.future, options, Checkpointed { log_start: first, ..Default::default() })?;
        one.copied_bytes.store(0, Ordering::Relaxed);
        topic_id::store(dir.disk(), &dir.path().join(&one.future), one.replica.topic)?;
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
    loop {
        let Some(one) = moving.take() else {
            let is_idle = moving.moves().is_empty();
            tokio::select! {
                biased;
                () = stop.told() => return,
                () = moving.asked.notified() => {}
                () = moving.rt.sleep(LOOK), if !is_idle => {}
            }
            continue;
        };
        let ended = move_one(&moving, &one, &mut stop).await;
        if stop.is_told() {
            return;
        }
        let to = one.to.path().display();
        match ended {
            Ended::Done | Ended::GivenUp => moving.forget(&one),
            Ended::Impossible(why) => {
                tracing::error!("a move to {to} is given up: {why}");
                moving.forget(&one);
            }
            Ended::Failed(error) => {
                // Of a log that is deleted the topic is, or it was opened anew.
                if !matches!(error, LogError::Deleted) {
                    tracing::error!("a move to {to} failed, and is tried again: {error}");
                }
                moving.try_later(&one);
            }
            Ended::NotNow => moving.try_later(&one),
        }
    }
}

async fn move_one(moving: &Arc<Moving>, one: &Arc<Move>, stop: &mut Stop) -> Ended {
    let Some(partition) = moving.partition(one.replica) else {
        return if moving.is_deleted(one.replica) { Ended::GivenUp } else { Ended::NotNow };
    };
    // One that is held was to be moved, and that could not be undone: only a start sees to it.
    let is_held = moving.replicas.is_moving(one.replica.topic, one.replica.index);
    if Arc::ptr_eq(&partition.home, &one.to) || one.to.has_failed() || is_held {
        return Ended::GivenUp;
    }
    if partition.has_moved() {
        return Ended::NotNow;
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
        if one.is_cancelled.load(Ordering::Relaxed) {
            return Ended::GivenUp;
        }
    };
    let begin = (moving.clone(), one.clone(), partition.clone());
    let log = moving.rt.blocking(move || begin.0.begin(&begin.1, &begin.2)).await;
    let copied = match log {
        Ok(Begun::Log(log)) => copy(moving, one, &partition, *log, stop).await,
        Ok(Begun::TooSmall { bytes, free }) => {
            let (topic, index) = (&partition.topic, partition.index);
            return Ended::Impossible(format!("{topic}-{index} has {bytes} bytes, and {free} are free there"));
        }
        Err(error) => Err(error),
    };
    let ended = match copied {
        Ok(Some(log)) => {
            let work = (moving.clone(), one.clone(), partition.clone());
            moving.rt.blocking(move || work.0.swap(&work.1, &work.2, log)).await
        }
        Ok(None) => return Ended::GivenUp,
        Err(error) => Err(error),
    };
    match ended {
        Ok(is_durable) => {
            let (topic, index, to) = (&partition.topic, partition.index, one.to.path().display());
            tracing::info!(%topic, partition = index, "the replica is in {to} now");
            // Until the metadata say so, the next start sees where it is.
            if is_durable
                && !stop.is_told()
                && let Err(error) = moving.control.assign(vec![(one.to.id, one.replica)]).await
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
                _ if moving.is_deleted(one.replica) || one.to.has_failed() => Ended::GivenUp,
                LogError::Corrupt { .. } => Ended::Impossible(error.to_string()),
                _ if error.is_out_of_space() => Ended::Impossible(error.to_string()),
                _ => Ended::Failed(error),
            }
        }
    }
}

/// Copies until not much is left. `None` if it is not to go on: the copy is gone then, as it is after an error.
async fn copy(
    moving: &Arc<Moving>,
    one: &Arc<Move>,
    partition: &Arc<Partition>,
    mut log: Log,
    stop: &mut Stop,
) -> Result<Option<Log>, LogError> {
    let mut buffer = Vec::new();
    loop {
        if one.is_cancelled.load(Ordering::Relaxed) || stop.is_told() || moving.is_deleted(one.replica) {
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
        if one.is_cancelled.load(Ordering::Relaxed) {
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

/// Takes away what was copied of a move that comes to nothing.
async fn discard(moving: &Arc<Moving>, one: &Arc<Move>, log: Log) {
    let gone = one.clone();
    let discard = move || {
        log.reader().let_go();
        gone.to.remove(&gone.future);
    };
    moving.rt.blocking(discard).await;
}
