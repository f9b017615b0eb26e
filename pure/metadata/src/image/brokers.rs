//! Brokers that have registered, and whether they may serve.

use std::sync::Arc;

use imbl::OrdMap;
use ottla_base::{NodeId, Uuid};
use ottla_wire::records::{
    BrokerEndpoint, BrokerFeature, BrokerRegistrationChangeRecord, RegisterBrokerRecord, UnregisterBrokerRecord,
};

use super::{Contradiction, SupportedLevels};
use crate::record::Record;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Brokers {
    by_id: OrdMap<NodeId, Arc<Broker>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub id: NodeId,
    /// Offset of the record by which it registered; every start has another.
    pub epoch: i64,
    /// Drawn by the broker at its start.
    pub incarnation_id: Uuid,
    pub endpoints: Vec<Endpoint>,
    pub features: Vec<SupportedLevels>,
    pub rack: Option<Arc<str>>,
    /// A fenced broker leads nothing and is in no ISR.
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    pub log_dirs: Vec<Uuid>,
    /// Log directories that take no new replicas (KIP-1066); `None` until the broker has said.
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
}

/// Where a listener of a node is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name.
    pub name: Arc<str>,
    pub host: Arc<str>,
    pub port: u16,
    /// Kafka's id of the protocol; 0 is PLAINTEXT.
    pub security_protocol: i16,
}

impl Brokers {
    pub fn get(&self, id: NodeId) -> Option<&Arc<Broker>> {
        self.by_id.get(&id)
    }

    /// All registered brokers in order of id, fenced ones too.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Broker>> {
        self.by_id.values()
    }

    pub(super) fn register(&mut self, record: &RegisterBrokerRecord) {
        let broker = Broker {
            id: NodeId(record.broker_id),
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            endpoints: record
                .end_points
                .iter()
                .map(|e| Endpoint {
                    name: e.name.clone(),
                    host: e.host.clone(),
                    port: e.port,
                    security_protocol: e.security_protocol,
                })
                .collect(),
            features: record
                .features
                .iter()
                .map(|f| SupportedLevels {
                    feature: f.name.clone(),
                    min: f.min_supported_version,
                    max: f.max_supported_version,
                })
                .collect(),
            rack: record.rack.clone(),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_dirs: record.log_dirs.clone(),
            cordoned_log_dirs: record.cordoned_log_dirs.clone(),
        };
        self.by_id.insert(broker.id, Arc::new(broker));
    }

    pub(super) fn unregister(&mut self, record: &UnregisterBrokerRecord) -> Result<(), Contradiction> {
        self.registered(record.broker_id, record.broker_epoch)?;
        self.by_id.remove(&NodeId(record.broker_id));
        Ok(())
    }

    pub(super) fn change(&mut self, record: &BrokerRegistrationChangeRecord) -> Result<(), Contradiction> {
        let broker = Arc::make_mut(self.registered(record.broker_id, record.broker_epoch)?);
        match record.fenced {
            1 => broker.fenced = true,
            -1 => broker.fenced = false,
            _ => {}
        }
        if record.in_controlled_shutdown == 1 {
            broker.in_controlled_shutdown = true;
        }
        if !record.log_dirs.is_empty() {
            broker.log_dirs.clone_from(&record.log_dirs);
        }
        if record.cordoned_log_dirs.is_some() {
            broker.cordoned_log_dirs.clone_from(&record.cordoned_log_dirs);
        }
        Ok(())
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.by_id.values().map(|broker| Record::RegisterBroker(broker.record()))
    }

    fn registered(&mut self, id: i32, epoch: i64) -> Result<&mut Arc<Broker>, Contradiction> {
        let broker = NodeId(id);
        let found = self.by_id.get_mut(&broker).filter(|found| found.epoch == epoch);
        found.ok_or(Contradiction::NoBroker { broker, epoch })
    }
}

/// Kafka's id of a directory that was given up: nothing is in it.
const LOST: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/// Ids up to this one name no directory, but say what is known of it (KIP-858).
const RESERVED: u128 = 99;

/// Whether this is the id of a log directory, and not one that says what is known of it.
pub fn is_directory(id: Uuid) -> bool {
    u128::from_be_bytes(id.0) > RESERVED
}

impl Broker {
    /// Whether a replica that is in this log directory can be served. One that is in none yet can.
    pub fn has_online(&self, directory: Uuid) -> bool {
        let is_known = self.log_dirs.is_empty() || self.log_dirs.contains(&directory);
        is_known || !is_directory(directory) && directory != LOST
    }

    /// Whether new replicas can be put here and led from here.
    pub fn is_usable(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    fn record(&self) -> RegisterBrokerRecord {
        let endpoints = self.endpoints.iter().map(|e| BrokerEndpoint {
            name: e.name.clone(),
            host: e.host.clone(),
            port: e.port,
            security_protocol: e.security_protocol,
            ..Default::default()
        });
        let features = self.features.iter().map(|levels| BrokerFeature {
            name: levels.feature.clone(),
            min_supported_version: levels.min,
            max_supported_version: levels.max,
            ..Default::default()
        });
        RegisterBrokerRecord {
            broker_id: self.id.0,
            incarnation_id: self.incarnation_id,
            broker_epoch: self.epoch,
            end_points: endpoints.collect(),
            features: features.collect(),
            rack: self.rack.clone(),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_dirs: self.log_dirs.clone(),
            cordoned_log_dirs: self.cordoned_log_dirs.clone(),
            ..Default::default()
        }
    }
}
