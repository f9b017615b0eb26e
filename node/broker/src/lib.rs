//! The broker: frames in, answers out, on logs that it keeps.
//!
//! ```text
//! start, stop   the order of things at the beginning and the end
//! listening     the listeners, which may come and go
//! serve         from a frame to its handler; what a connection keeps (`Turn`)
//! api/          a file for each API key
//! partition     a log, its leader, and who waits for it
//! fetch/        fetch sessions, plans, long polls, answers
//! control/      metadata: the controller's host, and what follows from committed records
//! coordinate/   coordinators: groups of consumers, on the partitions of an internal topic
//! topics        what requests look at: image and open partitions, published together
//! metrics/      what is counted, and what Prometheus is told of it
//! web/          metrics and health over HTTP
//! directory     the log directories
//! loggers       of which part how much is logged
//! flushing      the task that flushes
//! appended      what an append leaves to be done
//! repacking     how many batches are packed anew at once
//! reading       a log from start to end, record by record
//! room          whether the disk has room
//! checkpoints   the task that writes down how far logs have come
//! upkeep/       what becomes of old records: retention, compaction
//! expiry        the task that forgets idle producers
//! topic_settings   what a topic's configuration asks of its partitions
//! ```
//!
//! Decisions are made in `pure/`; here they meet the disk, the network and each other.

mod api;
mod appended;
mod checkpoints;
mod control;
mod coordinate;
mod ctx;
mod directory;
mod expiry;
mod fetch;
mod flushing;
mod identity;
mod listening;
mod loggers;
mod metrics;
mod partition;
mod produced;
mod reading;
mod repacking;
mod room;
mod serve;
mod settings;
mod snapshot;
mod start;
mod stop;
mod topic_settings;
mod topics;
mod transactions;
mod upkeep;
mod web;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use ottla_config::ServerConfig;
use ottla_rt::{Rt, Stop};

use appended::Appended;
use control::Control;
use coordinate::groups::Groups;
use directory::Directories;
use fetch::session::Sessions;
use identity::Identity;
use listening::Listeners;
use metrics::Metrics;
use repacking::Repacking;
use settings::Settings;
use topics::Published;
use upkeep::moving::Moving;
use upkeep::trimming::Trimming;

pub use loggers::{Level, Levels, Logger, Loggers, ROOT};
pub use start::{StartError, start};
pub use stop::{Running, StopError};

/// What handlers reach.
#[derive(Debug)]
pub struct Broker {
    pub(crate) rt: Rt,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) settings: Settings,
    pub(crate) identity: Arc<Identity>,
    pub(crate) loggers: Arc<Loggers>,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) control: Arc<Control>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) fetch_sessions: Sessions,
    pub(crate) appended: Appended,
    pub(crate) directories: Arc<Directories>,
    pub(crate) trimming: Trimming,
    pub(crate) moving: Arc<Moving>,
    pub(crate) repacking: Arc<Repacking>,
    pub(crate) metrics: Arc<Metrics>,
    /// Turns true when the broker begins to stop: fetches that wait are answered.
    pub(crate) stopping: Stop,
    published: Arc<ArcSwap<Published>>,
}

impl Broker {
    pub(crate) fn published(&self) -> Guard<Arc<Published>> {
        self.published.load()
    }
}
