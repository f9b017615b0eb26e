//! Who shall own which partition: computed for all members at once, when the group's epoch has risen.
//!
//! Members that come one after the other would each cost an assignment of all, and move partitions about for members that
//! move them again. So there is an interval between two (KIP-1263): within it members join, go, and follow the target that
//! there is. The first heartbeat of any member after it brings the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::Uuid;

use super::assign::{Assignment, Assignor, Member as Assignee};
use super::group::Group;
use super::heartbeat::JOIN_EPOCH;
use super::{records, settings};
use crate::groups::{Soft, Step};
use crate::room::{Lack, Room};
use crate::{Record, Topics};

/// Computes the target if it is time for it. With an error if the log cannot take it. One that would leave no room for
/// what `member_id` gets, who is just joining, is left for another heartbeat.
pub(super) fn renew_if_due(
    step: &mut Step<'_>,
    group_id: &Arc<str>,
    member_id: &Arc<str>,
    room: &mut Room,
) -> Result<(), Lack> {
    let Some(group) = step.log.consumer.get(group_id) else { return Ok(()) };
    if group.epoch <= group.assignment_epoch || !is_interval_over(step, group_id, group) {
        return Ok(());
    }
    let epoch = group.epoch;
    if step.soft.consumer.get(group_id).is_some_and(|seen| seen.too_large == epoch) {
        return Err(Lack::Ever);
    }
    let assignor = group.preferred_assignor().and_then(|name| step.soft.config.consumer_assignors.find(name));
    let assignor = assignor.unwrap_or_else(|| step.soft.config.consumer_assignors.default());
    let assigned = assign(group, assignor, &step.soft.topics);
    let mut changed = changed(group_id, group, &assigned);
    changed.push(records::target_metadata(group_id, epoch, step.now.wall_ms));
    let is_joining = group.members.get(member_id).is_some_and(|member| member.epoch == JOIN_EPOCH);
    let mut left = room.clone();
    let first =
        assigned.get(member_id).filter(|_| is_joining).map(|target| records::first(group_id, member_id, target));
    if left.take(&changed).is_ok() && left.take(first.as_slice()).is_err() {
        return Err(Lack::Now);
    }
    if let Err(lack) = room.take(&changed) {
        if lack == Lack::Ever {
            // It is not computed again before there is a reason to.
            step.soft.consumer.entry(group_id.clone()).or_default().too_large = epoch;
        }
        return Err(lack);
    }
    let moved = moved(group, &assigned);
    changed.into_iter().for_each(|record| step.log.write(record));
    step.soft.history.target(group_id, moved);
    Ok(())
}

fn is_interval_over(step: &Step<'_>, group_id: &Arc<str>, group: &Group) -> bool {
    let interval_ms = settings::assignment_interval_ms(step.soft, group_id);
    let passed_ms = step.now.wall_ms.saturating_sub(group.assigned_ms);
    // A clock that was set back must not stop a group.
    group.assigned_ms == 0 || passed_ms >= interval_ms || passed_ms < 0
}

fn assign(group: &Group, assignor: Assignor, topics: &Topics) -> BTreeMap<Arc<str>, Assignment> {
    let subscriptions = Subscriptions::of(group, topics);
    let none = Assignment::new();
    let members = group.members.iter().map(|(id, member)| {
        let owned = group.targets.get(id).map_or(&none, |target| target);
        (id.clone(), Assignee { instance_id: member.instance(), topics: subscriptions.get(id), owned })
    });
    assignor.assign(&members.collect(), &subscriptions.partitions)
}

/// The targets that differ from those that there are.
fn changed(group_id: &Arc<str>, group: &Group, assigned: &BTreeMap<Arc<str>, Assignment>) -> Vec<Record> {
    let differs = |id: &Arc<str>, target: &Assignment| group.targets.get(id).is_none_or(|before| **before != *target);
    let changed = assigned.iter().filter(|(id, target)| differs(id, target));
    changed.map(|(id, target)| records::target(group_id, id, target)).collect()
}

/// Partitions that members shall have and were not to have.
fn moved(group: &Group, assigned: &BTreeMap<Arc<str>, Assignment>) -> usize {
    let new_to = |(id, target): (&Arc<str>, &Assignment)| {
        let before = group.targets.get(id);
        let of_topic = |(topic, partitions): (&Uuid, &BTreeSet<i32>)| {
            let had = before.and_then(|before| before.get(topic));
            partitions.iter().filter(|partition| !had.is_some_and(|had| had.contains(partition))).count()
        };
        target.iter().map(of_topic).sum::<usize>()
    };
    assigned.iter().map(new_to).sum()
}

/// What members subscribe to and exists. Most members of a group say the same: that is looked up once.
struct Subscriptions<'a> {
    partitions: BTreeMap<Uuid, i32>,
    distinct: Vec<BTreeSet<Uuid>>,
    by_member: BTreeMap<&'a Arc<str>, usize>,
}

impl<'a> Subscriptions<'a> {
    fn of(group: &'a Group, topics: &Topics) -> Subscriptions<'a> {
        let mut known = BTreeMap::new();
        let mut distinct = Vec::new();
        let mut by_member = BTreeMap::new();
        for (id, member) in &group.members {
            let names = &*member.said.subscribed_topic_names;
            let place = *known.entry((names, member.pattern())).or_insert_with(|| {
                let matching = member.pattern().and_then(|pattern| group.resolved.get(pattern));
                let names = names.iter().chain(matching.iter().flat_map(|topics| topics.iter()));
                distinct.push(names.filter_map(|name| topics.get(name)).map(|topic| topic.id).collect());
                distinct.len() - 1
            });
            by_member.insert(id, place);
        }
        let exist = group.topics().into_iter().filter_map(|name| topics.get(name));
        let partitions = exist.map(|topic| (topic.id, topic.partitions)).collect();
        Subscriptions { partitions, distinct, by_member }
    }

    fn get(&self, member: &Arc<str>) -> &BTreeSet<Uuid> {
        &self.distinct[self.by_member[member]]
    }
}

/// What the group goes by now, or would with its next target.
pub(super) fn assignor_name(soft: &Soft, group: &Group) -> Arc<str> {
    group.preferred_assignor().cloned().unwrap_or_else(|| soft.config.consumer_assignors.default().name().into())
}
