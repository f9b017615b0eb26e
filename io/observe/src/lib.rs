//! What is counted while the broker works, and how it is told to Prometheus.
//!
//! A library of metrics finds a counter by its name and labels, each time, in a map under a lock. Here whoever counts holds
//! the counter itself, in the partition, the topic or the row of the API that it is about; to count is one atomic addition.
//! Names and labels come in when somebody asks, once a scrape.
//!
//! ```text
//! counter      numbers that grow, and levels that rise and fall
//! histogram    quantiles of the last minutes in fixed memory
//! text         Prometheus' text format
//! process      what the system says of this process
//! ```

mod counter;
mod histogram;
pub mod process;
mod text;

pub use counter::{Counter, Entered, Level};
pub use histogram::{Histogram, QUANTILES, Recent};
pub use text::{Family, Kind, Labels, Text, Value};
