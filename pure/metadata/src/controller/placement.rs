//! Where a new topic's partitions go.
//!
//! There is one broker, so every partition has one replica, and it is there. What is left is to choose the log directory,
//! which Kafka leaves to the broker (KIP-858), and to refuse what cannot be had, also in a client's own assignment.

use std::collections::BTreeSet;

use ottla_base::{NodeId, Uuid};
use ottla_config::{ServerConfig, keys};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{CreatableReplicaAssignment, CreatableTopic};
use ottla_wire::records::PartitionRecord;

use super::{Refusal, directories, refuse};
use crate::{Brokers, Image, Record};

/// In a request: as many as the server's default, or as the assignments say.
const UNSAID: i32 = -1;

pub(super) struct Placement {
    pub partition_count: i32,
    broker: NodeId,
    /// Of the partitions in turn.
    directories: Vec<Uuid>,
}

/// How many partitions the topic is to have; if that is below 1, it cannot be made.
pub(super) fn partition_count(topic: &CreatableTopic, server: &ServerConfig) -> i32 {
    match topic.num_partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len().try_into().unwrap_or(i32::MAX),
        UNSAID => server.get(keys::NUM_PARTITIONS),
        asked => asked,
    }
}

pub(super) fn place(image: &Image, topic: &CreatableTopic, server: &ServerConfig) -> Result<Placement, Refusal> {
    let brokers = image.brokers();
    let partition_count = partition_count(topic, server);
    let otherwise = if topic.assignments.is_empty() {
        check_replication_factor(brokers, topic.replication_factor, server)?;
        if partition_count < 1 {
            let message = "a topic has at least one partition; -1 asks for the default number";
            return refuse(ErrorCode::InvalidPartitions, message);
        }
        ErrorCode::InvalidReplicationFactor
    } else {
        check_assignments(brokers, topic)?;
        ErrorCode::InvalidReplicaAssignment
    };
    on_the_broker(image, partition_count, otherwise)
}

/// Everything on the broker, unless it is starting or stopping.
pub(super) fn on_the_broker(image: &Image, partition_count: i32, otherwise: ErrorCode) -> Result<Placement, Refusal> {
    let Some(broker) = image.brokers().iter().find(|broker| broker.is_usable()) else {
        return refuse(otherwise, "no broker serves at the moment");
    };
    match directories::fewest_first(image, broker, partition_count) {
        Some(directories) => Ok(Placement { partition_count, broker: broker.id, directories }),
        None => refuse(otherwise, "all log directories are cordoned (cordoned.log.dirs)"),
    }
}

impl Placement {
    /// The partitions' records, numbered from `first` on.
    pub fn partitions(&self, topic_id: Uuid, first: i32) -> impl Iterator<Item = Record> {
        (first..).zip(&self.directories).map(move |(partition_id, directory)| {
            Record::Partition(PartitionRecord {
                partition_id,
                topic_id,
                replicas: vec![self.broker.0],
                isr: vec![self.broker.0],
                leader: self.broker.0,
                leader_epoch: 0,
                partition_epoch: 0,
                directories: vec![*directory],
                ..Default::default()
            })
        })
    }
}

fn check_replication_factor(brokers: &Brokers, asked: i16, server: &ServerConfig) -> Result<(), Refusal> {
    let replication_factor = match i32::from(asked) {
        UNSAID => server.get(keys::DEFAULT_REPLICATION_FACTOR),
        asked => asked,
    };
    let message = match replication_factor {
        ..1 => "the replication factor is at least 1; -1 asks for the default".into(),
        _ if replication_factor as usize > brokers.iter().count() => {
            format!("the replication factor is {replication_factor}, but the brokers are {}", brokers.iter().count())
        }
        _ => return Ok(()),
    };
    refuse(ErrorCode::InvalidReplicationFactor, message)
}

/// Each partition from 0 on, once, on the one broker.
fn check_assignments(brokers: &Brokers, topic: &CreatableTopic) -> Result<(), Refusal> {
    if topic.num_partitions != UNSAID || i32::from(topic.replication_factor) != UNSAID {
        let message = "with assignments, the number of partitions and the replication factor are -1";
        return refuse(ErrorCode::InvalidRequest, message);
    }
    for CreatableReplicaAssignment { partition_index, broker_ids, .. } in &topic.assignments {
        check_replicas(brokers, *partition_index, broker_ids)?;
    }
    let indexes: BTreeSet<i32> = topic.assignments.iter().map(|partition| partition.partition_index).collect();
    if !indexes.into_iter().eq(0..topic.assignments.len() as i32) {
        let message = "partitions are numbered from 0 on, without gaps, each once";
        return refuse(ErrorCode::InvalidReplicaAssignment, message);
    }
    Ok(())
}

/// One replica, on the one broker.
pub(super) fn check_replicas(brokers: &Brokers, partition_index: i32, broker_ids: &[i32]) -> Result<(), Refusal> {
    let stranger = broker_ids.iter().find(|id| brokers.get(NodeId(**id)).is_none());
    let wrong = match (broker_ids.len(), stranger) {
        (0, _) => format!("partition {partition_index} has no replica"),
        (_, Some(id)) => format!("partition {partition_index} has a replica on {id}, which is no broker here"),
        (1, None) => return Ok(()),
        (2.., None) => format!("partition {partition_index} has two replicas on one broker"),
    };
    refuse(ErrorCode::InvalidReplicaAssignment, wrong)
}
