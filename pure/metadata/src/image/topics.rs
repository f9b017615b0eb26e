//! Topics, by id and by name.

use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;
use ottla_base::Uuid;
use ottla_wire::records::{ClearElrRecord, PartitionChangeRecord, PartitionRecord, RemoveTopicRecord, TopicRecord};

use super::{Contradiction, Partition};
use crate::record::Record;

/// All topics. Records name them by id; clients mostly by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topics {
    by_id: OrdMap<Uuid, Arc<Topic>>,
    ids: OrdMap<Arc<str>, Uuid>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    pub name: Arc<str>,
    pub id: Uuid,
    partitions: OrdMap<i32, Arc<Partition>>,
}

impl Topics {
    pub fn get(&self, name: &str) -> Option<&Topic> {
        self.ids.get(name).and_then(|id| self.get_by_id(id))
    }

    pub fn get_by_id(&self, id: &Uuid) -> Option<&Topic> {
        self.by_id.get(id).map(Arc::as_ref)
    }

    /// All topics, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.ids.values().map(|id| &*self.by_id[id])
    }

    /// The topics whose name is `first` or follows it, sorted by name.
    pub fn iter_from(&self, first: &str) -> impl Iterator<Item = &Topic> {
        let names = self.ids.range::<_, str>((Bound::Included(first), Bound::Unbounded));
        names.map(|(_, id)| &*self.by_id[id])
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn create(&mut self, record: &TopicRecord) -> Result<(), Contradiction> {
        let TopicRecord { name, topic_id, .. } = record;
        if self.by_id.contains_key(topic_id) || self.ids.contains_key(name) {
            return Err(Contradiction::TopicExists(name.to_string()));
        }
        let topic = Topic { name: name.clone(), id: *topic_id, partitions: OrdMap::new() };
        self.by_id.insert(*topic_id, Arc::new(topic));
        self.ids.insert(name.clone(), *topic_id);
        Ok(())
    }

    /// Gives back the name of the topic that is no more.
    pub(super) fn remove(&mut self, record: &RemoveTopicRecord) -> Result<Arc<str>, Contradiction> {
        let topic = self.by_id.remove(&record.topic_id).ok_or_else(|| no_topic(&record.topic_id))?;
        self.ids.remove(&topic.name);
        Ok(topic.name.clone())
    }

    pub(super) fn create_partition(&mut self, record: &PartitionRecord) -> Result<(), Contradiction> {
        let topic = self.topic_mut(&record.topic_id)?;
        topic.partitions.insert(record.partition_id, Arc::new(Partition::new(record)));
        Ok(())
    }

    pub(super) fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), Contradiction> {
        let PartitionChangeRecord { topic_id, partition_id, .. } = record;
        let partitions = &mut self.topic_mut(topic_id)?.partitions;
        let partition = partitions
            .get_mut(partition_id)
            .ok_or(Contradiction::NoPartition { topic: *topic_id, partition: *partition_id })?;
        Arc::make_mut(partition).change(record);
        Ok(())
    }

    /// Replicas that were eligible under another `min.insync.replicas` are so no more (KIP-966). An empty name means all
    /// topics.
    pub(super) fn clear_eligible_leaders(&mut self, record: &ClearElrRecord) -> Result<(), Contradiction> {
        let ids: Vec<Uuid> = match &*record.topic_name {
            "" => self.by_id.keys().copied().collect(),
            name => vec![*self.ids.get(name).ok_or_else(|| Contradiction::NoTopic(name.to_string()))?],
        };
        for id in ids {
            let topic = self.topic_mut(&id)?;
            let with_any = |p: &Partition| !p.eligible_leader_replicas.is_empty() || !p.last_known_elr.is_empty();
            let stale: Vec<i32> = topic.partitions().filter(|(_, p)| with_any(p)).map(|(index, _)| index).collect();
            for index in stale {
                let change = PartitionChangeRecord {
                    topic_id: id,
                    partition_id: index,
                    eligible_leader_replicas: Some(Vec::new()),
                    last_known_elr: Some(Vec::new()),
                    ..Default::default()
                };
                self.change_partition(&change)?;
            }
        }
        Ok(())
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.iter().flat_map(|topic| {
            let record = TopicRecord { name: topic.name.clone(), topic_id: topic.id, ..Default::default() };
            let partitions = topic.partitions();
            let partitions = partitions.map(|(index, partition)| Record::Partition(partition.record(topic.id, index)));
            std::iter::once(Record::Topic(record)).chain(partitions)
        })
    }

    fn topic_mut(&mut self, id: &Uuid) -> Result<&mut Topic, Contradiction> {
        self.by_id.get_mut(id).map(Arc::make_mut).ok_or_else(|| no_topic(id))
    }
}

impl Topic {
    pub fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(&index).map(Arc::as_ref)
    }

    /// All partitions with their index, in order of it.
    pub fn partitions(&self) -> impl Iterator<Item = (i32, &Partition)> {
        self.partitions.iter().map(|(index, partition)| (*index, &**partition))
    }

    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }
}

fn no_topic(id: &Uuid) -> Contradiction {
    Contradiction::NoTopic(id.to_string())
}
