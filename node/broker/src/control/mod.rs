//! The control plane: everything that changes the cluster's metadata goes through [`Control`].
//!
//! ```text
//! opening     reads the directory and finds it good, then begins an epoch of the log
//!   loading     the image, from the newest snapshot and the log behind it
//! host        the controller's machine on its log: decides, appends, parks the reply
//!   log         the appending end of that log
//!   quorum      what the log says of itself
//! snapshotting  writes snapshots, and lets go what is before them
//!   snapshot    their bytes
//! publisher   applies what is committed, opens and closes partitions, publishes, then lets the replies go
//!   replicas    one partition: from its files to a leader, and back
//!   whereabouts   which log directory each is in
//! ```
//!
//! A client that was told "created" can use the topic: it is published before the reply leaves. Today the controller is in
//! this process; when it is on another node, `Control` forwards to it, and no handler knows.

pub mod host;
pub mod loading;
pub mod log;
pub mod opening;
pub mod publisher;
pub mod quorum;
pub mod replicas;
pub mod snapshot;
pub mod snapshotting;
pub mod whereabouts;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottla_base::Uuid;
use ottla_config::ServerConfig;
use ottla_metadata::{
    AlterConfigs, Bootstrap, Command, CreateInternalTopic, CreateTopics, Entropy, IncrementalAlterConfigs, Reply,
};
use ottla_rt::Rt;
use ottla_wire::ErrorCode;
use ottla_wire::messages::alter_configs_response::AlterConfigsResourceResponse as ReplacedConfigs;
use ottla_wire::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use ottla_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_wire::messages::{
    AllocateProducerIdsRequest, AlterConfigsRequest, AlterConfigsResponse, AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse, AssignReplicasToDirsRequest, AssignReplicasToDirsResponse,
    BrokerHeartbeatRequest, BrokerRegistrationRequest, CreatableTopic, CreatableTopicResult, CreatePartitionsRequest,
    CreatePartitionsResponse, CreatePartitionsTopicResult, CreateTopicsRequest, CreateTopicsResponse,
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use crate::api::outcome;
use crate::identity::Identity;
use host::{Host, NoReply};
use whereabouts::ReplicaId;

#[derive(Debug)]
pub struct Control {
    rt: Rt,
    host: Arc<Host>,
    config: Arc<ServerConfig>,
    identity: Arc<Identity>,
    /// Of the last registration; -1 before it.
    broker_epoch: AtomicI64,
    /// Ids of blocks that this broker was given.
    producer_ids: Mutex<VecDeque<Range<i64>>>,
}

/// What a broker tells of its log directories.
#[derive(Debug)]
pub struct Report {
    pub failed: Vec<Uuid>,
    pub cordoned: Vec<Uuid>,
    pub is_any_left: bool,
}

/// What a start tells the controller.
#[derive(Debug)]
pub struct Registration {
    /// With which the log directories were closed; -1 if some were not.
    pub previous_broker_epoch: i64,
    /// Log directories that take no new replicas.
    pub cordoned: Vec<Uuid>,
    /// Replicas that are in another log directory than the metadata says, and in which.
    pub elsewhere: Vec<(Uuid, ReplicaId)>,
}

/// Why the controller has not taken note of where replicas are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAssigned {
    #[error(transparent)]
    NoReply(#[from] NoReply),
    #[error("the controller refuses to take note: {0}")]
    Refused(ErrorCode),
}

/// Takes the reply of one kind: a machine that answers a command with the reply to another is a bug.
macro_rules! submit {
    ($host:expr, $patience:expr, $kind:ident($command:expr)) => {
        match $host.submit(Command::$kind($command), $patience).await {
            Ok(Reply::$kind(reply)) => Ok(reply),
            Ok(other) => panic!("the controller answered {} with {other:?}", stringify!($kind)),
            Err(no_reply) => Err(no_reply),
        }
    };
}

impl Control {
    pub fn new(rt: Rt, host: Arc<Host>, config: Arc<ServerConfig>, identity: Arc<Identity>) -> Control {
        let (broker_epoch, producer_ids) = (AtomicI64::new(-1), Mutex::default());
        Control { rt, host, config, identity, broker_epoch, producer_ids }
    }

    pub fn broker_epoch(&self) -> i64 {
        self.broker_epoch.load(Ordering::Relaxed)
    }

    /// Waits for no longer than `timeout_ms`; what takes longer may be done yet, as in Kafka.
    pub async fn create_topics(&self, request: CreateTopicsRequest) -> CreateTopicsResponse {
        let patience = millis(request.timeout_ms);
        let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
        let command = CreateTopics { request, server: self.config.clone(), entropy: self.entropy() };
        submit!(self.host, patience, CreateTopics(command)).unwrap_or_else(|no_reply| {
            let (error_code, message) = (outcome::of_controller(no_reply).code(), Arc::from(no_reply.to_string()));
            let topics = names.into_iter().map(|name| CreatableTopicResult {
                name,
                error_code,
                error_message: Some(Arc::clone(&message)),
                ..Default::default()
            });
            CreateTopicsResponse { topics: topics.collect(), ..Default::default() }
        })
    }

    /// Makes topics as `auto.create.topics.enable` does, with the server's defaults. Gives each name's outcome.
    pub async fn auto_create(&self, names: BTreeSet<Arc<str>>) -> Vec<(Arc<str>, ErrorCode)> {
        let topics = names.into_iter().map(|name| CreatableTopic {
            name,
            num_partitions: -1,
            replication_factor: -1,
            ..Default::default()
        });
        let timeout_ms = i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX);
        let request = CreateTopicsRequest { topics: topics.collect(), timeout_ms, ..Default::default() };
        let results = self.create_topics(request).await.topics;
        let code = |code| ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
        let is_coming = |error| match error {
            // As Kafka answers while a topic is being made.
            ErrorCode::RequestTimedOut => ErrorCode::UnknownTopicOrPartition,
            error => error,
        };
        results.into_iter().map(|result| (result.name, is_coming(code(result.error_code)))).collect()
    }

    /// Makes a topic in which brokers keep their state, as the server's configuration says. It is published, and so open,
    /// when this returns. If it is there, or another request makes it at this moment, that is as good.
    pub async fn create_internal(&self, topic: &str) -> Result<(), ErrorCode> {
        let command = CreateInternalTopic { name: topic.into(), server: self.config.clone(), entropy: self.entropy() };
        let created = submit!(self.host, PATIENCE, CreateInternalTopic(command)).map_err(outcome::of_controller)?;
        match ErrorCode::from_code(created.error_code) {
            Some(ErrorCode::None) => Ok(()),
            error => {
                let why = created.error_message.unwrap_or_default();
                tracing::warn!("{topic} cannot be made: {why}");
                Err(error.unwrap_or(ErrorCode::UnknownServerError))
            }
        }
    }

    /// Random numbers for one command.
    fn entropy(&self) -> Entropy {
        Entropy::new(u128::from(self.rt.random_u64()) << 64 | u128::from(self.rt.random_u64()))
    }

    /// Waits for no longer than `timeout_ms`; what takes longer may be done yet, as in Kafka.
    pub async fn create_partitions(&self, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
        let patience = millis(request.timeout_ms);
        let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
        submit!(self.host, patience, CreatePartitions(request)).unwrap_or_else(|no_reply| {
            let (error_code, message) = (outcome::of_controller(no_reply).code(), Arc::from(no_reply.to_string()));
            let results = names.into_iter().map(|name| CreatePartitionsTopicResult {
                name,
                error_code,
                error_message: Some(Arc::clone(&message)),
                ..Default::default()
            });
            CreatePartitionsResponse { results: results.collect(), ..Default::default() }
        })
    }

    /// The changes are published when this returns.
    pub async fn incremental_alter_configs(
        &self,
        request: IncrementalAlterConfigsRequest,
    ) -> IncrementalAlterConfigsResponse {
        let asked: Vec<_> = request.resources.iter().map(|r| (r.resource_type, r.resource_name.clone())).collect();
        let command = IncrementalAlterConfigs { request, server: self.config.clone() };
        submit!(self.host, PATIENCE, IncrementalAlterConfigs(command)).unwrap_or_else(|no_reply| {
            let (error_code, message) = (outcome::of_controller(no_reply).code(), Arc::from(no_reply.to_string()));
            let responses = asked.into_iter().map(|(resource_type, resource_name)| AlterConfigsResourceResponse {
                error_code,
                error_message: Some(Arc::clone(&message)),
                resource_type,
                resource_name,
                ..Default::default()
            });
            IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
        })
    }

    /// The changes are published when this returns.
    pub async fn alter_configs(&self, request: AlterConfigsRequest) -> AlterConfigsResponse {
        let asked: Vec<_> = request.resources.iter().map(|r| (r.resource_type, r.resource_name.clone())).collect();
        let command = AlterConfigs { request, server: self.config.clone() };
        submit!(self.host, PATIENCE, AlterConfigs(command)).unwrap_or_else(|no_reply| {
            let (error_code, message) = (outcome::of_controller(no_reply).code(), Arc::from(no_reply.to_string()));
            let responses = asked.into_iter().map(|(resource_type, resource_name)| ReplacedConfigs {
                error_code,
                error_message: Some(Arc::clone(&message)),
                resource_type,
                resource_name,
                ..Default::default()
            });
            AlterConfigsResponse { responses: responses.collect(), ..Default::default() }
        })
    }

    /// Waits for no longer than `timeout_ms`; what takes longer may be done yet, as in Kafka.
    pub async fn delete_topics(&self, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
        let patience = millis(request.timeout_ms);
        let asked = request.clone();
        submit!(self.host, patience, DeleteTopics(request)).unwrap_or_else(|no_reply| {
            let (error_code, message) = (outcome::of_controller(no_reply).code(), Arc::from(no_reply.to_string()));
            let by_name = asked.topic_names.into_iter().map(|name| (Some(name), Default::default()));
            let states = asked.topics.into_iter().map(|topic| (topic.name, topic.topic_id));
            let responses = by_name.chain(states).map(|(name, topic_id)| DeletableTopicResult {
                name,
                topic_id,
                error_code,
                error_message: Some(Arc::clone(&message)),
                ..Default::default()
            });
            DeleteTopicsResponse { responses: responses.collect(), ..Default::default() }
        })
    }

    /// An id that no producer has had. Where there is none Kafka says COORDINATOR_LOAD_IN_PROGRESS, whatever the reason:
    /// producers ask again.
    pub async fn next_producer_id(&self) -> Result<i64, ErrorCode> {
        loop {
            if let Some(id) = self.take_producer_id() {
                return Ok(id);
            }
            let request = AllocateProducerIdsRequest {
                broker_id: self.identity.node_id.0,
                broker_epoch: self.broker_epoch(),
                ..Default::default()
            };
            let block = submit!(self.host, PATIENCE, AllocateProducerIds(request))
                .map_err(|_| ErrorCode::CoordinatorLoadInProgress)?;
            if let Some(error) = ErrorCode::from_code(block.error_code).filter(|error| *error != ErrorCode::None) {
                return Err(error);
            }
            let ids = block.producer_id_start..block.producer_id_start + i64::from(block.producer_id_len);
            self.producer_ids.lock().unwrap_or_else(PoisonError::into_inner).push_back(ids);
        }
    }

    fn take_producer_id(&self) -> Option<i64> {
        let mut blocks = self.producer_ids.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(block) = blocks.front_mut() {
            if let Some(id) = block.next() {
                return Some(id);
            }
            blocks.pop_front();
        }
        None
    }

    /// Begins a new log, and makes this start known: controller, broker, where its replicas are, then that the broker serves.
    /// Partitions are led when this returns.
    pub async fn register(&self, registration: Registration) -> Result<(), NoReply> {
        let Registration { previous_broker_epoch, cordoned, elsewhere } = registration;
        let patience = START_PATIENCE;
        let bootstrap = Bootstrap { server: self.config.clone(), records: self.host.take_first_records() };
        match self.host.submit(Command::Bootstrap(bootstrap), patience).await? {
            Reply::Bootstrap => {}
            other => panic!("the controller answered Bootstrap with {other:?}"),
        }
        submit!(self.host, patience, RegisterController(self.identity.controller_registration()))?;
        let request = BrokerRegistrationRequest { previous_broker_epoch, ..self.identity.broker_registration() };
        let registered = submit!(self.host, patience, RegisterBroker(request))?;
        assert_eq!(registered.error_code, 0, "the controller refuses the only broker there is");
        self.broker_epoch.store(registered.broker_epoch, Ordering::Relaxed);
        match self.assign(elsewhere).await {
            Ok(()) => {}
            Err(NotAssigned::NoReply(no_reply)) => return Err(no_reply),
            Err(refused) => panic!("the controller does not know the only broker there is: {refused}"),
        }
        let heartbeat = BrokerHeartbeatRequest {
            current_metadata_offset: registered.broker_epoch,
            cordoned_log_dirs: Some(cordoned),
            ..self.heartbeat()
        };
        submit!(self.host, patience, BrokerHeartbeat(heartbeat)).map(drop)
    }

    /// Waits for no longer than `timeout_ms`.
    pub async fn alter_partition_reassignments(
        &self,
        request: AlterPartitionReassignmentsRequest,
    ) -> AlterPartitionReassignmentsResponse {
        let patience = millis(request.timeout_ms);
        submit!(self.host, patience, AlterPartitionReassignments(request)).unwrap_or_else(|no_reply| {
            let error_code = outcome::of_controller(no_reply).code();
            let error_message = Some(no_reply.to_string().into());
            AlterPartitionReassignmentsResponse { error_code, error_message, ..Default::default() }
        })
    }

    /// Tells the controller in which log directory each of these replicas is.
    ///
    /// # Errors
    /// None of it is noted: it is to be told again.
    pub async fn assign(&self, replicas: Vec<(Uuid, ReplicaId)>) -> Result<(), NotAssigned> {
        if replicas.is_empty() {
            return Ok(());
        }
        let mut directories = BTreeMap::<Uuid, BTreeMap<Uuid, Vec<i32>>>::new();
        for (directory, ReplicaId { topic, index }) in replicas {
            directories.entry(directory).or_default().entry(topic).or_default().push(index);
        }
        let topic = |(topic_id, indexes): (Uuid, Vec<i32>)| {
            let partition = |partition_index| PartitionData { partition_index, ..Default::default() };
            TopicData { topic_id, partitions: indexes.into_iter().map(partition).collect(), ..Default::default() }
        };
        let directory = |(id, topics): (Uuid, BTreeMap<Uuid, Vec<i32>>)| {
            let topics = topics.into_iter().map(topic).collect();
            DirectoryData { id, topics, ..Default::default() }
        };
        let request = AssignReplicasToDirsRequest {
            broker_id: self.identity.node_id.0,
            broker_epoch: self.broker_epoch(),
            directories: directories.into_iter().map(directory).collect(),
            ..Default::default()
        };
        assigned(&submit!(self.host, PATIENCE, AssignReplicasToDirs(request))?)
    }

    /// Tells the controller which log directories have failed since the start, and which take no new replicas.
    /// Where none is left, the broker is to be fenced: it serves nothing.
    pub async fn report_directories(&self, report: Report) -> Result<(), NoReply> {
        let Report { failed, cordoned, is_any_left } = report;
        let request = BrokerHeartbeatRequest {
            want_fence: !is_any_left,
            offline_log_dirs: failed,
            cordoned_log_dirs: Some(cordoned),
            ..self.heartbeat()
        };
        submit!(self.host, PATIENCE, BrokerHeartbeat(request)).map(drop)
    }

    /// Gives up what this broker leads, and has it fenced (KIP-631).
    pub async fn shut_down(&self) -> Result<(), NoReply> {
        loop {
            let request = BrokerHeartbeatRequest { want_shut_down: true, ..self.heartbeat() };
            let reply = submit!(self.host, PATIENCE, BrokerHeartbeat(request))?;
            if reply.should_shut_down || reply.error_code != 0 {
                return Ok(());
            }
        }
    }

    fn heartbeat(&self) -> BrokerHeartbeatRequest {
        BrokerHeartbeatRequest {
            broker_id: self.identity.node_id.0,
            broker_epoch: self.broker_epoch(),
            ..Default::default()
        }
    }
}

/// What the controller is given to answer those who do not say how long they wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same for a start, which can do nothing else.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Whether the controller has taken note. What it does not want to know of one replica it will not want to know later.
fn assigned(response: &AssignReplicasToDirsResponse) -> Result<(), NotAssigned> {
    let code = |code| ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
    if code(response.error_code) != ErrorCode::None {
        return Err(NotAssigned::Refused(code(response.error_code)));
    }
    for topic in response.directories.iter().flat_map(|directory| &directory.topics) {
        for partition in &topic.partitions {
            match code(partition.error_code) {
                ErrorCode::None => {}
                // It is deleted.
                ErrorCode::UnknownTopicId | ErrorCode::UnknownTopicOrPartition => {}
                error => tracing::error!(
                    topic = %topic.topic_id, partition = partition.partition_index,
                    "the metadata do not say in which log directory the replica is: {error}"
                ),
            }
        }
    }
    Ok(())
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_controller_refuses_is_not_told() {
        let answer = |error: ErrorCode| AssignReplicasToDirsResponse { error_code: error.code(), ..Default::default() };
        assert_eq!(assigned(&answer(ErrorCode::None)), Ok(()));
        let stale = ErrorCode::StaleBrokerEpoch;
        assert_eq!(assigned(&answer(stale)), Err(NotAssigned::Refused(stale)));
    }
}
