//! The cluster as the metadata log says it is.
//!
//! Every request reads the cluster's state while a record may be changing it. A lock would make all requests wait for one;
//! a copy for each change would cost more with each topic. The maps here are persistent: a copy of the image costs a few
//! pointers and shares everything with the original, so whoever applies records gives out copies between them, and a
//! reader keeps the one it has.
//!
//! An image changes by [`Image::apply`] alone. Each area of it is a file, with the records that it takes, and those that
//! would make it what it is ([`Image::records`]): a snapshot.
//!
//! The records between BEGIN_TRANSACTION and END_TRANSACTION (KIP-868) are one change, and none if an ABORT_TRANSACTION
//! stands in the place of the end. The image as it was at the beginning is kept aside, which costs nothing.

mod brokers;
mod configs;
mod controllers;
mod features;
mod kept;
mod partition;
mod producer_ids;
mod topics;

pub use brokers::{Broker, Brokers, Endpoint, is_directory};
pub use configs::{ConfigResource, Configs};
pub use controllers::{ControllerRegistration, Controllers};
pub use features::{Features, SupportedLevels};
pub use kept::{Kept, KeptRecord};
pub use partition::{LeaderRecovery, Partition};
pub use producer_ids::ProducerIds;
pub use topics::{Topic, Topics};

use std::sync::Arc;

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
    kept: Kept,
    /// As it was before the transaction that is open.
    before: Option<Arc<Image>>,
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
            Record::UnregisterBroker(record) => self.brokers.unregister(record),
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
            Record::Kept(record) => {
                self.kept.change(record);
                Ok(())
            }
            Record::BeginTransaction(_) => {
                if self.before.is_some() {
                    return Err(Contradiction::TransactionOpen);
                }
                self.before = Some(Arc::new(self.clone()));
                Ok(())
            }
            Record::EndTransaction(_) => self.take_before().map(drop),
            Record::AbortTransaction(_) => {
                *self = Arc::unwrap_or_clone(self.take_before()?);
                Ok(())
            }
            Record::NoOp(_) => Ok(()),
        }
    }

    fn take_before(&mut self) -> Result<Arc<Image>, Contradiction> {
        self.before.take().ok_or(Contradiction::NoTransaction)
    }

    /// The records that make an empty image what this one is, in the order in which Kafka writes them into a snapshot.
    ///
    /// # Panics
    /// In a transaction: nobody knows yet what will be true of it.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        assert!(!self.is_in_transaction(), "no snapshot is made in the middle of a transaction");
        let features = self.features.records();
        let nodes = self.brokers.records().chain(self.controllers.records());
        let named = self.topics.records().chain(self.configs.records());
        let others = self.kept.quota_records().chain(self.producer_ids.records()).chain(self.kept.security_records());
        features.chain(nodes).chain(named).chain(others)
    }

    /// A transaction has begun, and has not ended.
    pub fn is_in_transaction(&self) -> bool {
        self.before.is_some()
    }

    /// What is true whatever becomes of a transaction that is open.
    pub fn settled(&self) -> &Image {
        self.before.as_deref().unwrap_or(self)
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

    pub fn kept(&self) -> &Kept {
        &self.kept
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
            kept: Kept::default(),
            before: None,
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
    #[error("a transaction begins in the middle of another")]
    TransactionOpen,
    #[error("a transaction ends that has not begun")]
    NoTransaction,
}

#[cfg(test)]
mod tests;
