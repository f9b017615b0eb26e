//! Neighbouring partitions, and the same ones of each topic.
//!
//! Who joins two topics by key needs the same partition of both. So the members of a topic stand in a row that is the
//! same for all topics, and each takes the next partitions, as many as the others or one more. Topics with as many
//! partitions and the same subscribers are then cut at the same places.
//!
//! What a member had before does not count, as in Kafka since 4.0. Members whose ids last, static ones, stand first, in
//! the order of those ids: a restart moves nothing, and who comes and goes behind them moves little.
//!
//! Takes `S + P log T` steps for `S` subscriptions (members times their topics), `P` partitions and `T` topics.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ottla_base::Uuid;

use super::{Assignment, Member, classes};

pub(super) fn assign(
    members: &BTreeMap<Arc<str>, Member<'_>>,
    partitions: &BTreeMap<Uuid, i32>,
) -> BTreeMap<Arc<str>, Assignment> {
    let classes = classes(members);
    let mut rests = BTreeMap::<Uuid, Rest>::new();
    let mut class_of = vec![0; members.len()];
    for (index, class) in classes.iter().enumerate() {
        class.members.iter().for_each(|&member| class_of[member] = index);
        for topic in class.topics {
            let end = partitions.get(topic).copied().unwrap_or(0);
            rests.entry(*topic).or_insert(Rest { next: 0, end, subscribers: 0 }).subscribers += class.members.len();
        }
    }
    // The topics of a class of which something may be left: most are soon gone if there are many members.
    let mut left: Vec<Vec<Uuid>> = classes.iter().map(|class| class.topics.iter().copied().collect()).collect();

    let mut row: Vec<_> = members.iter().zip(class_of).collect();
    row.sort_by_key(|((id, member), _)| (member.instance_id.is_none(), member.instance_id, *id));
    row.into_iter()
        .map(|((id, _), class)| {
            let mut share = Assignment::new();
            left[class].retain(|topic| {
                let partitions = rests.get_mut(topic).map(Rest::take).unwrap_or_default();
                let is_left = !partitions.is_empty();
                if is_left {
                    share.insert(*topic, partitions.collect());
                }
                is_left
            });
            (id.clone(), share)
        })
        .collect()
}

/// What is left of a topic while it is dealt out.
struct Rest {
    next: i32,
    end: i32,
    /// Those who have not got their share.
    subscribers: usize,
}

impl Rest {
    /// The share of the next subscriber. The first ones get one more where it does not come out even.
    fn take(&mut self) -> Range<i32> {
        let left = usize::try_from(self.end - self.next).unwrap_or(0);
        let share = left.div_ceil(self.subscribers);
        let start = self.next;
        self.next += share as i32;
        self.subscribers -= 1;
        start..self.next
    }
}
