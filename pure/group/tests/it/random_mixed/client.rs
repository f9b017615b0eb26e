//! What a client knows, whichever protocol it speaks, and the topics that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::Uuid;

use super::classic::{Classic, Next};

/// A topic and a partition of it.
pub type Place = (&'static str, i32);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Classic,
    Consumer,
}

#[derive(Debug, Default)]
pub struct Client {
    pub speaks: Protocol,
    pub member_id: Arc<str>,
    /// Or generation; 0 until it has joined.
    pub epoch: i32,
    pub previous_epoch: i32,
    /// What it was told to own by the consumer protocol.
    pub assigned: BTreeSet<Place>,
    /// What it reads.
    pub owned: BTreeSet<Place>,
    /// What it subscribes to, as a choice of few.
    pub which: u8,
    pub lives: u32,
    pub is_silent: bool,
    /// The others have gone on without it, and it does not know yet.
    pub has_missed: bool,
    pub classic: Classic,
}

impl Client {
    pub fn names(&self) -> Vec<Arc<str>> {
        let names: &[&str] = match self.which {
            0 => &["t"],
            2 => &["u"],
            _ => &["t", "u"],
        };
        names.iter().map(|name| (*name).into()).collect()
    }

    pub fn has_pattern(&self) -> bool {
        self.which == 3
    }

    pub fn subscribes_to(&self, topic: &str) -> bool {
        self.names().iter().any(|name| **name == *topic)
    }

    pub fn lose_all(&mut self) {
        self.epoch = 0;
        self.previous_epoch = 0;
        self.assigned.clear();
        self.owned.clear();
        self.has_missed = false;
        self.classic = Classic::default();
    }

    pub fn restart(&mut self, client: usize) {
        self.lose_all();
        self.lives += 1;
        self.member_id = match self.speaks {
            Protocol::Classic => "".into(),
            Protocol::Consumer => format!("c{client}.{}", self.lives).into(),
        };
    }

    pub fn switch(&mut self, client: usize) {
        self.speaks = match self.speaks {
            Protocol::Classic => Protocol::Consumer,
            Protocol::Consumer => Protocol::Classic,
        };
        self.restart(client);
    }

    pub fn is_in(&self) -> bool {
        self.epoch > 0 && (self.speaks == Protocol::Consumer || self.classic.next == Next::Heartbeat)
    }
}

pub fn id(topic: &str) -> Uuid {
    Uuid(if topic == "t" { 1u128 } else { 2 }.to_be_bytes())
}

pub fn name(topic: &Uuid) -> &'static str {
    if *topic == id("t") { "t" } else { "u" }
}

pub fn known_name(topic: &str) -> &'static str {
    name(&id(topic))
}

pub fn by_topic(places: &BTreeSet<Place>) -> BTreeMap<&'static str, Vec<i32>> {
    let mut topics = BTreeMap::<_, Vec<i32>>::new();
    places.iter().for_each(|(topic, partition)| topics.entry(*topic).or_default().push(*partition));
    topics
}

/// With so many partitions in the topic that grows.
pub fn all_places(partitions: i32) -> impl Iterator<Item = Place> {
    [("t", partitions), ("u", 2)].into_iter().flat_map(|(topic, partitions)| (0..partitions).map(move |p| (topic, p)))
}
