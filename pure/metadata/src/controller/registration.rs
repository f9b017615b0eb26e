//! Nodes make themselves known at each start (KIP-631, KIP-919).
//!
//! A broker registers fenced, and is unfenced by a heartbeat once it is ready. If the registration it replaces was never
//! fenced, its process died without a word. The broker also says with which epoch its directories were closed; if that is
//! not the epoch we know, what it acknowledged last may be missing on its disk, and it is no eligible leader.

use std::sync::Arc;

use ottla_base::NodeId;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    BrokerRegistrationRequest, BrokerRegistrationResponse, ControllerRegistrationRequest,
    ControllerRegistrationResponse,
};
use ottla_wire::records::{
    BrokerEndpoint, BrokerFeature, ControllerEndpoint, ControllerFeature, RegisterBrokerRecord,
    RegisterControllerRecord,
};

use super::{Step, leadership};
use crate::{Broker, Record};

pub(super) fn register_controller(
    step: &mut Step<'_>,
    request: ControllerRegistrationRequest,
) -> ControllerRegistrationResponse {
    let endpoints = request.listeners.into_iter().map(|listener| ControllerEndpoint {
        name: listener.name,
        host: listener.host,
        port: listener.port,
        security_protocol: listener.security_protocol,
        ..Default::default()
    });
    let features = request.features.into_iter().map(|feature| ControllerFeature {
        name: feature.name,
        min_supported_version: feature.min_supported_version,
        max_supported_version: feature.max_supported_version,
        ..Default::default()
    });
    step.log.write(Record::RegisterController(RegisterControllerRecord {
        controller_id: request.controller_id,
        incarnation_id: request.incarnation_id,
        zk_migration_ready: request.zk_migration_ready,
        end_points: endpoints.collect(),
        features: features.collect(),
        ..Default::default()
    }));
    ControllerRegistrationResponse { error_message: None, ..Default::default() }
}

pub(super) fn register_broker(step: &mut Step<'_>, request: BrokerRegistrationRequest) -> BrokerRegistrationResponse {
    let id = NodeId(request.broker_id);
    if step.log.brokers().iter().any(|other| other.id != id) {
        let error_code = ErrorCode::DuplicateBrokerRegistration.code();
        return BrokerRegistrationResponse { error_code, ..Default::default() };
    }
    if let Some(before) = step.log.brokers().get(id).cloned() {
        if !before.fenced {
            leadership::fence(step, &before);
        }
        if before.epoch != request.previous_broker_epoch {
            leadership::distrust(step, before.id);
        }
    }
    let endpoints = request.listeners.into_iter().map(|listener| BrokerEndpoint {
        name: listener.name,
        host: listener.host,
        port: listener.port,
        security_protocol: listener.security_protocol,
        ..Default::default()
    });
    let features = request.features.into_iter().map(|feature| BrokerFeature {
        name: feature.name,
        min_supported_version: feature.min_supported_version,
        max_supported_version: feature.max_supported_version,
        ..Default::default()
    });
    let broker_epoch = step.log.next_offset();
    step.log.write(Record::RegisterBroker(RegisterBrokerRecord {
        broker_id: request.broker_id,
        incarnation_id: request.incarnation_id,
        broker_epoch,
        end_points: endpoints.collect(),
        features: features.collect(),
        rack: request.rack,
        fenced: true,
        log_dirs: request.log_dirs,
        ..Default::default()
    }));
    BrokerRegistrationResponse { broker_epoch, ..Default::default() }
}

/// The broker, if `epoch` is that of its last start.
pub(super) fn current(step: &Step<'_>, id: NodeId, epoch: i64) -> Result<Arc<Broker>, ErrorCode> {
    let broker = step.log.brokers().get(id).ok_or(ErrorCode::BrokerIdNotRegistered)?;
    if broker.epoch == epoch { Ok(broker.clone()) } else { Err(ErrorCode::StaleBrokerEpoch) }
}
