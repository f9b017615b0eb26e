//! Decides every change of the cluster's metadata.
//!
//! Commands are the requests that brokers and clients send to Kafka's controller, so that it does not matter where one
//! comes from: today from the same process, later from another node. A decision reads the [`Image`] and writes records;
//! which records, and in which order, is what Kafka 4.3 writes, since its tools and nodes read our log.
//!
//! A node that starts sends `Bootstrap`, `RegisterController`, `RegisterBroker`, and, with its logs open, a
//! `BrokerHeartbeat`, which makes it lead. To stop it sends heartbeats with `want_shut_down` until the answer says
//! `should_shut_down`.
//!
//! One concern, one file. Nothing here checks who may do a thing: whoever submits a command has done that.

mod alter_configs;
mod altered;
mod bootstrap;
mod config_operations;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod directories;
mod heartbeat;
mod incremental_alter_configs;
mod internal_topics;
mod leadership;
mod placement;
mod producer_ids;
mod reassignments;
mod registration;
mod topic_configs;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::mem;
use std::ops::Deref;
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_machine::{At, Machine, Waiter};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, AlterConfigsResponse, AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse, AssignReplicasToDirsRequest, AssignReplicasToDirsResponse,
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse,
    ControllerRegistrationRequest, ControllerRegistrationResponse, CreatableTopicResult, CreatePartitionsRequest,
    CreatePartitionsResponse, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    IncrementalAlterConfigsResponse,
};

use crate::{Image, Record, topic_name};

pub use alter_configs::AlterConfigs;
pub use bootstrap::Bootstrap;
pub use create_topics::CreateTopics;
pub use incremental_alter_configs::IncrementalAlterConfigs;
pub use internal_topics::CreateInternalTopic;

/// Most records that a request of a client may cause, as in Kafka.
const RECORDS_MAX: usize = 10_000;

/// The config that eligible leader replicas depend on.
const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// The machine of the metadata log.
#[derive(Debug)]
pub enum Controller {}

/// One decision of the controller.
type Step<'a> = ottla_machine::Step<'a, Controller>;

#[derive(Clone, Debug)]
pub enum Command {
    /// The first after the log has been loaded.
    Bootstrap(Bootstrap),
    RegisterController(ControllerRegistrationRequest),
    RegisterBroker(BrokerRegistrationRequest),
    BrokerHeartbeat(BrokerHeartbeatRequest),
    AllocateProducerIds(AllocateProducerIdsRequest),
    CreateTopics(CreateTopics),
    CreateInternalTopic(CreateInternalTopic),
    CreatePartitions(CreatePartitionsRequest),
    DeleteTopics(DeleteTopicsRequest),
    AlterConfigs(AlterConfigs),
    IncrementalAlterConfigs(IncrementalAlterConfigs),
    AssignReplicasToDirs(AssignReplicasToDirsRequest),
    AlterPartitionReassignments(AlterPartitionReassignmentsRequest),
}

/// To each command its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Bootstrap,
    RegisterController(ControllerRegistrationResponse),
    RegisterBroker(BrokerRegistrationResponse),
    BrokerHeartbeat(BrokerHeartbeatResponse),
    AllocateProducerIds(AllocateProducerIdsResponse),
    CreateTopics(CreateTopicsResponse),
    CreateInternalTopic(CreatableTopicResult),
    CreatePartitions(CreatePartitionsResponse),
    DeleteTopics(DeleteTopicsResponse),
    AlterConfigs(AlterConfigsResponse),
    IncrementalAlterConfigs(IncrementalAlterConfigsResponse),
    AssignReplicasToDirs(AssignReplicasToDirsResponse),
    AlterPartitionReassignments(AlterPartitionReassignmentsResponse),
}

/// The image, and what only the controller needs to find in it. Reads as the image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    image: Image,
    /// Topics whose names can collide with others, behind what colliding names have in common.
    colliding: BTreeSet<(String, Arc<str>)>,
}

impl Deref for State {
    type Target = Image;

    fn deref(&self) -> &Image {
        &self.image
    }
}

impl Machine for Controller {
    type Hard = State;
    type Soft = ();
    type Command = Command;
    type Record = Record;
    type Reply = Reply;
    /// Brokers act on the records, not on effects.
    type Effect = Infallible;

    fn decide(step: &mut Step<'_>, asker: Waiter, command: Command) {
        let reply = match command {
            Command::Bootstrap(command) => {
                bootstrap::decide(step, command);
                Reply::Bootstrap
            }
            Command::RegisterController(request) => {
                Reply::RegisterController(registration::register_controller(step, request))
            }
            Command::RegisterBroker(request) => Reply::RegisterBroker(registration::register_broker(step, request)),
            Command::BrokerHeartbeat(request) => Reply::BrokerHeartbeat(heartbeat::decide(step, request)),
            Command::AllocateProducerIds(request) => Reply::AllocateProducerIds(producer_ids::decide(step, request)),
            Command::CreateTopics(command) => Reply::CreateTopics(create_topics::decide(step, command)),
            Command::CreateInternalTopic(command) => Reply::CreateInternalTopic(internal_topics::decide(step, command)),
            Command::CreatePartitions(request) => Reply::CreatePartitions(create_partitions::decide(step, request)),
            Command::DeleteTopics(request) => Reply::DeleteTopics(delete_topics::decide(step, request)),
            Command::AlterConfigs(command) => Reply::AlterConfigs(alter_configs::decide(step, command)),
            Command::IncrementalAlterConfigs(command) => {
                Reply::IncrementalAlterConfigs(incremental_alter_configs::decide(step, command))
            }
            Command::AssignReplicasToDirs(request) => Reply::AssignReplicasToDirs(directories::assign(step, request)),
            Command::AlterPartitionReassignments(request) => {
                Reply::AlterPartitionReassignments(reassignments::decide(step, request))
            }
        };
        step.reply(asker, reply);
    }

    /// # Panics
    /// If the log contradicts itself. A node applies its log to its own image first, and does not get here with such a log.
    fn replay(state: &mut State, at: At, record: &Record) {
        match record {
            Record::Topic(topic) => state.index(&topic.name),
            Record::RemoveTopic(topic) => state.unindex(&topic.topic_id),
            _ => {}
        }
        if let Err(error) = state.image.apply(at, record) {
            panic!("{error}");
        }
        if let Record::AbortTransaction(_) = record {
            *state = State::of(mem::take(&mut state.image));
        }
    }
}

impl State {
    /// The state of a controller that has read all that made this image.
    pub fn of(image: Image) -> State {
        let mut state = State { image: image.clone(), colliding: BTreeSet::new() };
        image.topics().iter().for_each(|topic| state.index(&topic.name));
        state
    }

    /// A topic whose name collides with `name`, which is not the name of a topic itself.
    fn collision(&self, name: &str) -> Option<&Arc<str>> {
        let key = topic_name::collision_key(name)?;
        let (other, topic) = self.colliding.range((key.clone(), Arc::default())..).next()?;
        (*other == key).then_some(topic)
    }

    fn index(&mut self, name: &Arc<str>) {
        if let Some(key) = topic_name::collision_key(name) {
            self.colliding.insert((key, name.clone()));
        }
    }

    fn unindex(&mut self, id: &Uuid) {
        let name = self.image.topics().get_by_id(id).map(|topic| topic.name.clone());
        if let Some(name) = name
            && let Some(key) = topic_name::collision_key(&name)
        {
            self.colliding.remove(&(key, name));
        }
    }
}

/// Why a request, or one topic of it, is refused. The text is for the client.
#[derive(Debug)]
struct Refusal {
    code: ErrorCode,
    message: String,
}

fn refuse<T>(code: ErrorCode, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, message: message.into() })
}
