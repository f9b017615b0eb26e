//! The broker: frames in, answers out, on logs that it keeps.
//!
//! ```text
//! start, stop   the order of things at the beginning and the end
//! serve         from a frame to its handler; what a connection keeps (`Turn`)
//! api/          a file for each API key
//! partition     a log, its leader, and who waits for it
//! fetch/        fetch sessions, plans, long polls, answers
//! control/      metadata: the controller's host, and what follows from committed records
//! topics        what requests look at: image and open partitions, published together
//! flushing      the task that flushes
//! room          whether the disk has room
//! checkpoints   the task that writes down how far logs have come
//! expiry        the task that forgets idle producers
//! ```
//!
//! Decisions are made in `pure/`; here they meet the disk, the network and each other.

mod api;
mod checkpoints;
mod control;
mod ctx;
mod expiry;
mod fetch;
mod flushing;
mod identity;
mod partition;
mod produced;
mod room;
mod serve;
mod settings;
mod snapshot;
mod start;
mod stop;
mod topics;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use ottla_config::ServerConfig;
use ottla_partition::ProducerSnapshot;
use ottla_rt::{Lane, Rt, Stop};
use ottla_storage::LogDir;

use checkpoints::Checkpoints;
use control::Control;
use fetch::session::Sessions;
use flushing::Flushing;
use identity::Identity;
use partition::Partition;
use settings::Settings;
use topics::Published;

pub use start::{StartError, start};
pub use stop::{Running, StopError};

/// What handlers reach.
#[derive(Debug)]
pub struct Broker {
    pub(crate) rt: Rt,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) settings: Settings,
    pub(crate) identity: Arc<Identity>,
    pub(crate) control: Control,
    pub(crate) fetch_sessions: Sessions,
    pub(crate) flushing: Arc<Flushing>,
    pub(crate) dir: Arc<LogDir>,
    pub(crate) checkpoints: Arc<Checkpoints>,
    /// Turns true when the broker begins to stop: fetches that wait are answered.
    pub(crate) stopping: Stop,
    published: Arc<ArcSwap<Published>>,
}

impl Broker {
    pub(crate) fn published(&self) -> Guard<Arc<Published>> {
        self.published.load()
    }

    /// Writes the producers as of the beginning of a segment beside it, later: all that depends on it is how much a start
    /// after a crash has to read.
    pub(crate) fn write_snapshot(&self, partition: Arc<Partition>, snapshot: ProducerSnapshot) {
        let (rt, dir) = (self.rt.clone(), self.dir.clone());
        self.rt.spawn(Lane::Control, "snapshot", async move {
            let of = partition.clone();
            let written = rt.blocking(move || control::replicas::store_snapshot(&dir, &of, &snapshot)).await;
            if let Err(error) = written {
                tracing::warn!(topic = %partition.topic, partition = partition.index, "no producer snapshot: {error}");
            }
        });
    }
}
