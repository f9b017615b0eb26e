//! Topics are gone, and with them the offsets of every group in them.
//!
//! A topic of the same name may be there by the time that this is heard of. Its offsets stay: they carry another id. There
//! may be more offsets than a batch can end; what is left is done in further steps.

use std::sync::Arc;

use ottla_base::Uuid;

use super::{Offset, key};
use crate::Record;
use crate::groups::{Step, Timer};
use crate::room::Room;

/// Between two steps.
const PAUSE_MS: i64 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    pub name: Arc<str>,
    pub id: Uuid,
}

pub(crate) fn decide(step: &mut Step<'_>, topics: Vec<DeletedTopic>) {
    step.soft.deleted_topics.extend(topics);
    forget_some(step);
}

/// Forgets what fits into a batch, and sets the timer for the rest.
pub(crate) fn forget_some(step: &mut Step<'_>) {
    let mut room = Room::of_batch(&step.soft.config, &[]);
    let mut fitting = Vec::new();
    let mut is_done = true;
    for record in gone(step) {
        if room.take(std::slice::from_ref(&record)).is_err() {
            is_done = fitting.is_empty();
            break;
        }
        fitting.push(record);
    }
    if is_done {
        step.soft.deleted_topics.clear();
    } else {
        step.soft.timers.set(Timer::TopicsDeleted, step.now, PAUSE_MS);
    }
    fitting.into_iter().for_each(|record| step.log.write(record));
}

/// The end of each offset in a topic that is gone.
fn gone(step: &Step<'_>) -> impl Iterator<Item = Record> {
    let groups = step.log.offsets.iter();
    let topics = groups.flat_map(|(group, topics)| {
        step.soft.deleted_topics.iter().filter_map(move |gone| Some((group, gone, topics.get(&gone.name)?)))
    });
    topics.flat_map(|(group, gone, partitions)| {
        // An offset that does not say of which topic it is may be of the next one of that name.
        let is_of_none = step.soft.topics.get(&gone.name).is_none();
        let is_gone = move |offset: &Offset| offset.topic_id == gone.id || is_of_none && offset.topic_id.is_zero();
        let gone_too = partitions.iter().filter(move |(_, offset)| is_gone(offset));
        gone_too.map(|(partition, _)| Record::OffsetCommit(key(group, &gone.name, *partition), None))
    })
}
