//! What the broker counts, and what it tells of it.
//!
//! ```text
//! topics         what goes through topics: held by their partitions
//! requests       what becomes of requests: held by the connections, through the table of APIs
//! coordinators   how long the coordinators of groups take
//! metadata       what becomes of metadata: held by the controller's host
//! measure        values of which quantiles are told
//! software       with what clients have connected
//! compaction     what compaction tells of itself
//! scrape/        the text that Prometheus gets, a file for each theme, and its names, kinds, labels and help, generated from
//!                schema/metrics.tsv
//! ```

pub mod compaction;
pub mod coordinators;
pub mod measure;
pub mod metadata;
pub mod requests;
pub mod scrape;
pub mod software;
pub mod topics;

use std::sync::Arc;

use ottla_observe::{Counter, Level};

use compaction::Compaction;
use coordinators::Coordinators;
use measure::Measure;
use requests::Requests;
use software::Software;
use topics::Topics;

#[derive(Debug, Default)]
pub struct Metrics {
    pub requests: Requests,
    pub topics: Topics,
    pub compaction: Compaction,
    pub software: Software,
    pub coordinators: Arc<Coordinators>,
    /// How often a partition could not be opened that this broker is to serve.
    pub failed_opens: Counter,
    /// Microseconds that it takes to sync a log.
    pub flushes_us: Measure,
    /// Fetches that wait for records.
    pub waiting_fetches: Level,
    /// Produce requests that wait for their records to be kept.
    pub waiting_produces: Level,
    /// Partitions of those that were given up.
    pub expired_produces: Counter,
}
