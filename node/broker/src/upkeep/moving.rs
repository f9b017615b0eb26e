//! Replicas go from one log directory to another while they are served (KIP-113).
//!
//! A log is copied as a *future* replica, `<topic>-<n>.<id>-future`, while it is appended to. When the copy has nearly caught
//! up, the partition goes offline for a moment: the rest is copied, everything is synced and written down, the copy gets the
//! replica's name, the old one that of what is to be removed, and the partition is opened in its new place. Clients are
//! told NOT_LEADER_OR_FOLLOWER meanwhile, and ask again.
//!
//! At each step one of the two is whole and found by the next start (`control/whereabouts.rs`): the old one until the copy has
//! the name, the copy from then on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_config::ServerConfig;
use ottla_partition::Leader;
use ottla_rt::{Lane, Rt, Stop};
use ottla_storage::checkpoint::{epochs, producers, topic_id};
use ottla_storage::{Checkpointed, Log, LogDir, LogError, NameTooLong};
use ottla_wire::TopicKey;
use tokio::sync::Notify;

use crate::control::Control;
use crate::control::replicas::Replicas;
use crate::control::whereabouts::ReplicaId;
use crate::directory::Directory;
use crate::partition::{Gone, Partition};
use crate::snapshot;
use crate::topics::Published;

/// With fewer bytes left to copy the partition goes offline for the rest.
const REST_BYTES: u64 = 1 << 20;
/// Copied between two looks at whether to go on.
const STRETCH_BYTES: u64 = 4 << 20;
/// The pause after something has failed.
const RETRY: Duration = Duration::from_secs(1);
/// The dynamic config of brokers that limits what all moves copy in a second (KIP-113). It is not among Kafka's static keys.
const RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

/// The moves that are asked for.
#[derive(Debug)]
pub struct Moving {
    pub rt: Rt,
    pub replicas: Arc<Replicas>,
    pub control: Arc<Control>,
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
    future: String,
    /// Somebody is at it.
    is_taken: AtomicBool,
    is_cancelled: AtomicBool,
    /// End of the copy.
    pub copied_to: AtomicI64,
    pub copied_bytes: AtomicU64,
}

/// How a stretch of copying ends.
enum Stretch {
    /// There is more.
    Copied { bytes: u64 },
    /// Not much is left.
    NearlyThere,
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

    fn take(&self) -> Option<Arc<Move>> {
        let moves = self.moves();
        moves.values().find(|one| !one.is_taken.swap(true, Ordering::Relaxed)).cloned()
    }

    /// Nothing is left to be done, unless something else is asked for by now.
    fn forget(&self, one: &Arc<Move>) {
        let mut moves = self.moves();
        if moves.get(&one.replica).is_some_and(|going| Arc::ptr_eq(going, one)) {
            moves.remove(&one.replica);
        }
    }

    fn partition(&self, replica: ReplicaId) -> Option<Arc<Partition>> {
        let published = self.published.load();
        published.topics.find(TopicKey::Id(replica.topic))?.partition(replica.index).ok().cloned()
    }

    /// Bytes that all moves may copy in a second.
    fn bytes_per_second(&self) -> Option<u64> {
        let published = self.published.load();
        let layers = published.image.configs().layers(&self.config);
        let text = layers.broker.get(RATE).or_else(|| layers.cluster.get(RATE))?;
        text.parse().ok().filter(|rate| *rate > 0)
    }

    fn moves(&self) -> MutexGuard<'_, BTreeMap<ReplicaId, Arc<Move>>> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies some of the log.
    fn stretch(
        &self,
        one: &Move,
        partition: &Partition,
        log: &mut Log,
        buffer: &mut Vec<u8>,
    ) -> Result<Stretch, LogError> {
        let mut copied = 0;
        while copied < STRETCH_BYTES {
            let bytes = log.copy(&partition.reader, partition.reader.end(), buffer)?;
            copied += bytes;
            one.copied_to.store(log.end().offset, Ordering::Relaxed);
            one.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
            if bytes < REST_BYTES / 2 {
                return Ok(Stretch::NearlyThere);
            }
        }
        Ok(Stretch::Copied { bytes: copied })
    }

    fn begin(&self, one: &Move, partition: &Partition) -> Result<Log, LogError> {
        let dir = &one.to.log_dir;
        dir.remove(&one.future)?;
        let first = partition.reader.segments()?[0].base_offset;
        let options = partition.settings().log_options(self.rt.random_u64());
        let (log, _) = Log::open(dir, &one.future, options, Checkpointed { log_start: first, ..Default::default() })?;
        topic_id::store(dir.disk(), &dir.path().join(&one.future), one.replica.topic)?;
        Ok(log)
    }

    /// Takes the partition offline and puts the copy in its place. Whatever comes of it, the publisher opens what there is.
    fn finish(&self, one: &Move, partition: &Partition, log: Log, buffer: &mut Vec<u8>) -> Result<Copied, LogError> {
        let _held = self.replicas.hold(one.replica);
        // It is deleted, or the broker stops.
        let Some((leader, old)) = partition.take_offline(Gone::Moved) else { return Err(LogError::Deleted) };
        self.swap(one, partition, &leader, old, log, buffer)
    }

    fn swap(
        &self,
        one: &Move,
        partition: &Partition,
        leader: &Leader,
        old: Log,
        mut log: Log,
        buffer: &mut Vec<u8>,
    ) -> Result<Copied, LogError> {
        while log.copy(&partition.reader, old.end(), buffer)? > 0 {}
        log.copy_aborted(&partition.reader)?;
        let (to, name) = (&one.to, partition.directory());
        let dir = &to.log_dir;
        let marks = leader.marks();
        let end = log.close()?.offset;
        write_beside(dir, &dir.path().join(&one.future), leader, end)?;
        let known = Checkpointed {
            recovery_point: end,
            kept: 0,
            log_start: marks.start,
            cleaned: partition.first_dirty().unwrap_or(0),
        };
        to.checkpoints.adopt(&name, &known, marks.high_watermark)?;
        dir.take_over(&one.future, &name)?;
        let from = &partition.home;
        let removed = match old.delete(self.rt.random_uuid()) {
            Ok(removed) => removed,
            Err(error) => {
                // There must not be two. Where this fails as well, none is served until the next start takes the copy.
                if dir.disk().rename(&dir.path().join(&name), &dir.path().join(&one.future)).is_err() {
                    std::mem::forget(self.replicas.hold(one.replica));
                }
                return Err(error);
            }
        };
        self.replicas.adopted.lock().unwrap_or_else(PoisonError::into_inner).insert(one.replica, known);
        from.checkpoints.is_gone(&name);
        self.remove_later(partition, removed);
        match from.log_dir.sync() {
            Ok(()) => Ok(Copied::Moved),
            Err(error) => {
                tracing::error!("{name} may be in {} too after a loss of power: {error}", from.path().display());
                Ok(Copied::OldOneMayComeBack)
            }
        }
    }

    fn remove_later(&self, partition: &Partition, name: String) {
        let (rt, home, delay) = (self.rt.clone(), partition.home.clone(), partition.settings().file_delete_delay());
        self.rt.spawn(Lane::Control, "remove", async move {
            rt.sleep(delay).await;
            rt.blocking(move || home.remove(&name)).await;
        });
    }
}

/// Writes what the leader knows beside a copy of its log.
fn write_beside(dir: &LogDir, replica: &Path, leader: &Leader, end: i64) -> Result<(), LogError> {
    let all = leader.epochs().entries();
    let used = &all[..all.partition_point(|epoch| epoch.start_offset < end)];
    let used: Vec<_> = used.iter().map(|entry| (entry.epoch.0, entry.start_offset)).collect();
    epochs::store(dir.disk(), replica, &used)?;
    producers::store(dir.disk(), replica, &snapshot::to_file(&leader.producer_snapshot()))
}

/// Does what is asked for, one move after the other, until `stop`.
pub async fn run(moving: Arc<Moving>, mut stop: Stop) {
    loop {
        let Some(one) = moving.take() else {
            tokio::select! {
                biased;
                () = stop.told() => return,
                () = moving.asked.notified() => continue,
            }
        };
        let ended = move_one(&moving, &one, &mut stop).await;
        if stop.is_told() {
            return;
        }
        match ended {
            Ended::Done => moving.forget(&one),
            Ended::ToBeTriedAgain => {
                moving.rt.sleep(RETRY).await;
                one.is_taken.store(false, Ordering::Relaxed);
            }
        }
    }
}

/// What comes of copying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copied {
    Moved,
    /// It was moved, and after a loss of power it may be where it was, too. Of two the next start takes the one that the metadata
    /// do not name: so they keep the old place.
    OldOneMayComeBack,
    /// The move was cancelled, or the broker stops.
    GivenUp,
}

enum Ended {
    /// It is there, or nobody wants it there any more.
    Done,
    ToBeTriedAgain,
}

async fn move_one(moving: &Arc<Moving>, one: &Arc<Move>, stop: &mut Stop) -> Ended {
    let Some(partition) = moving.partition(one.replica) else {
        let is_there = moving.published.load().image.topics().get_by_id(&one.replica.topic).is_some();
        return if is_there { Ended::ToBeTriedAgain } else { Ended::Done };
    };
    let (topic, index, to) = (partition.topic.clone(), partition.index, one.to.path().display().to_string());
    if Arc::ptr_eq(&partition.home, &one.to) {
        return Ended::Done;
    }
    let copied = copy(moving, one, &partition, stop).await;
    match copied {
        Ok(copied @ (Copied::Moved | Copied::OldOneMayComeBack)) => {
            tracing::info!(%topic, partition = index, "the replica is in {to} now");
            // The publisher opens it.
            moving.replicas.directories.signals.mend.notify_one();
            if copied == Copied::Moved
                && let Err(error) = moving.control.assign(vec![(one.to.id, one.replica)]).await
            {
                // The next start sees where it is.
                tracing::warn!(%topic, partition = index, "the metadata do not say yet that it is in {to}: {error}");
            }
            Ended::Done
        }
        Ok(Copied::GivenUp) => {
            discard(moving, one).await;
            Ended::Done
        }
        Err(error) => {
            one.to.note(&error);
            moving.replicas.directories.signals.mend.notify_one();
            // Of a log that is deleted the topic is, or it was opened anew.
            if !matches!(error, LogError::Deleted) {
                tracing::error!(%topic, partition = index, "the move to {to} failed: {error}");
            }
            discard(moving, one).await;
            if one.to.has_failed() { Ended::Done } else { Ended::ToBeTriedAgain }
        }
    }
}

async fn copy(
    moving: &Arc<Moving>,
    one: &Arc<Move>,
    partition: &Arc<Partition>,
    stop: &mut Stop,
) -> Result<Copied, LogError> {
    let rt = &moving.rt;
    one.copied_bytes.store(0, Ordering::Relaxed);
    let begin = (moving.clone(), one.clone(), partition.clone());
    let mut log = rt.blocking(move || begin.0.begin(&begin.1, &begin.2)).await?;
    let mut buffer = Vec::new();
    loop {
        if one.is_cancelled.load(Ordering::Relaxed) || stop.is_told() {
            return Ok(Copied::GivenUp);
        }
        let work = (moving.clone(), one.clone(), partition.clone());
        let stretch;
        (log, buffer, stretch) = rt
            .blocking(move || {
                let stretch = work.0.stretch(&work.1, &work.2, &mut log, &mut buffer);
                (log, buffer, stretch)
            })
            .await;
        match stretch? {
            Stretch::NearlyThere => break,
            Stretch::Copied { bytes } => {
                if let Some(rate) = moving.bytes_per_second() {
                    // Each of the moves that are going on may have its share.
                    let going = moving.moves().values().filter(|one| one.is_taken.load(Ordering::Relaxed)).count();
                    let pause = Duration::from_secs_f64(bytes as f64 * going.max(1) as f64 / rate as f64);
                    tokio::select! {
                        biased;
                        () = stop.told() => return Ok(Copied::GivenUp),
                        () = rt.sleep(pause) => {}
                    }
                }
            }
        }
    }
    let work = (moving.clone(), one.clone(), partition.clone());
    rt.blocking(move || work.0.finish(&work.1, &work.2, log, &mut buffer)).await
}

/// Takes away what was copied of a move that came to nothing.
async fn discard(moving: &Arc<Moving>, one: &Arc<Move>) {
    let gone = one.clone();
    moving.rt.blocking(move || gone.to.remove(&gone.future)).await;
}
