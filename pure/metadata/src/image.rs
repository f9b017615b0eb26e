//! The cluster as the metadata log says it is.
//!
//! Every request reads the cluster's state while a record may be changing it. A lock would make all requests wait for one;
//! a copy for each change would cost more with each topic. The maps here are persistent: a copy of the image costs a few
//! pointers and shares everything with the original, so whoever applies records gives out copies between them, and a
//! reader keeps the one it has.
//!
//! An image changes by [`Image::apply`] alone. Each area of it is a file, with the records that it takes.

mod brokers;
mod configs;
mod controllers;
mod features;
mod partition;
mod producer_ids;
mod topics;

pub use brokers::{Broker, Brokers, Endpoint};
pub use configs::{ConfigResource, Configs};
pub use controllers::{ControllerRegistration, Controllers};
pub use features::Features;
pub use partition::{LeaderRecovery, Partition};
pub use producer_ids::ProducerIds;
pub use topics::{Topic, Topics};

use ottla_base::{NodeId, Uuid};
use ottla_machine::At;

use crate::Record;

/// The cluster at one offset of its log. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    offset: i64,
    topics: Topics,
    configs: Configs,
    brokers: Brokers,
    controllers: Controllers,
    features: Features,
    producer_ids: ProducerIds,
}

impl Image {
    /// Makes one committed record true. Records come in the order of the log, without gaps but for control records.
    ///
    /// # Errors
    /// If the log contradicts itself. The image is as it was before the record.
    pub fn apply(&mut self, at: At, record: &Record) -> Result<(), ApplyError> {
        self.change(record).map_err(|why| ApplyError { offset: at.offset, why })?;
        self.offset = at.offset;
        Ok(())
    }

    fn change(&mut self, record: &Record) -> Result<(), Contradiction> {
        match record {
            Record::Topic(record) => self.topics.create(record),
            Record::Partition(record) => self.topics.create_partition(record),
            Record::PartitionChange(record) => self.topics.change_partition(record),
            Record::ClearElr(record) => self.topics.clear_eligible_leaders(record),
            Record::RemoveTopic(record) => {
                let name = self.topics.remove(record)?;
                self.configs.remove_topic(&name);
                Ok(())
            }
            Record::Config { resource, key, value } => {
                self.configs.set(resource, key, value.as_ref());
                Ok(())
            }
            Record::RegisterBroker(record) => {
                self.brokers.register(record);
                Ok(())
            }
            Record::BrokerRegistrationChange(record) => self.brokers.change(record),
            Record::RegisterController(record) => {
                self.controllers.register(record);
                Ok(())
            }
            Record::FeatureLevel(record) => {
                self.features.finalise(record);
                Ok(())
            }
            Record::ProducerIds(record) => {
                self.producer_ids.allocate(record);
                Ok(())
            }
            // A bootstrap transaction is one batch, so it is atomic without our help.
            Record::BeginTransaction(_) | Record::EndTransaction(_) | Record::NoOp(_) => Ok(()),
        }
    }

    /// Offset of the last record applied, -1 before the first.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    pub fn configs(&self) -> &Configs {
        &self.configs
    }

    pub fn brokers(&self) -> &Brokers {
        &self.brokers
    }

    pub fn controllers(&self) -> &Controllers {
        &self.controllers
    }

    pub fn features(&self) -> &Features {
        &self.features
    }

    pub fn producer_ids(&self) -> &ProducerIds {
        &self.producer_ids
    }
}

impl Default for Image {
    fn default() -> Self {
        Image {
            offset: -1,
            topics: Topics::default(),
            configs: Configs::default(),
            brokers: Brokers::default(),
            controllers: Controllers::default(),
            features: Features::default(),
            producer_ids: ProducerIds::default(),
        }
    }
}

/// A record that cannot be true after those before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metadata log contradicts itself at offset {offset}: {why}")]
pub struct ApplyError {
    pub offset: i64,
    pub why: Contradiction,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    #[error("topic {0} is created, but its name or id is taken")]
    TopicExists(String),
    #[error("there is no topic {0}")]
    NoTopic(String),
    #[error("there is no partition {partition} of topic {topic}")]
    NoPartition { topic: Uuid, partition: i32 },
    #[error("broker {broker} is not registered with epoch {epoch}")]
    NoBroker { broker: NodeId, epoch: i64 },
}

#[cfg(test)]
mod tests;
