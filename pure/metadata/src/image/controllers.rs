//! Controllers that have registered (KIP-919).

use std::sync::Arc;

use imbl::OrdMap;
use ottla_base::{NodeId, Uuid};
use ottla_wire::records::RegisterControllerRecord;

use super::Endpoint;

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
        };
        self.by_id.insert(controller.id, Arc::new(controller));
    }
}
