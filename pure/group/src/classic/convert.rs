//! A classic group ends, or begins, as its members change the protocol ([`crate::migrate`]).

use std::sync::Arc;

use bytes::Bytes;
use ottla_wire::ErrorCode;

use super::roster::Protocol;
use super::{Group, begin, join, take};
use crate::groups::{Step, Timer};
use crate::history::What;

/// What there is to know of a member.
pub(crate) struct Leaving {
    pub(crate) id: Arc<str>,
    pub(crate) instance_id: Option<Arc<str>>,
    pub(crate) client_id: Arc<str>,
    pub(crate) client_host: Arc<str>,
    pub(crate) session_timeout_ms: i32,
    pub(crate) rebalance_timeout_ms: i32,
    /// The names of its protocols, in the order of its preference, and what it says for each.
    pub(crate) protocols: Vec<(Arc<str>, Bytes)>,
    /// What it says for the protocol of the generation, or for the one that it prefers if there is none yet.
    pub(crate) said: Bytes,
    pub(crate) assignment: Bytes,
}

impl Group {
    pub(crate) fn members_count(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn leaving(&self) -> Vec<Leaving> {
        let members = self.members.iter().map(|member| {
            let protocols = member.protocols().iter();
            let protocols: Vec<_> = protocols.map(|known| (known.name.clone(), known.metadata.clone())).collect();
            let said = match &self.protocol {
                Some(protocol) => member.metadata(protocol),
                None => protocols.first().map(|(_, said)| said.clone()).unwrap_or_default(),
            };
            Leaving {
                id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                session_timeout_ms: member.session_timeout_ms,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                protocols,
                said,
                assignment: member.assignment.clone(),
            }
        });
        members.collect()
    }
}

/// Ends what is in memory of a group. Who waits for something is told to join again.
pub(crate) fn dissolve(step: &mut Step<'_>, id: &Arc<str>) {
    let Some(mut group) = take(step, id) else { return };
    step.soft.history.overtaken(id);
    for member_id in group.members.ids() {
        if let Some(waiter) = group.members.joined(&member_id) {
            join::refuse(step, waiter, ErrorCode::RebalanceInProgress, member_id.clone());
        }
        step.soft.timers.cancel(&Timer::Session(id.clone(), member_id));
    }
    group.answer_syncs(step, ErrorCode::RebalanceInProgress);
    for member_id in group.members.ids().into_iter().chain(std::mem::take(&mut group.pending).into_ids()) {
        step.soft.timers.cancel(&Timer::Session(id.clone(), member_id));
    }
    step.soft.timers.cancel(&Timer::Join(id.clone()));
    step.soft.timers.cancel(&Timer::Sync(id.clone()));
}

/// Brings to life a group of which the record was just written, by member with the protocols that it knows.
pub(crate) fn revive<'a>(
    step: &mut Step<'_>,
    id: &Arc<str>,
    known: impl IntoIterator<Item = (&'a Arc<str>, Vec<(Arc<str>, Bytes)>)>,
) {
    let Some(mut group) = take(step, id) else { return };
    for (member_id, protocols) in known {
        let protocols = protocols.into_iter().map(|(name, metadata)| Protocol { name, metadata });
        group.members.learn(member_id, protocols.collect());
    }
    begin(step, group, What::Downgraded);
}
