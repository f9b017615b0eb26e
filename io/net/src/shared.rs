//! What all connections of a process share, whichever listener they came by.

use std::sync::Arc;

use ottla_rt::Rt;

use crate::budget::Budget;
use crate::limits::Connections;
use crate::pool::Pool;
use crate::{ConnectionLimits, Limits};

/// Made once for a process, and given to each of its listeners.
#[derive(Debug)]
pub struct Shared {
    pub(crate) rt: Rt,
    pub(crate) limits: Limits,
    pub(crate) connections: Connections,
    pub(crate) budget: Budget,
    pub(crate) pool: Pool,
}

impl Shared {
    /// `queued_bytes_max` is `queued.max.request.bytes`.
    pub fn new(rt: Rt, limits: Limits, queued_bytes_max: usize) -> Arc<Shared> {
        let (connections, budget) = (Connections::new(limits.connections.clone()), Budget::new(queued_bytes_max));
        Arc::new(Shared { rt, limits, connections, budget, pool: Pool::default() })
    }

    /// Other limits hold from now on. Connections that are there stay.
    pub fn set_connection_limits(&self, limits: ConnectionLimits) {
        self.connections.set_limits(limits);
    }

    /// Of `queued.max.request.bytes`, what large frames have taken, and what is free.
    pub fn queued_bytes_and_free(&self) -> (usize, usize) {
        self.budget.taken_and_free()
    }

    /// Milliseconds in which large frames have waited because others had taken all of that.
    pub fn depleted_ms(&self) -> i64 {
        self.budget.depleted_ms(&self.rt)
    }

    /// When a connection is idle of which nothing was seen since then.
    pub(crate) fn idle_from_ms(&self, active_ms: i64) -> i64 {
        let idle_ms = i64::try_from(self.limits.idle_max.as_millis()).unwrap_or(i64::MAX);
        // Not at once, or whoever looks at it would do so without end.
        active_ms.saturating_add(idle_ms.max(1))
    }
}
