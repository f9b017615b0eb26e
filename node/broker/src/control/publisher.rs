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
use ottla_machine::At;
use ottla_metadata::{Image, Record};
use ottla_rt::{Lane, Rt, Stop};

use super::host::Host;
use super::replicas::Replicas;
use crate::partition::Gone;
use crate::topics::{Published, Topic, Topics};

/// How often partitions that could not be opened, or failed, are tried again; and a controller that was dropped is loaded.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Publisher {
    pub rt: Rt,
    pub host: Arc<Host>,
    pub replicas: Arc<Replicas>,
    pub published: Arc<ArcSwap<Published>>,
    pub state: State,
}

/// What the task owns.
#[derive(Debug)]
pub struct State {
    pub image: Image,
    pub topics: Topics,
    pub is_serving: bool,
}

/// A directory that is to be removed after `file.delete.delay.ms`.
#[derive(Debug)]
pub struct Removal {
    pub dir: String,
    pub delay: Duration,
}

impl Publisher {
    /// Runs until `stop`.
    pub async fn run(mut self, mut stop: Stop) {
        let mut flushed = self.host.watch_flushed();
        loop {
            tokio::select! {
                biased;
                Ok(()) = flushed.changed() => {}
                () = self.rt.sleep(RETRY) => {}
                () = stop.told() => return,
            }
            self = self.publish_committed().await;
        }
    }

    async fn publish_committed(self) -> Publisher {
        let Publisher { rt, host, replicas, published, mut state } = self;
        let (records, committed) = host.take_committed();
        let (blocking_host, blocking_replicas) = (host.clone(), replicas.clone());
        let (state, removals) = rt
            .blocking(move || {
                if let Err(error) = blocking_host.reload_if_dropped() {
                    tracing::error!("the controller cannot load its log: {error}");
                }
                let removals = state.apply(records, &blocking_replicas);
                (state, removals)
            })
            .await;
        published.store(Arc::new(Published { image: state.image.clone(), topics: state.topics.clone() }));
        host.release(committed);
        for Removal { dir, delay } in removals {
            let (later, replicas) = (rt.clone(), replicas.clone());
            rt.spawn(Lane::Control, "remove", async move {
                later.sleep(delay).await;
                later.blocking(move || replicas.remove(&dir)).await;
            });
        }
        Publisher { rt, host, replicas, published, state }
    }
}

impl State {
    /// Blocks for as long as opening and closing logs takes.
    fn apply(&mut self, records: Vec<(i64, Record)>, replicas: &Replicas) -> Vec<Removal> {
        let mut changed = BTreeSet::new();
        for (offset, record) in records {
            changed.extend(topic_of(&record));
            let applied = self.image.apply(At { offset }, &record);
            applied.expect("the controller has applied the same record to the same image");
        }
        if !self.is_serving && replicas.is_unfenced(&self.image) {
            self.is_serving = true;
            changed.extend(self.image.topics().iter().map(|topic| topic.id));
        }
        if !self.is_serving {
            return Vec::new();
        }
        changed.extend(self.topics.iter().filter(|topic| topic.needs_opening()).map(|topic| topic.id));
        // What goes, goes first: it may have the name, and so the directory, of what comes.
        let (stays, goes): (Vec<_>, Vec<_>) =
            changed.into_iter().partition(|id| self.image.topics().get_by_id(id).is_some());
        let mut removals = Vec::new();
        for id in goes.into_iter().chain(stays) {
            removals.extend(self.follow(id, replicas));
        }
        removals
    }

    /// Makes the open partitions of a topic those of the image.
    fn follow(&mut self, id: Uuid, replicas: &Replicas) -> Vec<Removal> {
        let open = self.topics.remove(&id);
        let Some(topic) = self.image.topics().get_by_id(&id) else {
            return open.map_or_else(Vec::new, |topic| replicas.delete(&topic));
        };
        let partitions = topic.partitions().map(|(index, partition)| {
            let is_open = open.as_ref().and_then(|open| open.partition(index).ok());
            match is_open {
                Some(open) if !open.has_failed() => Some(open.clone()),
                failed => {
                    failed.map(|failed| failed.take_offline(Gone::Closed));
                    replicas.open(&self.image, topic, index, partition)
                }
            }
        });
        let partitions = partitions.collect();
        self.topics.insert(Topic { id, name: topic.name.clone(), partitions });
        Vec::new()
    }
}

fn topic_of(record: &Record) -> Option<Uuid> {
    match record {
        Record::Topic(topic) => Some(topic.topic_id),
        Record::Partition(partition) => Some(partition.topic_id),
        Record::RemoveTopic(topic) => Some(topic.topic_id),
        _ => None,
    }
}
