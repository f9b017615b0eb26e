//! What every client of a group does: finds its coordinator, commits, and reads what is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_wire::messages::{
    FindCoordinatorRequest, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use ottla_wire::{ErrorCode, Request};

use crate::client::{Client, Gone};
use crate::history::{At, Commit, Found, GroupEvent, LogId};
use crate::site::{Site, Topic};

const FIND_COORDINATOR: &[i16] = &[0, 1, 3, 4, 6];
/// First version that looks for many.
const FIND_MANY_FROM: i16 = 4;
const OFFSET_FETCH: &[i16] = &[1, 2, 5, 7, 8, 9, 10];
/// First version of OffsetFetch for many groups.
const FETCH_GROUPS_FROM: i16 = 8;
/// First version of OffsetCommit and OffsetFetch with topic ids.
const TOPIC_IDS_FROM: i16 = 10;
/// What the broker takes of metadata, in characters.
pub const METADATA_MAX: usize = 40;

/// Why a client has no answer to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The connection is gone, or the coordinator is not there: it can be asked again.
    Away,
    Refused(ErrorCode),
}

/// Who commits.
#[derive(Clone, Debug)]
pub struct Committer {
    pub version: i16,
    /// -1 for those who are no members.
    pub generation: i32,
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
}

#[derive(Debug)]
pub struct GroupClient {
    pub site: Site,
    pub group: Arc<str>,
    pub topics: Arc<[Topic]>,
    client: Client,
    knows_coordinator: bool,
}

impl From<Gone> for Trouble {
    fn from(Gone: Gone) -> Trouble {
        Trouble::Away
    }
}

impl GroupClient {
    pub fn new(site: &Site, group: &Arc<str>, topics: &Arc<[Topic]>) -> GroupClient {
        GroupClient {
            site: site.clone(),
            group: group.clone(),
            topics: topics.clone(),
            client: site.client(),
            knows_coordinator: false,
        }
    }

    /// All logs that the group shares out.
    pub fn logs(&self) -> Vec<LogId> {
        self.topics.iter().flat_map(Topic::logs).collect()
    }

    pub fn hang_up(&mut self) {
        self.client.hang_up();
    }

    /// Asks the coordinator, which is looked for first if it is not known.
    pub async fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, Trouble> {
        if !self.knows_coordinator {
            self.find_coordinator().await?;
            self.knows_coordinator = true;
        }
        let answer = self.client.call(request, version).await;
        self.knows_coordinator = answer.is_ok() || self.site.dice.one_in(2);
        Ok(answer?)
    }

    /// What the error of an answer means.
    pub fn outcome(&mut self, code: i16) -> Result<(), Trouble> {
        match ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError) {
            ErrorCode::None => Ok(()),
            ErrorCode::CoordinatorLoadInProgress => Err(Trouble::Away),
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                self.knows_coordinator = false;
                Err(Trouble::Away)
            }
            error => Err(Trouble::Refused(error)),
        }
    }

    pub fn note_unknown(&self) {
        self.site.history.note_group(GroupEvent::Unknown { group: self.group.clone() });
    }

    async fn find_coordinator(&mut self) -> Result<(), Trouble> {
        let version = self.site.dice.pick(FIND_COORDINATOR);
        let mut request = FindCoordinatorRequest::default();
        if version < FIND_MANY_FROM {
            request.key = self.group.clone();
        } else {
            request.coordinator_keys = vec![self.group.clone()];
        }
        let response = self.client.call(&request, version).await?;
        let (code, host, port) = match response.coordinators.first() {
            Some(found) => (found.error_code, &found.host, found.port),
            None => (response.error_code, &response.host, response.port),
        };
        match self.outcome(code) {
            Ok(()) => {}
            Err(Trouble::Away) => return Err(Trouble::Away),
            Err(Trouble::Refused(error)) => {
                self.site.broken(format!("no coordinator of {}: {error}", self.group));
                return Err(Trouble::Away);
            }
        }
        if format!("{host}:{port}") != self.site.broker.to_string() {
            self.site.broken(format!("the coordinator of {} is at {host}:{port}", self.group));
        }
        Ok(())
    }

    /// Commits offsets. Some of them may be done where others are refused: the first error counts.
    pub async fn commit(&mut self, by: &Committer, offsets: &[(LogId, i64)]) -> Result<(), Trouble> {
        let mut request = OffsetCommitRequest {
            group_id: self.group.clone(),
            generation_id_or_member_epoch: by.generation,
            member_id: by.member_id.clone(),
            group_instance_id: by.instance_id.clone(),
            ..Default::default()
        };
        let mut sent = BTreeMap::new();
        for topic in self.topics.iter() {
            let of_topic = offsets.iter().filter(|(log, _)| log.topic == topic.name.id);
            let partitions: Vec<_> = of_topic
                .map(|(log, offset)| {
                    let (at, partition) = self.note_to_send(by, *log, *offset);
                    sent.insert(*log, at);
                    partition
                })
                .collect();
            if !partitions.is_empty() {
                let (name, topic_id) = (topic.name.name.as_str().into(), topic.name.id);
                request.topics.push(OffsetCommitRequestTopic { topic_id, name, partitions, ..Default::default() });
            }
        }
        let response = match self.call(&request, by.version).await {
            Ok(response) => response,
            Err(trouble) => {
                for at in sent.into_values() {
                    self.site.history.note_group(GroupEvent::CommitGivenUp { sent: at });
                }
                return Err(trouble);
            }
        };
        let mut outcome = Ok(());
        for topic in &response.topics {
            let id = self.topic_id(&topic.name, topic.topic_id, by.version);
            for partition in &topic.partitions {
                match sent.remove(&LogId { topic: id, partition: partition.partition_index }) {
                    Some(at) => self.note_answer(at, partition.error_code),
                    None => self.site.broken(format!("a commit that was not sent is answered, for {topic:?}")),
                }
                outcome = outcome.and(self.outcome(partition.error_code));
            }
        }
        if !sent.is_empty() {
            self.site.broken(format!("commits are not answered: {sent:?}"));
        }
        outcome
    }

    fn note_to_send(&self, by: &Committer, log: LogId, offset: i64) -> (At, OffsetCommitRequestPartition) {
        let has_long_metadata = self.site.dice.one_in(25);
        let (group, generation) = (self.group.clone(), by.generation);
        let commit = Commit { group, log, offset, generation, has_long_metadata };
        let at = self.site.history.note_group(GroupEvent::CommitSent { commit });
        let width = if has_long_metadata { METADATA_MAX + 1 } else { 0 };
        let partition = OffsetCommitRequestPartition {
            partition_index: log.partition,
            committed_offset: offset,
            committed_metadata: Some(format!("{at:<width$}").into()),
            ..Default::default()
        };
        (at, partition)
    }

    fn note_answer(&self, sent: At, code: i16) {
        self.site.history.note_group(match ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError) {
            ErrorCode::None => GroupEvent::Committed { sent },
            // Perhaps it is in the log.
            ErrorCode::NotCoordinator => GroupEvent::CommitGivenUp { sent },
            error => GroupEvent::CommitRefused { sent, error },
        });
    }

    /// Reads what the group has committed for all logs.
    pub async fn read(&mut self) -> Result<(), Trouble> {
        let version = self.site.dice.pick(OFFSET_FETCH);
        let asked = self.site.history.at();
        let response = self.call(&self.fetch(version), version).await?;
        let groups = if version < FETCH_GROUPS_FROM { vec![of_single(response)] } else { response.groups };
        let mut told = BTreeSet::new();
        for group in groups {
            self.outcome(group.error_code)?;
            for topic in group.topics {
                let id = self.topic_id(&topic.name, topic.topic_id, version);
                for partition in topic.partitions {
                    self.outcome(partition.error_code)?;
                    let log = LogId { topic: id, partition: partition.partition_index };
                    told.insert(log);
                    self.note_read(asked, log, partition.committed_offset, &partition.metadata.unwrap_or_default());
                }
            }
        }
        if told != self.logs().into_iter().collect() {
            self.site.broken(format!("the offsets of {} are those of {told:?}", self.group));
        }
        Ok(())
    }

    fn note_read(&self, asked: At, log: LogId, offset: i64, metadata: &str) {
        let found = match metadata.trim_end().parse() {
            Ok(sent) => Some(Found { sent, offset }),
            Err(_) if (offset, metadata) == (-1, "") => None,
            Err(_) => return self.site.broken(format!("nobody has committed {offset} with metadata {metadata:?}")),
        };
        let group = self.group.clone();
        self.site.history.note_group(GroupEvent::CommitRead { asked, group, log, found });
    }

    fn fetch(&self, version: i16) -> OffsetFetchRequest {
        let names = self.topics.iter().map(|topic| (Arc::from(topic.name.name.as_str()), topic));
        let partitions = |topic: &Topic| (0..topic.partitions).collect();
        if version < FETCH_GROUPS_FROM {
            let topics = names.map(|(name, topic)| OffsetFetchRequestTopic {
                name,
                partition_indexes: partitions(topic),
                ..Default::default()
            });
            let topics = Some(topics.collect());
            return OffsetFetchRequest { group_id: self.group.clone(), topics, ..Default::default() };
        }
        let topics = names.map(|(name, topic)| OffsetFetchRequestTopics {
            name,
            topic_id: topic.name.id,
            partition_indexes: partitions(topic),
            ..Default::default()
        });
        let topics = Some(topics.collect());
        let group = OffsetFetchRequestGroup { group_id: self.group.clone(), topics, ..Default::default() };
        OffsetFetchRequest { groups: vec![group], ..Default::default() }
    }

    /// Of one of the group's topics; zero if it is none of them.
    fn topic_id(&self, name: &str, id: Uuid, version: i16) -> Uuid {
        let is_it = |topic: &&Topic| match version {
            TOPIC_IDS_FROM.. => topic.name.id == id,
            _ => topic.name.name == name,
        };
        self.topics.iter().find(is_it).map_or(Uuid::ZERO, |topic| topic.name.id)
    }
}

/// The answer of an old version, as that for one of many groups.
fn of_single(response: OffsetFetchResponse) -> OffsetFetchResponseGroup {
    let topics = response.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartitions {
            partition_index: partition.partition_index,
            committed_offset: partition.committed_offset,
            metadata: partition.metadata,
            error_code: partition.error_code,
            ..Default::default()
        });
        let partitions = partitions.collect();
        OffsetFetchResponseTopics { name: topic.name, partitions, ..Default::default() }
    });
    OffsetFetchResponseGroup { topics: topics.collect(), error_code: response.error_code, ..Default::default() }
}
