//! Applies what is committed, and publishes it.
//!
//! One task owns the broker's image. For each flush of the metadata log it applies the new records, opens the partitions
//! that came and closes those that went, publishes image and partitions in one step, and only then lets the controller's
//! replies go. Nothing is opened before the broker's own registration of this start is unfenced: until then the leaders in
//! the image are those of an earlier start.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_base::Uuid;
use ottla_group::DeletedTopic;
use ottla_machine::At;
use ottla_metadata::{ConfigResource, Image, Record};
use ottla_rt::{Lane, Rt, Stop};
use ottla_wire::TopicKey;

use super::host::Host;
use super::replicas::Replicas;
use crate::coordinate::groups::Groups;
use crate::directory::Directory;
use crate::listening::Listeners;
use crate::partition::Gone;
use crate::topics::{Published, Topic, Topics};

/// How often partitions that could not be opened, or failed, are tried again; and a controller that was dropped is loaded.
const RETRY: Duration = Duration::from_secs(5);
/// Fewer are not worth another thread.
const OPENED_TOGETHER_MIN: usize = 16;

#[derive(Debug)]
pub struct Publisher {
    pub rt: Rt,
    pub host: Arc<Host>,
    pub replicas: Arc<Replicas>,
    pub groups: Arc<Groups>,
    pub listeners: Arc<Listeners>,
    pub published: Arc<ArcSwap<Published>>,
    pub state: State,
}

/// What the task owns.
#[derive(Debug)]
pub struct State {
    pub image: Image,
    pub topics: Topics,
    pub is_serving: bool,
    /// The log has told that nothing receives client metrics.
    pub told_of_client_metrics: bool,
}

/// What the image asks for.
#[derive(Debug, Default)]
struct Changes {
    removals: Vec<Removal>,
    deleted: Vec<DeletedTopic>,
    group_configs: bool,
    brokers_reconfigured: bool,
    /// Topics whose configuration may be another.
    reconfigured: Vec<Uuid>,
    /// With `None` for the partitions that are to be opened.
    topics: Vec<Topic>,
}

/// What has changed from one state of the metadata that is published to the next.
#[derive(Debug, Default, PartialEq)]
pub struct Change {
    /// Topics that came, or have changed.
    pub topics: Vec<Uuid>,
    pub deleted: Vec<DeletedTopic>,
    /// Configurations of groups are not what they were.
    pub group_configs: bool,
}

/// A directory that is to be removed after `file.delete.delay.ms`.
#[derive(Debug)]
pub struct Removal {
    pub home: Arc<Directory>,
    pub name: String,
    pub delay: Duration,
}

impl Publisher {
    /// Runs until `stop`.
    pub async fn run(mut self, mut stop: Stop) {
        let mut flushed = self.host.watch_flushed();
        let directories = self.replicas.directories.clone();
        let mut published = 0;
        loop {
            // Not what changes from now on: something may have been flushed before this task had its first turn.
            tokio::select! {
                biased;
                Ok(_) = flushed.wait_for(|flushed| *flushed > published) => {}
                () = directories.signals.mend.notified() => {}
                () = self.rt.sleep(RETRY) => {}
                () = stop.told() => return,
            }
            (self, published) = self.publish_committed().await;
        }
    }

    /// Gives the offset before which everything is published.
    async fn publish_committed(self) -> (Publisher, i64) {
        let Publisher { rt, host, replicas, groups, listeners, published, mut state } = self;
        let began_us = rt.mono_us();
        let (records, committed) = host.take_committed();
        let count = records.len() as u64;
        let (blocking_host, blocking_replicas) = (host.clone(), replicas.clone());
        let (mut state, Changes { removals, deleted, group_configs, brokers_reconfigured, reconfigured, mut topics }) =
            rt.blocking(move || {
                if let Err(error) = blocking_host.reload_if_dropped() {
                    tracing::error!("the controller cannot load its log: {error}");
                }
                let changes = state.apply(records, &blocking_replicas);
                (state, changes)
            })
            .await;
        open_missing(&rt, &replicas, &state.image, &mut topics).await;
        let changed = topics.iter().map(|topic| topic.id).collect();
        let change = Change { topics: changed, deleted, group_configs };
        topics.into_iter().for_each(|topic| state.topics.insert(topic));
        if !reconfigured.is_empty() {
            // A partition that is being written to makes it wait.
            let blocking_replicas = replicas.clone();
            let configure = move || {
                state.configure(&reconfigured, &blocking_replicas);
                state
            };
            state = rt.blocking(configure).await;
        }
        let next = Arc::new(Published { image: state.image.clone(), topics: state.topics.clone() });
        published.store(next.clone());
        if brokers_reconfigured {
            // Which log directories are cordoned is among what they say.
            replicas.directories.signals.report.notify_one();
            let layers = next.image.configs().layers(&replicas.config);
            listeners.follow(&layers);
            if let Some(warning) = layers.without_effect() {
                tracing::warn!("{warning}");
            }
        }
        if count > 0 {
            let now_us = rt.mono_us();
            host.metrics.applied.record(count, now_us);
            host.metrics.applied_us.took(began_us, now_us);
        }
        groups.follow(&next, &change);
        host.release(committed);
        for Removal { home, name, delay } in removals {
            let later = rt.clone();
            rt.spawn(Lane::Control, "remove", async move {
                later.sleep(delay).await;
                later.blocking(move || home.remove(&name)).await;
            });
        }
        (Publisher { rt, host, replicas, groups, listeners, published, state }, committed)
    }
}

impl State {
    /// Blocks for as long as closing logs takes.
    fn apply(&mut self, records: Vec<(i64, Record)>, replicas: &Replicas) -> Changes {
        let mut changed = BTreeSet::new();
        let mut group_configs = false;
        let mut is_first = false;
        let mut configured = Configured::default();
        for (offset, record) in records {
            changed.extend(topic_of(&record));
            group_configs |= concerns_groups(&record);
            configured.note(&record);
            self.warn_of_client_metrics(&record);
            let applied = self.image.apply(At { offset }, &record);
            applied.expect("the controller has applied the same record to the same image");
        }
        if !self.is_serving && replicas.is_unfenced(&self.image) {
            self.is_serving = true;
            group_configs = true;
            is_first = true;
            changed.extend(self.image.topics().iter().map(|topic| topic.id));
        }
        if !self.is_serving {
            return Changes::default();
        }
        changed.extend(self.topics.iter().filter(|topic| self.is_to_be_mended(topic, replicas)).map(|topic| topic.id));
        // What goes, goes first: it may have the name, and so the directory, of what comes.
        let (stays, goes): (Vec<_>, Vec<_>) =
            changed.into_iter().partition(|id| self.image.topics().get_by_id(id).is_some());
        let gone: Vec<_> = goes.iter().filter_map(|id| self.topics.remove(id)).collect();
        let deleted = gone.iter().map(|topic| DeletedTopic { name: topic.name.clone(), id: topic.id });
        Changes {
            removals: gone.iter().flat_map(|topic| replicas.delete(topic)).collect(),
            deleted: deleted.collect(),
            group_configs,
            brokers_reconfigured: configured.brokers || is_first,
            reconfigured: configured.topics(&self.image),
            topics: stays.iter().filter_map(|id| self.follow(id)).collect(),
        }
    }

    /// Once, when the first subscription is set.
    fn warn_of_client_metrics(&mut self, record: &Record) {
        let Record::Config { resource: ConfigResource::ClientMetrics(name), value: Some(_), .. } = record else {
            return;
        };
        if !std::mem::replace(&mut self.told_of_client_metrics, true) {
            tracing::warn!("the subscription {name} to client metrics has no effect: nothing receives them here");
        }
    }

    /// Lets the open partitions of topics go by the configuration that these have now.
    fn configure(&self, topics: &[Uuid], replicas: &Replicas) {
        for topic in topics.iter().filter_map(|id| self.topics.find(TopicKey::Id(*id))) {
            let settings = replicas.settings(&self.image, &topic.name);
            for partition in topic.partitions.iter().flatten() {
                partition.configure(&settings, replicas.rt.random_u64());
            }
        }
    }

    /// Whether a partition of the topic should be open and is not, or the other way round.
    fn is_to_be_mended(&self, topic: &Topic, replicas: &Replicas) -> bool {
        let Some(committed) = self.image.topics().get_by_id(&topic.id) else { return false };
        topic.partitions.iter().zip(committed.partitions()).any(|(open, (index, partition))| match open {
            Some(open) => open.has_failed() || open.home.has_failed() || open.has_moved(),
            None => replicas.leads(partition) && !replicas.is_moving(topic.id, index),
        })
    }

    /// The topic with those of its partitions that are open and well.
    fn follow(&mut self, id: &Uuid) -> Option<Topic> {
        let open = self.topics.remove(id);
        let topic = self.image.topics().get_by_id(id)?;
        let partitions = topic.partitions().map(|(index, _)| {
            let open = open.as_ref().and_then(|open| open.partition(index).ok())?;
            if open.has_moved() {
                return None;
            }
            if open.has_failed() || open.home.has_failed() {
                open.take_offline(Gone::Closed);
                return None;
            }
            Some(open.clone())
        });
        Some(Topic { id: *id, name: topic.name.clone(), partitions: partitions.collect() })
    }
}

/// Opens what is missing, on as many threads as there are cores: a start has thousands of logs to look at.
async fn open_missing(rt: &Rt, replicas: &Arc<Replicas>, image: &Image, topics: &mut [Topic]) {
    let missing = |(at, topic): (usize, &Topic)| {
        let indexes = topic.partitions.iter().enumerate().filter(|(_, partition)| partition.is_none());
        indexes.map(move |(index, _)| (at, index)).collect::<Vec<_>>()
    };
    let missing: Vec<_> = topics.iter().enumerate().flat_map(missing).collect();
    let share = missing.len().div_ceil(rt.cores()).max(OPENED_TOGETHER_MIN);
    let open_some = |places: &[(usize, usize)]| {
        let places: Vec<_> = places.iter().map(|&(at, index)| (at, index, topics[at].id)).collect();
        let (blocking, replicas, image) = (rt.clone(), replicas.clone(), image.clone());
        rt.spawn(Lane::Control, "open", async move {
            let open = move |(at, index, id)| (at, index, replicas.open(&image, &id, index as i32));
            blocking.blocking(move || places.into_iter().map(open).collect::<Vec<_>>()).await
        })
    };
    let opening: Vec<_> = missing.chunks(share).map(open_some).collect();
    for opened in opening {
        // After a panic they are missing still, and tried again.
        for (at, index, partition) in opened.await.unwrap_or_default() {
            topics[at].partitions[index] = partition;
        }
    }
}

/// Whose configuration was changed, of topics.
#[derive(Debug, Default)]
struct Configured {
    topics: BTreeSet<Arc<str>>,
    /// That of brokers, behind that of all topics.
    brokers: bool,
}

impl Configured {
    fn note(&mut self, record: &Record) {
        match record {
            Record::Config { resource: ConfigResource::Topic(name), .. } => _ = self.topics.insert(name.clone()),
            Record::Config { resource: ConfigResource::Broker(_) | ConfigResource::BrokerDefault, .. } => {
                self.brokers = true;
            }
            _ => {}
        }
    }

    fn topics(&self, image: &Image) -> Vec<Uuid> {
        match self.brokers {
            true => image.topics().iter().map(|topic| topic.id).collect(),
            false => self.topics.iter().filter_map(|name| Some(image.topics().get(name)?.id)).collect(),
        }
    }
}

fn concerns_groups(record: &Record) -> bool {
    use ConfigResource::*;
    matches!(record, Record::Config { resource: Group(_) | Broker(_) | BrokerDefault, .. })
}

fn topic_of(record: &Record) -> Option<Uuid> {
    match record {
        Record::Topic(topic) => Some(topic.topic_id),
        Record::Partition(partition) => Some(partition.topic_id),
        Record::RemoveTopic(topic) => Some(topic.topic_id),
        _ => None,
    }
}
