//! Who this node is: ids that are made on the first start and kept, and where it is reached.

use std::sync::Arc;

use ottla_base::{NodeId, Uuid};
use ottla_metadata::features::FEATURES;
use ottla_wire::messages::broker_registration_request::{Feature as BrokerFeature, Listener as BrokerListener};
use ottla_wire::messages::controller_registration_request::{Feature, Listener};
use ottla_wire::messages::{BrokerRegistrationRequest, ControllerRegistrationRequest};

#[derive(Clone, Debug)]
pub struct Identity {
    pub cluster_id: Arc<str>,
    pub node_id: NodeId,
    /// Of the log directories that were opened, and that partitions may be in.
    pub log_dirs: Vec<Uuid>,
    /// Drawn at every start.
    pub incarnation_id: Uuid,
    pub rack: Option<Arc<str>>,
    /// Listeners as clients reach them.
    pub advertised: Vec<Endpoint>,
    pub controller: Vec<Endpoint>,
}

#[derive(Clone, Debug)]
pub struct Endpoint {
    pub name: Arc<str>,
    pub host: Arc<str>,
    pub port: u16,
}

/// Kafka's id of the security protocol PLAINTEXT.
const PLAINTEXT: i16 = 0;

impl Identity {
    pub fn broker_registration(&self) -> BrokerRegistrationRequest {
        let listeners = self.advertised.iter().map(|endpoint| BrokerListener {
            name: endpoint.name.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            security_protocol: PLAINTEXT,
            ..Default::default()
        });
        let features = FEATURES.iter().map(|feature| BrokerFeature {
            name: feature.name.into(),
            min_supported_version: *feature.supported.start(),
            max_supported_version: *feature.supported.end(),
            ..Default::default()
        });
        BrokerRegistrationRequest {
            broker_id: self.node_id.0,
            cluster_id: self.cluster_id.clone(),
            incarnation_id: self.incarnation_id,
            listeners: listeners.collect(),
            features: features.collect(),
            rack: self.rack.clone(),
            log_dirs: self.log_dirs.clone(),
            ..Default::default()
        }
    }

    pub fn controller_registration(&self) -> ControllerRegistrationRequest {
        let listeners = self.controller.iter().map(|endpoint| Listener {
            name: endpoint.name.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            security_protocol: PLAINTEXT,
            ..Default::default()
        });
        let features = FEATURES.iter().map(|feature| Feature {
            name: feature.name.into(),
            min_supported_version: *feature.supported.start(),
            max_supported_version: *feature.supported.end(),
            ..Default::default()
        });
        ControllerRegistrationRequest {
            controller_id: self.node_id.0,
            incarnation_id: self.incarnation_id,
            listeners: listeners.collect(),
            features: features.collect(),
            ..Default::default()
        }
    }
}
