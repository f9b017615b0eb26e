//! The topics there are, as the host tells.
//!
//! A consumer group assigns partitions of topics that live elsewhere, in the cluster's metadata, and its coordinator must
//! not reach over. So whoever hosts it says which topics there are each time that changes. All shards get the same value:
//! a clone is two pointers, and shares all but what is changed after.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;
use ottla_base::Uuid;

use crate::consumer::hash;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub id: Uuid,
    pub partitions: i32,
    /// Where the replicas of each partition are, by its number. May be shorter than there are partitions.
    pub racks: Vec<BTreeSet<Arc<str>>>,
}

#[derive(Clone, Debug, Default)]
pub struct Topics {
    by_name: OrdMap<Arc<str>, Arc<Known>>,
    names: OrdMap<Uuid, Arc<str>>,
}

#[derive(Debug)]
struct Known {
    topic: Topic,
    /// A group may read thousands of topics, and all their hashes are needed whenever a member comes or goes.
    hash: u64,
}

impl Topics {
    /// In place of what has the name, if anything does.
    pub fn insert(&mut self, name: Arc<str>, topic: Topic) {
        self.remove(&name);
        self.names.insert(topic.id, name.clone());
        let hash = hash::of_topic(&name, &topic);
        self.by_name.insert(name, Arc::new(Known { topic, hash }));
    }

    pub fn remove(&mut self, name: &str) {
        if let Some(known) = self.by_name.remove(name) {
            self.names.remove(&known.topic.id);
        }
    }

    pub fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name).map(|known| &known.topic)
    }

    /// What the topic is like, as one number ([`hash`]).
    pub(crate) fn hash_of(&self, name: &str) -> Option<u64> {
        self.by_name.get(name).map(|known| known.hash)
    }

    pub fn name_of(&self, id: &Uuid) -> Option<&Arc<str>> {
        self.names.get(id)
    }

    /// In the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Topic)> {
        self.by_name.iter().map(|(name, known)| (name, &known.topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(id: u8, partitions: i32) -> Topic {
        Topic { id: Uuid([id; 16]), partitions, racks: Vec::new() }
    }

    fn check(topics: &Topics, expected: &[(&str, u8, i32)]) {
        let all: Vec<_> = topics.iter().map(|(name, topic)| (&**name, topic.id.0[0], topic.partitions)).collect();
        assert_eq!(all, expected);
        for (name, id, partitions) in expected {
            assert_eq!(topics.get(name), Some(&topic(*id, *partitions)));
            assert_eq!(topics.name_of(&Uuid([*id; 16])).map(|name| &**name), Some(*name));
        }
    }

    #[test]
    fn a_topic_is_replaced_by_its_name_and_gone_by_its_id() {
        let mut topics = Topics::default();
        topics.insert("b".into(), topic(1, 3));
        topics.insert("a".into(), topic(2, 1));
        check(&topics, &[("a", 2, 1), ("b", 1, 3)]);
        let before = topics.clone();

        topics.insert("b".into(), topic(3, 4));
        topics.remove("a");
        topics.remove("c");
        check(&topics, &[("b", 3, 4)]);
        assert_eq!(topics.name_of(&Uuid([1; 16])), None);
        assert_eq!(topics.name_of(&Uuid([2; 16])), None);
        assert_eq!(topics.get("a"), None);
        check(&before, &[("a", 2, 1), ("b", 1, 3)]);
    }
}
