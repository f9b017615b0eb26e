//! Controllers that have registered (KIP-919).

use std::sync::Arc;

use imbl::OrdMap;
use ottla_base::{NodeId, Uuid};
use ottla_wire::records::{ControllerEndpoint, ControllerFeature, RegisterControllerRecord};

use super::{Endpoint, SupportedLevels};
use crate::record::Record;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Controllers {
    by_id: OrdMap<NodeId, Arc<ControllerRegistration>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerRegistration {
    pub id: NodeId,
    /// Drawn by the controller at its start.
    pub incarnation_id: Uuid,
    pub endpoints: Vec<Endpoint>,
    pub features: Vec<SupportedLevels>,
}

impl Controllers {
    pub fn get(&self, id: NodeId) -> Option<&ControllerRegistration> {
        self.by_id.get(&id).map(Arc::as_ref)
    }

    pub(super) fn register(&mut self, record: &RegisterControllerRecord) {
        let controller = ControllerRegistration {
            id: NodeId(record.controller_id),
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
        };
        self.by_id.insert(controller.id, Arc::new(controller));
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.by_id.values().map(|controller| Record::RegisterController(controller.record()))
    }
}

impl ControllerRegistration {
    fn record(&self) -> RegisterControllerRecord {
        let endpoints = self.endpoints.iter().map(|e| ControllerEndpoint {
            name: e.name.clone(),
            host: e.host.clone(),
            port: e.port,
            security_protocol: e.security_protocol,
            ..Default::default()
        });
        let features = self.features.iter().map(|levels| ControllerFeature {
            name: levels.feature.clone(),
            min_supported_version: levels.min,
            max_supported_version: levels.max,
            ..Default::default()
        });
        RegisterControllerRecord {
            controller_id: self.id.0,
            incarnation_id: self.incarnation_id,
            end_points: endpoints.collect(),
            features: features.collect(),
            ..Default::default()
        }
    }
}
