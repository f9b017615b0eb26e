//! What requests look at: the cluster's image, and the partitions that are open here.
//!
//! Both are published together in one step when committed records have been applied, so that a topic that a request finds
//! in the image is one whose logs are open.

use std::sync::Arc;

use ottla_base::{Seed, Uuid};
use ottla_metadata::{Image, topic_name};
use ottla_wire::{ErrorCode, TopicKey};

use crate::api::outcome;
use crate::partition::Partition;

/// One consistent state of the metadata.
#[derive(Clone, Debug)]
pub struct Published {
    pub image: Image,
    pub topics: Topics,
}

/// The topics with partitions on this broker: name to id to partitions. Persistent maps: the next state shares what has not
/// changed.
#[derive(Clone, Debug)]
pub struct Topics {
    by_name: Map<Arc<str>, Arc<Topic>>,
    by_id: Map<Uuid, Arc<Topic>>,
}

type Map<K, V> = imbl::GenericHashMap<K, V, Seed, imbl::shared_ptr::DefaultSharedPtr>;

#[derive(Debug)]
pub struct Topic {
    pub id: Uuid,
    pub name: Arc<str>,
    /// By index; `None` for a partition whose log could not be opened.
    pub partitions: Vec<Option<Arc<Partition>>>,
}

impl Topics {
    pub fn empty(seed: Seed) -> Topics {
        Topics { by_name: Map::with_hasher(seed), by_id: Map::with_hasher(seed) }
    }

    #[inline]
    pub fn find(&self, key: TopicKey<'_>) -> Option<&Arc<Topic>> {
        match key {
            TopicKey::Name(name) => self.by_name.get(name),
            TopicKey::Id(id) => self.by_id.get(&id),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_id.values()
    }

    pub fn insert(&mut self, topic: Topic) {
        let topic = Arc::new(topic);
        self.by_name.insert(topic.name.clone(), topic.clone());
        self.by_id.insert(topic.id, topic);
    }

    pub fn remove(&mut self, id: &Uuid) -> Option<Arc<Topic>> {
        let topic = self.by_id.remove(id)?;
        self.by_name.remove(&topic.name);
        Some(topic)
    }
}

impl Topic {
    #[inline]
    pub fn partition(&self, index: i32) -> Result<&Arc<Partition>, ErrorCode> {
        let place = usize::try_from(index).ok().and_then(|index| self.partitions.get(index));
        place.ok_or(ErrorCode::UnknownTopicOrPartition)?.as_ref().ok_or(outcome::STORAGE)
    }

    pub fn is_internal(&self) -> bool {
        topic_name::is_internal(&self.name)
    }
}
