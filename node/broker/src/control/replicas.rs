//! One replica: from its files to a leader that serves, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_base::{LeaderEpoch, Seed, Uuid};
use ottla_config::{ServerConfig, keys};
use ottla_metadata::{Image, image};
use ottla_partition::{EpochEntry, Leader, Opened, ProducerSnapshot, Recovery};
use ottla_rt::Rt;
use ottla_storage::checkpoint::{epochs, producers, topic_id};
use ottla_storage::disk::Disk;
use ottla_storage::{Checkpointed, Log, LogError, Recovered};

use super::publisher::Removal;
use super::whereabouts::ReplicaId;
use crate::directory::{Directories, Directory, Homeless, Past};
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::partition::{Gone, Opening, Partition};
use crate::snapshot;
use crate::topic_settings::TopicSettings;
use crate::topics::Topic;
use crate::transactions;

/// Opens, closes and removes the replicas of the log directories.
#[derive(Debug)]
pub struct Replicas {
    pub rt: Rt,
    pub seed: Seed,
    pub directories: Arc<Directories>,
    pub identity: Arc<Identity>,
    pub config: Arc<ServerConfig>,
    pub metrics: Arc<Metrics>,
    pub work: Work,
    pub last_settings: Mutex<Option<Arc<TopicSettings>>>,
    /// Replicas that could not be opened when it was tried last.
    pub closed: Mutex<BTreeSet<(Uuid, i32)>>,
    /// Those of the first leader epoch that were opened in this run: they are new no more.
    pub begun: Mutex<BTreeSet<ReplicaId>>,
    /// Those that go from one directory to another at this moment, and are not to be opened.
    pub moving: Mutex<BTreeMap<ReplicaId, Meanwhile>>,
    /// What is known of those that have come.
    pub adopted: Mutex<BTreeMap<ReplicaId, Checkpointed>>,
}

/// What has happened to a topic while a replica of it was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    Nothing,
    Deleted,
    /// Nothing, and nobody knows which of two directories is its own: it is held until the next start.
    Stuck,
}

/// What opening replicas has taken since the last report.
#[derive(Debug, Default)]
pub struct Work {
    logs: AtomicU64,
    bytes_read: AtomicU64,
    bytes_cut: AtomicU64,
    indexes_rebuilt: AtomicU64,
}

impl Replicas {
    /// Whether this start of this broker may serve.
    pub fn is_unfenced(&self, image: &Image) -> bool {
        let registered = image.brokers().get(self.identity.node_id);
        registered.is_some_and(|broker| broker.incarnation_id == self.identity.incarnation_id && !broker.fenced)
    }

    /// Whether this broker is to serve a partition.
    pub fn leads(&self, partition: &image::Partition) -> bool {
        partition.leader == self.identity.node_id
    }

    /// Opens a replica that this broker leads. `None` where that fails, which is logged; it is tried again later.
    pub fn open(&self, image: &Image, topic: &Uuid, index: i32) -> Option<Arc<Partition>> {
        let topic = image.topics().get_by_id(topic)?;
        let partition = topic.partition(index)?;
        if !self.leads(partition) || self.is_moving(topic.id, index) {
            return None;
        }
        match self.try_open(image, topic, index, partition) {
            Ok(partition) => {
                if self.closed().remove(&(topic.id, index)) {
                    tracing::info!(topic = %topic.name, partition = index, "the log is open");
                }
                Some(Arc::new(partition))
            }
            // That was said when its directory failed, and nothing is tried until there is another start.
            Err(Homeless::Offline) => None,
            Err(error) => {
                self.metrics.failed_opens.add(1);
                if self.closed().insert((topic.id, index)) {
                    let trouble = "cannot open the log, which is tried again";
                    tracing::error!(topic = %topic.name, partition = index, "{trouble}: {error}");
                }
                None
            }
        }
    }

    pub fn is_moving(&self, topic: Uuid, index: i32) -> bool {
        lock(&self.moving).contains_key(&ReplicaId { topic, index })
    }

    pub fn is_stuck(&self, replica: ReplicaId) -> bool {
        lock(&self.moving).get(&replica) == Some(&Meanwhile::Stuck)
    }

    fn closed(&self) -> MutexGuard<'_, BTreeSet<(Uuid, i32)>> {
        lock(&self.closed)
    }

    fn try_open(
        &self,
        image: &Image,
        topic: &image::Topic,
        index: i32,
        partition: &image::Partition,
    ) -> Result<Partition, Homeless> {
        let settings = self.settings(image, &topic.name);
        let name = format!("{}-{index}", topic.name);
        let assigned = partition.directory_on(self.identity.node_id);
        let replica = ReplicaId { topic: topic.id, index };
        let is_new = partition.leader_epoch == LeaderEpoch(0) && !lock(&self.begun).contains(&replica);
        let past = if is_new { Past::New } else { Past::Led };
        let home = self.directories.home(&name, topic.id, assigned, past)?;
        let path = home.path().join(&name);
        self.claim(home, topic.id, &name)?;
        let adopted = lock(&self.adopted).remove(&replica);
        let known = adopted.unwrap_or_else(|| home.checkpoints.known(&name, &settings.config));
        let options = settings.log_options(self.rt.random_u64());
        let (mut log, recovered) = Log::open(&home.log_dir, &name, options, known)?;
        self.work.add(&recovered);
        if recovered.synced_offsets_lost > 0 {
            tracing::error!(
                topic = %topic.name, partition = index,
                "the disk has lost {} records that it had synced", recovered.synced_offsets_lost
            );
        }
        let disk = home.log_dir.disk();
        let reader = log.reader();
        let epochs = epochs::load(disk, &path)?.unwrap_or_default();
        let epochs: Vec<_> = epochs
            .into_iter()
            .map(|(epoch, start_offset)| EpochEntry { epoch: LeaderEpoch(epoch), start_offset })
            .collect();
        if settings.config.flush_messages == 1 {
            // Here only what is flushed is to be seen, and after a crash nobody knows what is: it was kept, so it is shown.
            log.flush()?;
        }
        log.rest();
        let opened = Opened { start: reader.start(), end: log.end().offset, flushed: reader.flushed().offset };
        let rules = settings.leader_rules(partition.replicas.len());
        let known_to = recovered.aborted_from.unwrap_or(opened.end);
        let snapshot = producers::newest(disk, &path, known_to)?.map(snapshot::from_file);
        let mut recovery = Recovery::new(self.seed, &epochs, snapshot.as_ref(), rules.high_watermark(&opened));
        let snapshot_at = snapshot.map_or(if opened.end == 0 { 0 } else { -1 }, |snapshot| snapshot.offset);
        let from = snapshot_at.max(opened.start);
        let mut aborted = Vec::new();
        if from < opened.end {
            reader.headers(from, |header, control| {
                aborted.extend(recovery.replay(header, control.and_then(transactions::marker).as_ref()));
            })?;
        }
        if let Some(from) = recovered.aborted_from {
            aborted.retain(|one| one.last_offset >= from);
            log.set_aborted(from, &aborted)?;
        }
        if topic_id::load(disk, &path)?.is_none() {
            topic_id::store(disk, &path, topic.id)?;
        }
        if is_new {
            lock(&self.begun).insert(replica);
        }
        let leader = Leader::new(partition.leader_epoch, rules, opened, recovery);
        Ok(Partition::new(Opening {
            topic: topic.name.clone(),
            index,
            node_id: self.identity.node_id,
            replicas: partition.replicas.len(),
            settings,
            home: home.clone(),
            traffic: self.metrics.topics.traffic(topic.id, topic.partition_count(), index),
            leader,
            log,
            stored_epochs: epochs,
            snapshot_at,
        }))
    }

    /// Sees to it that what the directory of this name holds, and what the checkpoints say of it, is this topic's.
    ///
    /// One that belongs to another topic is renamed, as by Kafka: nobody asked for its data to go. One that does not say
    /// whose it is has lost that with the power, and so was never flushed: it may be of a topic that was deleted.
    fn claim(&self, home: &Directory, id: Uuid, name: &str) -> Result<(), LogError> {
        let dir = &home.log_dir;
        match topic_id::load(dir.disk(), &dir.path().join(name))? {
            Some(found) if found == id => return Ok(()),
            Some(other) => {
                let stray = dir.set_aside(name, other)?;
                tracing::warn!("{name} belongs to another topic, {other}; renamed to {stray}");
            }
            None if dir.has_records(name)? => {
                let stray = dir.set_aside(name, self.rt.random_uuid())?;
                tracing::warn!("{name} does not say which topic it belongs to; renamed to {stray}");
            }
            None => {}
        }
        home.checkpoints.forget(name)
    }

    /// Takes the partitions of a deleted topic away. Their directories are renamed now, and to be removed later.
    pub fn delete(&self, topic: &Topic) -> Vec<Removal> {
        let mut removals = Vec::new();
        for (index, partition) in topic.partitions.iter().enumerate() {
            self.closed().remove(&(topic.id, index as i32));
            let replica = ReplicaId { topic: topic.id, index: index as i32 };
            lock(&self.begun).remove(&replica);
            if let Some(meanwhile) = lock(&self.moving).get_mut(&replica).filter(|now| **now != Meanwhile::Stuck) {
                *meanwhile = Meanwhile::Deleted;
                continue;
            }
            lock(&self.moving).remove(&replica);
            lock(&self.adopted).remove(&replica);
            match partition {
                Some(partition) if !partition.has_moved() => match self.delete_open(partition) {
                    Ok(removal) => removals.extend(removal),
                    // The next start sets it aside.
                    Err(error) => {
                        tracing::error!(topic = %topic.name, partition = index, "cannot delete the log: {error}");
                    }
                },
                // It may be in another directory by now.
                _ => removals.extend(self.delete_closed(topic.id, &format!("{}-{index}", topic.name))),
            }
        }
        removals
    }

    fn delete_open(&self, partition: &Partition) -> Result<Option<Removal>, LogError> {
        let Some((_, log)) = partition.take_offline(Gone::Deleted) else { return Ok(None) };
        let name = log.delete(self.rt.random_uuid())?;
        let home = partition.home.clone();
        home.checkpoints.is_gone(&partition.directory());
        Ok(Some(Removal { home, name, delay: partition.settings().file_delete_delay() }))
    }

    /// Of a partition that could not be opened: its directory may be there, and may be another topic's. There may be two.
    fn delete_closed(&self, id: Uuid, name: &str) -> Vec<Removal> {
        let delay_ms = self.config.get(keys::LOG_SEGMENT_DELETE_DELAY_MS);
        let delay = Duration::from_millis(u64::try_from(delay_ms).unwrap_or(0));
        let delete = |home: &Arc<Directory>| match home.holds(name, id) {
            Ok(true) => {
                home.checkpoints.is_gone(name);
                home.log_dir.set_to_be_removed(name, self.rt.random_uuid()).map(Some)
            }
            other => other.map(|_| None),
        };
        let removal = |home: &Arc<Directory>| {
            // The next start sets it aside.
            let deleted = delete(home).inspect_err(|error| tracing::error!("cannot delete {name}: {error}"));
            Some(Removal { home: home.clone(), name: deleted.ok()??, delay })
        };
        self.directories.online().filter_map(removal).collect()
    }

    /// Renames, as Kafka does, the directories of replicas that are not in the image: of topics that were deleted when there
    /// was no time left to do the same to their files, and of clusters that this is not.
    pub fn set_strays_aside(&self, image: &Image) {
        let is_alone = self.directories.online().nth(1).is_none();
        let is_stray = |home: &Directory, name: &str| {
            let (topic, index) = name.rsplit_once('-').unwrap_or_default();
            let index = index.parse().unwrap_or(-1);
            let Some(topic) = image.topics().get(topic).filter(|topic| topic.partition(index).is_some()) else {
                return true;
            };
            // In the only directory it was seen to when it was opened.
            let found = if is_alone { Ok(None) } else { topic_id::load(home.log_dir.disk(), &home.path().join(name)) };
            found.is_ok_and(|found| found.is_some_and(|found| found != topic.id))
        };
        for home in self.directories.online() {
            match home.replicas() {
                Ok(names) => names.iter().filter(|name| is_stray(home, name)).for_each(|name| {
                    if let Err(error) = self.set_stray_aside(home, name) {
                        tracing::error!("{name} is of no topic, and cannot be renamed: {error}");
                    }
                }),
                Err(error) => tracing::error!("cannot look for directories of no topic: {error}"),
            }
        }
    }

    fn set_stray_aside(&self, home: &Directory, name: &str) -> Result<(), LogError> {
        let dir = &home.log_dir;
        let id = topic_id::load(dir.disk(), &dir.path().join(name))?;
        // Without an id and without records it is nothing that anybody could miss, or not ours at all.
        if let Some(id) = id.or(dir.has_records(name)?.then(|| self.rt.random_uuid())) {
            let stray = dir.set_aside(name, id)?;
            home.checkpoints.is_gone(name);
            tracing::warn!("{name} is of no topic that there is; renamed to {stray}");
        }
        Ok(())
    }

    /// Removes what an earlier start has renamed to be removed.
    pub fn remove_leftovers(&self) {
        for home in self.directories.online() {
            match home.log_dir.list() {
                Ok(names) => names.iter().filter(|name| name.ends_with("-delete")).for_each(|name| home.remove(name)),
                Err(error) => tracing::error!("cannot look for directories to remove: {error}"),
            }
        }
    }

    /// Keeps a replica from being opened until it is let go.
    pub fn hold(&self, replica: ReplicaId, why: Meanwhile) {
        lock(&self.moving).insert(replica, why);
    }

    /// It may be opened again; or, if its topic was deleted meanwhile, it goes.
    pub fn let_go(&self, replica: ReplicaId, name: &str) -> Vec<Removal> {
        let meanwhile = lock(&self.moving).remove(&replica);
        if meanwhile == Some(Meanwhile::Deleted) {
            lock(&self.adopted).remove(&replica);
            return self.delete_closed(replica.topic, name);
        }
        Vec::new()
    }

    /// If it is held it is until the next start; or, if its topic was deleted meanwhile, it goes.
    pub fn never_let_go(&self, replica: ReplicaId, name: &str) -> Vec<Removal> {
        if let Some(meanwhile) = lock(&self.moving).get_mut(&replica).filter(|now| **now != Meanwhile::Deleted) {
            *meanwhile = Meanwhile::Stuck;
            return Vec::new();
        }
        self.let_go(replica, name)
    }

    /// What the image says of a topic. The last one is given again where it says the same: most topics are alike.
    pub fn settings(&self, image: &Image, topic: &Arc<str>) -> Arc<TopicSettings> {
        let config = image.configs().topic_layers(topic, &self.config).config();
        let mut last = self.last_settings.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(same) if same.config == config => same.clone(),
            _ => last.insert(Arc::new(TopicSettings::new(config))).clone(),
        }
    }
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes `leader-epoch-checkpoint`, if it does not have these epochs. One that no batch before `end` has is left out: the
/// next start begins another in its place.
///
/// Kafka writes it as soon as a replica leads, which for a thousand of them is most of the time that a start takes. Epochs
/// that are not in the file are found again in the batches: a start reads those from the newest producer snapshot on, so it
/// must be there before a snapshot is.
pub fn store_epochs(
    disk: &dyn Disk,
    replica: &Path,
    partition: &Partition,
    epochs: &[EpochEntry],
    end: i64,
) -> Result<(), LogError> {
    let used = &epochs[..epochs.partition_point(|epoch| epoch.start_offset < end)];
    let mut stored = partition.stored_epochs.lock().unwrap_or_else(PoisonError::into_inner);
    if *stored != used {
        let entries: Vec<_> = used.iter().map(|entry| (entry.epoch.0, entry.start_offset)).collect();
        epochs::store(disk, replica, &entries)?;
        *stored = used.to_vec();
    }
    Ok(())
}

/// Writes the producers as of the beginning of a segment beside it. Nothing, if the partition is closed meanwhile.
pub fn store_snapshot(partition: &Partition, snapshot: &ProducerSnapshot) -> Result<(), LogError> {
    let Ok(epochs) = partition.leader_epochs() else { return Ok(()) };
    let disk = partition.home.log_dir.disk();
    let stored = partition.reader.in_directory(|replica| {
        store_epochs(disk, replica, partition, &epochs, snapshot.offset)?;
        producers::store(disk, replica, &snapshot::to_file(snapshot))
    });
    stored.unwrap_or(Ok(()))
}

impl Work {
    fn add(&self, recovered: &Recovered) {
        self.logs.fetch_add(1, Ordering::Relaxed);
        self.bytes_read.fetch_add(recovered.bytes_read, Ordering::Relaxed);
        self.bytes_cut.fetch_add(recovered.bytes_cut, Ordering::Relaxed);
        self.indexes_rebuilt.fetch_add(recovered.indexes_rebuilt as u64, Ordering::Relaxed);
    }

    /// Says in one line what was done.
    pub fn report(&self, took: Duration) {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        let (logs, read, cut, rebuilt) =
            (take(&self.logs), take(&self.bytes_read), take(&self.bytes_cut), take(&self.indexes_rebuilt));
        if logs > 0 {
            tracing::info!(
                "opened {logs} logs in {} ms: read {read} bytes past the recovery points, cut {cut} torn bytes, rebuilt \
                 {rebuilt} indexes",
                took.as_millis()
            );
        }
    }
}
