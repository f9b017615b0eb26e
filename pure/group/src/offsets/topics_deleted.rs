//! Topics are gone, and with them the offsets of every group in them.
//!
//! A topic of the same name may be there by the time that this is heard of. Its offsets stay: they carry another id. There
//! may be more offsets than a batch can end; what is left is done in further steps.

use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::records::consumer_offsets::OffsetCommitKey;

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
    let committed = topics.flat_map(move |(group, gone, partitions)| {
        let gone_too = partitions.iter().filter(move |(_, offset)| is_gone(step, gone, offset));
        gone_too.map(|(partition, _)| key(group, &gone.name, *partition))
    });
    let is_gone = move |(key, offset): &(OffsetCommitKey, &Offset)| {
        step.soft.deleted_topics.iter().any(|gone| gone.name == key.topic && is_gone(step, gone, offset))
    };
    let pending = step.log.pending.iter().filter(is_gone).map(|(key, _)| key);
    committed.chain(pending).map(|key| Record::OffsetCommit(key, None))
}

fn is_gone(step: &Step<'_>, gone: &DeletedTopic, offset: &Offset) -> bool {
    // An offset that does not say of which topic it is may be of the next one of that name.
    let is_of_none = step.soft.topics.get(&gone.name).is_none();
    offset.topic_id == gone.id || is_of_none && offset.topic_id.is_zero()
}
