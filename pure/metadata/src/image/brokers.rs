//! Brokers that have registered, and whether they may serve.

use std::sync::Arc;

use imbl::OrdMap;
use ottla_base::{NodeId, Uuid};
use ottla_wire::records::{BrokerRegistrationChangeRecord, RegisterBrokerRecord};

use super::Contradiction;

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
            rack: record.rack.clone(),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_dirs: record.log_dirs.clone(),
            cordoned_log_dirs: record.cordoned_log_dirs.clone(),
        };
        self.by_id.insert(broker.id, Arc::new(broker));
    }

    pub(super) fn change(&mut self, record: &BrokerRegistrationChangeRecord) -> Result<(), Contradiction> {
        let unknown = Contradiction::NoBroker { broker: NodeId(record.broker_id), epoch: record.broker_epoch };
        let broker = self.by_id.get_mut(&NodeId(record.broker_id)).ok_or_else(|| unknown.clone())?;
        if broker.epoch != record.broker_epoch {
            return Err(unknown);
        }
        let broker = Arc::make_mut(broker);
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
}

/// Kafka's id of a directory that was given up: nothing is in it.
const LOST: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/// Ids up to this one name no directory, but say what is known of it (KIP-858).
const RESERVED: u128 = 99;

impl Broker {
    /// Whether a replica that is in this log directory can be served. One that is in none yet can.
    pub fn has_online(&self, directory: Uuid) -> bool {
        let is_known = self.log_dirs.is_empty() || self.log_dirs.contains(&directory);
        is_known || u128::from_be_bytes(directory.0) <= RESERVED && directory != LOST
    }

    /// Whether new replicas can be put here and led from here.
    pub fn is_usable(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }
}
