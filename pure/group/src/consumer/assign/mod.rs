//! Who reads which partition: the server's side of KIP-848, where the coordinator assigns.
//!
//! Every change of a group gives a new target for all of its members, and the coordinator stands still while that is
//! worked out, so an assignor must be fast for a thousand members; and what it moves stops being read for a moment, so
//! it should move little. Kafka has two assignors, and so do we. [`uniform`] gives everybody as much as everybody else
//! and moves as little as that takes; [`range`] gives neighbouring partitions, the same ones of each topic, whatever
//! was before.
//!
//! Neither looks at racks, as in Kafka 4.3: there a topic whose replicas go to other racks only makes a group assign
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::Uuid;

mod range;
#[cfg(test)]
mod tests;
mod uniform;

/// The partitions of each topic. There are no empty sets in what an [`Assignor`] gives.
pub(crate) type Assignment = BTreeMap<Uuid, BTreeSet<i32>>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    pub instance_id: Option<&'a Arc<str>>,
    /// What it subscribes to.
    pub topics: &'a BTreeSet<Uuid>,
    /// Its target so far. It may be of another time: topics that are gone, partitions that others have too.
    pub owned: &'a Assignment,
}

/// What a member chooses by name in a ConsumerGroupHeartbeat, and `group.consumer.assignors` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assignor {
    Uniform,
    Range,
}

impl Assignor {
    pub(crate) fn named(name: &str) -> Option<Assignor> {
        [Assignor::Uniform, Assignor::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// The target of each member, empty for one that gets nothing. Each partition of a topic that somebody subscribes to
    /// goes to one subscriber. `partitions` has the number of partitions of each topic; one that is not in it has none.
    /// The same arguments give the same result.
    pub(crate) fn assign(
        self,
        members: &BTreeMap<Arc<str>, Member<'_>>,
        partitions: &BTreeMap<Uuid, i32>,
    ) -> BTreeMap<Arc<str>, Assignment> {
        match self {
            Assignor::Uniform => uniform::assign(members, partitions),
            Assignor::Range => range::assign(members, partitions),
        }
    }
}

/// Members that subscribe to the same topics.
struct Class<'a> {
    topics: &'a BTreeSet<Uuid>,
    /// Which ones in the order of ids. There are some.
    members: Vec<usize>,
}

/// In the order in which their first members come. Takes as many steps as there are subscriptions.
fn classes<'a>(members: &BTreeMap<Arc<str>, Member<'a>>) -> Vec<Class<'a>> {
    let mut classes = Vec::<Class<'a>>::new();
    let mut by_topics = BTreeMap::new();
    for (index, member) in members.values().enumerate() {
        let new = classes.len();
        let class = *by_topics.entry(member.topics).or_insert(new);
        if class == new {
            classes.push(Class { topics: member.topics, members: Vec::new() });
        }
        classes[class].members.push(index);
    }
    classes
}
