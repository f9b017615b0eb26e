//! What consumers of the classic protocol say to each other, which the coordinator reads and writes in their place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::Uuid;
use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions as Reported;
use ottla_wire::records::consumer_protocol::consumer_protocol_assignment::TopicPartition;
use ottla_wire::records::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use ottla_wire::records::encode_versioned;
use ottla_wire::{Message, Reader, Writer};

use crate::Topics;
use crate::consumer::assign::Assignment;

/// Why a member's words cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Malformed,
    /// An assignor of the client's own has put something into them that would be lost.
    UserData,
}

pub(super) fn subscription(bytes: &[u8]) -> Result<ConsumerProtocolSubscription, Unreadable> {
    read(bytes)
}

/// Topics that are gone are left out.
pub(super) fn assignment(bytes: &[u8], topics: &Topics) -> Result<Assignment, Unreadable> {
    if bytes.is_empty() {
        return Ok(Assignment::new());
    }
    let assignment: ConsumerProtocolAssignment = read(bytes)?;
    if assignment.user_data.is_some_and(|data| !data.is_empty()) {
        return Err(Unreadable::UserData);
    }
    let exist = assignment.assigned_partitions.into_iter();
    let exist = exist.filter_map(|topic| Some((topics.get(&topic.topic)?.id, topic.partitions)));
    Ok(exist.map(|(id, partitions)| (id, partitions.into_iter().collect())).collect())
}

/// The partitions of an assignment, whatever else is in it. `None` if that is no assignment of a consumer.
pub(crate) fn partitions(bytes: &[u8]) -> Option<BTreeSet<(Arc<str>, i32)>> {
    if bytes.is_empty() {
        return Some(BTreeSet::new());
    }
    let assignment: ConsumerProtocolAssignment = read(bytes).ok()?;
    let topics = assignment.assigned_partitions.into_iter();
    Some(topics.flat_map(|topic| topic.partitions.into_iter().map(move |p| (topic.topic.clone(), p))).collect())
}

/// What the member says that it owns, partition by partition.
pub(super) fn owned(subscription: &ConsumerProtocolSubscription, topics: &Topics) -> Vec<(Uuid, i32)> {
    let owned = reported(subscription, topics).into_iter();
    owned.flat_map(|topic| topic.partitions.into_iter().map(move |p| (topic.topic_id, p))).collect()
}

/// What the member says that it owns.
pub(super) fn reported(subscription: &ConsumerProtocolSubscription, topics: &Topics) -> Vec<Reported> {
    let owned = subscription.owned_partitions.iter();
    let owned = owned.filter_map(|topic| Some((topics.get(&topic.topic)?.id, &topic.partitions)));
    owned
        .map(|(topic_id, partitions)| Reported { topic_id, partitions: partitions.clone(), ..Default::default() })
        .collect()
}

/// An assignment for a member that has said `said`, in the version of that.
pub(super) fn write_assignment(assignment: &BTreeMap<Uuid, Vec<i32>>, topics: &Topics, said: &[u8]) -> Bytes {
    let exist = assignment.iter().filter_map(|(id, partitions)| Some((topics.name_of(id)?, partitions)));
    let assigned_partitions =
        exist.map(|(name, partitions)| TopicPartition { topic: name.clone(), partitions: partitions.clone() });
    let assignment = ConsumerProtocolAssignment { assigned_partitions: assigned_partitions.collect(), user_data: None };
    let mut bytes = Vec::new();
    let version = version(said).unwrap_or(0);
    encode_versioned(&assignment, &mut Writer::new(&mut bytes), version);
    bytes.into()
}

/// One that is newer than ours only has more at its end.
fn version(bytes: &[u8]) -> Option<i16> {
    let version = Reader::new(bytes).i16("version").ok()?;
    (version >= 0).then(|| version.min(*ConsumerProtocolSubscription::VERSIONS.end()))
}

fn read<M: Message>(bytes: &[u8]) -> Result<M, Unreadable> {
    let version = version(bytes).ok_or(Unreadable::Malformed)?;
    let mut reader = Reader::new(bytes);
    reader.i16("version").map_err(|_| Unreadable::Malformed)?;
    M::decode(&mut reader, version).map_err(|_| Unreadable::Malformed)
}
