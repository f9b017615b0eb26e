//! What there is to know of groups, for somebody who looks at the coordinator and asks it nothing.

use std::sync::Arc;

use ottla_base::Uuid;

use crate::consumer::reasons::who;
use crate::groups::{Soft, State};
use crate::history::{Rebalance, Tally, Who};
use crate::{classic, consumer};

/// One group, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub id: Arc<str>,
    /// `classic` or `consumer`.
    pub kind: &'static str,
    /// Kafka's name for it.
    pub state: &'static str,
    pub members: usize,
}

/// One group, with all that happened to it lately.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    pub summary: Summary,
    /// Generation, or group epoch.
    pub epoch: i32,
    pub members: Vec<Who>,
    /// The oldest first.
    pub rebalances: Vec<Rebalance>,
    pub committed: Vec<Committed>,
}

/// How far a group has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub group: Arc<str>,
    pub topic: Arc<str>,
    /// Zero if the record does not say.
    pub topic_id: Uuid,
    pub partition: i32,
    pub offset: i64,
}

pub fn explain(state: &State, soft: &Soft, id: &str) -> Option<Explained> {
    let summary = summary(state, soft, id)?;
    let (epoch, members) = match (state.consumer.get(id), soft.classic.get(id)) {
        (Some(group), _) => {
            let members = group.members.iter().map(|(id, member)| who(id, &member.said));
            (group.epoch, members.collect())
        }
        (None, Some(group)) => (group.generation, group.whos()),
        (None, None) => (state.groups.get(id).map_or(0, |recorded| recorded.generation), Vec::new()),
    };
    let rebalances = soft.history.of(id);
    let committed = of_group(state, &summary.id).collect();
    Some(Explained { summary, epoch, members, rebalances, committed })
}

/// Up to `most` groups, by name.
pub fn summaries(state: &State, soft: &Soft, most: usize) -> Vec<Summary> {
    let ids = state.groups.keys().chain(state.consumer.keys());
    ids.take(most).filter_map(|id| summary(state, soft, id)).collect()
}

/// Up to `most` committed offsets, by group.
pub fn committed(state: &State, most: usize) -> Vec<Committed> {
    state.offsets.keys().flat_map(|group| of_group(state, group)).take(most).collect()
}

/// Since the coordinator was loaded: rebalances of classic groups that have ended, and rises of consumer groups' epochs.
pub fn rebalances(soft: &Soft) -> (u64, u64) {
    soft.history.counts()
}

/// What was counted of up to `most` groups that have rebalanced, by name.
pub fn tallies(soft: &Soft, most: usize) -> Vec<(Arc<str>, Tally)> {
    soft.history.tallies().take(most).map(|(name, tally)| (name.clone(), tally.clone())).collect()
}

fn summary(state: &State, soft: &Soft, id: &str) -> Option<Summary> {
    if let Some((id, group)) = state.consumer.get_key_value(id) {
        let (kind, state, members) = (consumer::TYPE, group.state(), group.members.len());
        return Some(Summary { id: id.clone(), kind, state, members });
    }
    let (id, _) = state.groups.get_key_value(id)?;
    let alive = soft.classic.get(id);
    let state = alive.map_or(classic::EMPTY, |group| group.phase.name());
    let members = alive.map_or(0, |group| group.members_count());
    Some(Summary { id: id.clone(), kind: classic::TYPE, state, members })
}

fn of_group<'a>(state: &'a State, group: &'a Arc<str>) -> impl Iterator<Item = Committed> + 'a {
    let topics = state.offsets.get(group).into_iter().flatten();
    topics.flat_map(move |(topic, partitions)| {
        partitions.iter().map(move |(partition, offset)| Committed {
            group: group.clone(),
            topic: topic.clone(),
            topic_id: offset.topic_id,
            partition: *partition,
            offset: offset.offset,
        })
    })
}
