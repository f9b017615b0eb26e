//! The log directories of brokers: which of them work, and which replica is in which (KIP-112, KIP-858).
//!
//! A broker registers with the directories that work. One that fails later is named in a heartbeat: what it holds is led by
//! nobody from then on, for there is no other replica. What is there may lack what was acknowledged last, so its replicas
//! are not eligible leaders, only the last that led. A replica that is found in another directory than the log says, because
//! it was moved, is assigned anew.

use ottla_base::{NodeId, Uuid};
use ottla_wire::ErrorCode;
use ottla_wire::messages::assign_replicas_to_dirs_response::{DirectoryData, PartitionData, TopicData};
use ottla_wire::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};
use ottla_wire::records::{BrokerRegistrationChangeRecord, PartitionChangeRecord};

use super::leadership::{self, registration_change};
use super::{State, Step, registration};
use crate::image::{Broker, Partition};
use crate::{Image, Record};

/// Directories for so many new replicas: each goes where there are the fewest, and of equals to the first. Zeros, with which the
/// broker chooses, where it has not said what it has. `None` where all are cordoned (KIP-1066).
pub(super) fn fewest_first(image: &Image, broker: &Broker, count: i32) -> Option<Vec<Uuid>> {
    let count = usize::try_from(count).unwrap_or(0);
    let cordoned = broker.cordoned_log_dirs.as_deref().unwrap_or_default();
    let dirs: Vec<Uuid> = broker.log_dirs.iter().filter(|id| !cordoned.contains(id)).copied().collect();
    match dirs[..] {
        [] => return broker.log_dirs.is_empty().then(|| vec![Uuid::ZERO; count]),
        [only] => return Some(vec![only; count]),
        _ => {}
    }
    let mut replicas: Vec<usize> = dirs.iter().map(|_| 0).collect();
    for (_, partition) in image.topics().iter().flat_map(|topic| topic.partitions()) {
        let directory = partition.directory_on(broker.id);
        if let Some(place) = dirs.iter().position(|dir| *dir == directory) {
            replicas[place] += 1;
        }
    }
    let next = |_| {
        let place = (0..dirs.len()).min_by_key(|&place| replicas[place]).expect("there are two at least");
        replicas[place] += 1;
        dirs[place]
    };
    Some((0..count).map(next).collect())
}

/// These directories have failed.
pub(super) fn fail(step: &mut Step<'_>, broker: &Broker, failed: &[Uuid]) {
    let log_dirs: Vec<Uuid> = broker.log_dirs.iter().filter(|id| !failed.contains(id)).copied().collect();
    if log_dirs == broker.log_dirs {
        return;
    }
    // No directories in this record means that they are as before.
    if !log_dirs.is_empty() {
        let change = BrokerRegistrationChangeRecord { log_dirs, ..registration_change(broker) };
        step.log.write(Record::BrokerRegistrationChange(change));
    }
    leadership::change_each(step, |partition| {
        let is_lost = partition.leader == broker.id && failed.contains(&partition.directory_on(broker.id));
        is_lost.then(|| lost(broker.id))
    });
}

/// What this broker leads is in a directory that has failed.
fn lost(broker: NodeId) -> PartitionChangeRecord {
    PartitionChangeRecord {
        isr: Some(Vec::new()),
        leader: NodeId::NONE.0,
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(vec![broker.0]),
        ..Default::default()
    }
}

/// AssignReplicasToDirs: a broker says where its replicas are.
pub(super) fn assign(step: &mut Step<'_>, request: AssignReplicasToDirsRequest) -> AssignReplicasToDirsResponse {
    let id = NodeId(request.broker_id);
    if let Err(error) = registration::current(step, id, request.broker_epoch) {
        return AssignReplicasToDirsResponse { error_code: error.code(), ..Default::default() };
    }
    let directories = request.directories.into_iter().map(|directory| {
        let topics = directory.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.into_iter().map(|partition| {
                let index = partition.partition_index;
                let assigned = assign_one(step, id, directory.id, topic.topic_id, index);
                let error_code = assigned.err().unwrap_or(ErrorCode::None).code();
                PartitionData { partition_index: index, error_code, ..Default::default() }
            });
            let partitions = partitions.collect();
            TopicData { topic_id: topic.topic_id, partitions, ..Default::default() }
        });
        let topics = topics.collect();
        DirectoryData { id: directory.id, topics, ..Default::default() }
    });
    let directories = directories.collect();
    let response = AssignReplicasToDirsResponse { directories, ..Default::default() };
    if step.log.brokers().get(id).is_some_and(|broker| !broker.fenced) {
        leadership::elect(step, id);
    }
    response
}

fn assign_one(
    step: &mut Step<'_>,
    broker: NodeId,
    directory: Uuid,
    topic_id: Uuid,
    partition_id: i32,
) -> Result<(), ErrorCode> {
    let partition = find(&step.log, topic_id, partition_id)?;
    let place =
        partition.replicas.iter().position(|replica| *replica == broker).ok_or(ErrorCode::NotLeaderOrFollower)?;
    if partition.directory_on(broker) == directory {
        return Ok(());
    }
    let mut directories = partition.directories.clone();
    directories.resize(partition.replicas.len(), Uuid::ZERO);
    directories[place] = directory;
    // It was moved there just before that failed.
    let is_online = step.log.brokers().get(broker).is_none_or(|broker| broker.has_online(directory));
    let change = if partition.leader == broker && !is_online { lost(broker) } else { Default::default() };
    let directories = Some(directories);
    step.log.write(Record::PartitionChange(PartitionChangeRecord { partition_id, topic_id, directories, ..change }));
    Ok(())
}

fn find(state: &State, topic_id: Uuid, index: i32) -> Result<&Partition, ErrorCode> {
    let topic = state.topics().get_by_id(&topic_id).ok_or(ErrorCode::UnknownTopicId)?;
    topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)
}
