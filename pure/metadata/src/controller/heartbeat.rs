//! A broker says how it is and learns whether it may serve, or stop (KIP-631).
//!
//! A new registration is fenced: the broker is known but leads nothing. Once it has opened its logs and read the metadata
//! up to its own registration, it is unfenced. To stop it asks twice: the first time it gives up what it leads, the second
//! time, with nothing left to lead, it is fenced and may go.

use std::sync::Arc;

use ottla_base::{NodeId, Uuid};
use ottla_wire::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use ottla_wire::records::BrokerRegistrationChangeRecord;

use super::leadership::{self, registration_change};
use super::{Step, directories, registration};
use crate::{Broker, Record};

pub(super) fn decide(step: &mut Step<'_>, request: BrokerHeartbeatRequest) -> BrokerHeartbeatResponse {
    let id = NodeId(request.broker_id);
    let broker = match registration::current(step, id, request.broker_epoch) {
        Ok(broker) => broker,
        Err(code) => return BrokerHeartbeatResponse { error_code: code.code(), ..Default::default() },
    };
    let is_caught_up = request.current_metadata_offset >= broker.epoch;
    cordon(step, &broker, request.cordoned_log_dirs);
    directories::fail(step, &broker, &request.offline_log_dirs);

    let mut should_shut_down = false;
    if request.want_shut_down {
        should_shut_down = shut_down(step, &broker);
    } else if request.want_fence {
        if !broker.fenced {
            leadership::fence(step, &broker);
        }
    } else if broker.fenced && is_caught_up {
        unfence(step, &broker);
    }
    let is_fenced = step.log.brokers().get(id).is_none_or(|broker| broker.fenced);
    BrokerHeartbeatResponse { is_caught_up, is_fenced, should_shut_down, ..Default::default() }
}

/// Notes which log directories take no new replicas, if the broker says anything new.
fn cordon(step: &mut Step<'_>, broker: &Broker, cordoned_log_dirs: Option<Vec<Uuid>>) {
    if cordoned_log_dirs.is_some() && cordoned_log_dirs != broker.cordoned_log_dirs {
        let change = BrokerRegistrationChangeRecord { cordoned_log_dirs, ..registration_change(broker) };
        step.log.write(Record::BrokerRegistrationChange(change));
    }
}

fn unfence(step: &mut Step<'_>, broker: &Arc<Broker>) {
    let change = BrokerRegistrationChangeRecord { fenced: -1, ..registration_change(broker) };
    step.log.write(Record::BrokerRegistrationChange(change));
    leadership::elect(step, broker.id);
}

/// Whether the broker may stop now; if not, it leads nothing from now on and asks again.
fn shut_down(step: &mut Step<'_>, broker: &Arc<Broker>) -> bool {
    if leadership::leads_any(&step.log, broker.id) {
        let change = BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..registration_change(broker) };
        step.log.write(Record::BrokerRegistrationChange(change));
        leadership::resign(step, broker.id);
        return false;
    }
    if !broker.fenced {
        leadership::fence(step, broker);
    }
    true
}
