//! AlterPartitionReassignments: partitions get other brokers (KIP-455).
//!
//! There is one broker, so there are no others to be had: what is asked for is what is there already, or is refused. Kafka's
//! tool asks for it on its way to move replicas between log directories.

use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};

use super::{Refusal, State, Step, placement, refuse};

pub(super) fn decide(
    step: &Step<'_>,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let responses = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let refusal = check(&step.log, &topic.name, partition).err();
            let error_code = refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code();
            let message = refusal.map(|refusal| refusal.message).filter(|text| !text.is_empty());
            ReassignablePartitionResponse {
                partition_index: partition.partition_index,
                error_code,
                error_message: message.map(Into::into),
                ..Default::default()
            }
        });
        let partitions = partitions.collect();
        ReassignableTopicResponse { name: topic.name, partitions, ..Default::default() }
    });
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: request.allow_replication_factor_change,
        error_message: None,
        responses: responses.collect(),
        ..Default::default()
    }
}

fn check(state: &State, topic: &str, asked: &ReassignablePartition) -> Result<(), Refusal> {
    let found = state.topics().get(topic).and_then(|topic| topic.partition(asked.partition_index));
    if found.is_none() {
        return refuse(ErrorCode::UnknownTopicOrPartition, "there is no such partition");
    }
    match &asked.replicas {
        None => refuse(ErrorCode::NoReassignmentInProgress, String::new()),
        Some(replicas) => placement::check_replicas(state.brokers(), asked.partition_index, replicas),
    }
}
