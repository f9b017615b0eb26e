//! What becomes of old records: tasks that no request waits for.
//!
//! ```text
//! trimming    what is left to do when a log has got shorter
//! retention   removes segments that are too old or too many
//! compaction  keeps the newest record of each key
//! resting     closes the files of idle logs
//! moving      takes replicas from one log directory to another
//!   swapping    its last step
//! ```

pub mod compaction;
pub mod moving;
pub mod resting;
pub mod retention;
pub mod swapping;
pub mod trimming;
