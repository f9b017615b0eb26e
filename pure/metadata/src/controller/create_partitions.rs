//! CreatePartitions: topics get more partitions (KIP-195). They never get fewer: records have been spread over those there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};

use super::{RECORDS_MAX, Refusal, State, Step, placement, refuse};
use crate::{Record, topic_name};

pub(super) fn decide(step: &mut Step<'_>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let mut times = BTreeMap::<Arc<str>, usize>::new();
    for topic in &request.topics {
        *times.entry(topic.name.clone()).or_default() += 1;
    }
    let mut results = Vec::with_capacity(request.topics.len());
    let mut records = 0;
    for topic in request.topics.iter().filter(|topic| times[&topic.name] == 1) {
        let planned = plan(&step.log, topic).and_then(|plan| {
            records += plan.len();
            match records {
                ..=RECORDS_MAX => Ok(plan),
                _ => {
                    let message = format!("the request needs more than {RECORDS_MAX} metadata records");
                    refuse(ErrorCode::PolicyViolation, message)
                }
            }
        });
        let refusal = match planned {
            Ok(plan) if !request.validate_only => {
                plan.into_iter().for_each(|record| step.log.write(record));
                None
            }
            planned => planned.err(),
        };
        results.push(result(topic.name.clone(), refusal));
    }
    let repeated = times.into_iter().filter(|(_, times)| *times > 1);
    results.extend(repeated.map(|(name, _)| {
        let message = "the topic stands in the request more than once".into();
        result(name, Some(Refusal { code: ErrorCode::InvalidRequest, message }))
    }));
    CreatePartitionsResponse { results, ..Default::default() }
}

fn plan(state: &State, asked: &CreatePartitionsTopic) -> Result<Vec<Record>, Refusal> {
    let Some(topic) = state.topics().get(&asked.name) else {
        return refuse(ErrorCode::UnknownTopicOrPartition, String::new());
    };
    if topic_name::is_internal(&asked.name) {
        // Which coordinator a group has depends on the number of partitions: all that is known of it would be elsewhere.
        return refuse(
            ErrorCode::InvalidRequest,
            "brokers keep their state in this topic; its partitions stay as they are",
        );
    }
    let there = i32::try_from(topic.partition_count()).unwrap_or(i32::MAX);
    if asked.count <= there {
        let message = format!("the topic has {there} partitions; {} are not more", asked.count);
        return refuse(ErrorCode::InvalidPartitions, message);
    }
    let more = asked.count - there;
    // Looked at before anything is made of it: the number is a client's.
    if more as usize > RECORDS_MAX {
        let message = format!("the request needs more than {RECORDS_MAX} metadata records");
        return refuse(ErrorCode::PolicyViolation, message);
    }
    if let Some(assignments) = &asked.assignments {
        if assignments.len() != more as usize {
            let message = format!("{more} partitions are to come, and {} have replicas", assignments.len());
            return refuse(ErrorCode::InvalidReplicaAssignment, message);
        }
        for (index, assignment) in (there..).zip(assignments) {
            placement::check_replicas(state.brokers(), index, &assignment.broker_ids)?;
        }
    }
    let otherwise = match asked.assignments {
        Some(_) => ErrorCode::InvalidReplicaAssignment,
        None => ErrorCode::InvalidReplicationFactor,
    };
    let placement = placement::on_the_broker(state, more, otherwise)?;
    Ok(placement.partitions(topic.id, there).collect())
}

/// An unknown topic has an error and no text, as in Kafka.
fn result(name: Arc<str>, refusal: Option<Refusal>) -> CreatePartitionsTopicResult {
    let (code, message) = match refusal {
        None => (ErrorCode::None, None),
        Some(Refusal { code, message }) => (code, Some(message).filter(|text| !text.is_empty())),
    };
    let (error_code, error_message) = (code.code(), message.map(Into::into));
    CreatePartitionsTopicResult { name, error_code, error_message, ..Default::default() }
}
