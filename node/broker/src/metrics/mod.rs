//! What the broker counts, and what it tells of it.
//!
//! ```text
//! topics       what goes through topics: held by their partitions
//! requests     what becomes of requests: held by the connections, through the table of APIs
//! compaction   what compaction tells of itself
//! scrape/      the text that Prometheus gets, a file for each theme, and its names, kinds, labels and help, generated from
//!              schema/metrics.tsv
//! ```

pub mod compaction;
pub mod requests;
pub mod scrape;
pub mod topics;

use ottla_observe::{Counter, Level};

use compaction::Compaction;
use requests::Requests;
use topics::Topics;

#[derive(Debug, Default)]
pub struct Metrics {
    pub requests: Requests,
    pub topics: Topics,
    pub compaction: Compaction,
    /// Fetches that wait for records.
    pub waiting_fetches: Level,
    /// Produce requests that wait for their records to be kept.
    pub waiting_produces: Level,
    /// Partitions of those that were given up.
    pub expired_produces: Counter,
}
