//! DeleteTopics: topics by name or by id, each once.
//!
//! A request may name a topic twice, by name and by id even. Deleting it once would answer one of the two wrongly, so a
//! topic that is named twice is refused and stays. Kafka answers in no order; here it is that of the request.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};
use ottla_wire::records::RemoveTopicRecord;

use super::{RECORDS_MAX, Refusal, Step, refuse};
use crate::{Image, Record};

pub(super) fn decide(step: &mut Step<'_>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let asked = Asked::distinct(request);
    let found: Vec<_> = asked.iter().map(|asked| find(&step.log, asked)).collect();
    let mut times_named = BTreeMap::new();
    for (asked, found) in asked.iter().zip(&found) {
        if let Ok((_, id)) = found {
            *times_named.entry(*id).or_insert(0) += asked.times;
        }
    }
    let too_many = times_named.len() > RECORDS_MAX;
    let responses = asked.into_iter().zip(found).map(|(asked, found)| {
        let outcome = match found {
            _ if asked.times > 1 => refuse(ErrorCode::InvalidRequest, "the topic is named more than once"),
            Ok((_, id)) if times_named[&id] > 1 => {
                refuse(ErrorCode::InvalidRequest, "the topic is named by its name and by its id")
            }
            Ok(_) if too_many => refuse(ErrorCode::PolicyViolation, "the request deletes too many topics"),
            found => found,
        };
        match outcome {
            Ok((name, topic_id)) => {
                step.log.write(Record::RemoveTopic(RemoveTopicRecord { topic_id, ..Default::default() }));
                DeletableTopicResult { name: Some(name), topic_id, ..Default::default() }
            }
            Err(Refusal { code, message }) => DeletableTopicResult {
                name: asked.name,
                topic_id: asked.id,
                error_code: code.code(),
                error_message: Some(message.into()),
                ..Default::default()
            },
        }
    });
    DeleteTopicsResponse { responses: responses.collect(), ..Default::default() }
}

/// A topic as the request names it: by its name, or by an id that is not zero.
struct Asked {
    name: Option<Arc<str>>,
    id: Uuid,
    times: usize,
}

impl Asked {
    /// What the request names, in order, each once.
    fn distinct(request: DeleteTopicsRequest) -> Vec<Asked> {
        let named = request.topic_names.into_iter().map(|name| (Some(name), Uuid::ZERO));
        let all = request.topics.into_iter().map(|topic| (topic.name, topic.topic_id)).chain(named);
        let mut distinct: Vec<Asked> = Vec::new();
        let mut seen = BTreeMap::new();
        for (name, id) in all {
            let index = *seen.entry((name.clone(), id)).or_insert(distinct.len());
            match distinct.get_mut(index) {
                Some(again) => again.times += 1,
                None => distinct.push(Asked { name, id, times: 1 }),
            }
        }
        distinct
    }
}

fn find(image: &Image, asked: &Asked) -> Result<(Arc<str>, Uuid), Refusal> {
    let topic = match &asked.name {
        Some(_) if !asked.id.is_zero() => {
            return refuse(ErrorCode::InvalidRequest, "a topic is named by its name or by its id, not by both");
        }
        Some(name) => image.topics().get(name).ok_or_else(|| Refusal {
            code: ErrorCode::UnknownTopicOrPartition,
            message: "there is no topic of this name".into(),
        })?,
        None if asked.id.is_zero() => {
            return refuse(ErrorCode::InvalidRequest, "a topic is named by its name or by its id, not by neither");
        }
        None => image.topics().get_by_id(&asked.id).ok_or_else(|| Refusal {
            code: ErrorCode::UnknownTopicId,
            message: "there is no topic with this id".into(),
        })?,
    };
    Ok((topic.name.clone(), topic.id))
}
