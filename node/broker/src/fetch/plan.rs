//! What a fetch finds, before a byte of it is read.

use std::ops::Range;
use std::sync::Arc;

use ottla_storage::FirstBatch;
use ottla_storage::disk::{DiskFile, Wait};
use ottla_wire::CurrentLeader;
use ottla_wire::ErrorCode;
use ottla_wire::fetch::{AbortedTransaction, EpochEndOffset};

use super::session::{Ask, Topic};
use crate::partition::{Cold, Isolation, Partition};

/// One partition that a fetch asks for.
#[derive(Debug)]
pub struct Asked {
    pub topic: Topic,
    pub index: i32,
    pub ask: Ask,
    /// The partition, or why there is none to ask.
    pub partition: Result<Arc<Partition>, ErrorCode>,
}

/// What a partition answers.
#[derive(Debug)]
pub struct Found {
    pub error: ErrorCode,
    /// -1 where the log was not asked; so are the next two.
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub records: Option<FileRange>,
    /// The records end with their segment and there are more in the next: to wait does not bring them.
    pub has_more_behind: bool,
    pub diverging_epoch: Option<EpochEndOffset>,
    /// Told along with an error that says that the client does not know the leader.
    pub current_leader: Option<CurrentLeader>,
    /// Null to who reads uncommitted records too, and in errors.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    pub is_listed: bool,
}

/// Records in the file of a segment. It keeps the file open, whatever retention does meanwhile.
#[derive(Clone, Debug)]
pub struct FileRange {
    pub file: Arc<dyn DiskFile>,
    pub range: Range<u64>,
}

impl Found {
    pub fn error(error: ErrorCode) -> Found {
        Found {
            error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            records: None,
            has_more_behind: false,
            diverging_epoch: None,
            current_leader: None,
            aborted_transactions: None,
            is_listed: true,
        }
    }

    pub fn records_bytes(&self) -> usize {
        self.records.as_ref().map_or(0, |FileRange { range, .. }| (range.end - range.start) as usize)
    }

    /// What the list of aborted transactions takes.
    fn aborted_bytes(&self) -> usize {
        self.aborted_transactions.as_ref().map_or(0, |aborted| aborted.len() * ABORTED_BYTES)
    }
}

/// Of an aborted transaction: producer, offset and tags.
const ABORTED_BYTES: usize = 17;

/// How much one partition may answer.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub bytes_max: usize,
    /// Whether the first batch goes out whole even if it is larger: else a client could never get past it.
    pub first_batch: FirstBatch,
}

/// The sum of a plan.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    pub records_bytes: usize,
    /// A partition has an answer that does not get better by waiting.
    pub has_more_to_tell: bool,
}

/// Asks each partition in order, as long as there is room (`bytes_max` over all of them); `found` has one entry for each.
///
/// # Errors
/// [`Cold`] where `wait` forbids what it takes.
pub fn plan(
    asked: &[Asked],
    isolation: Isolation,
    bytes_max: usize,
    wait: Wait,
    found: &mut Vec<Found>,
) -> Result<Total, Cold> {
    found.clear();
    let mut total = Total::default();
    // A few bytes of records may belong to many transactions, and the list of those is in memory.
    let mut aborted_bytes = 0;
    for Asked { ask, partition, .. } in asked {
        let share = Share {
            bytes_max: usize::try_from(ask.max_bytes)
                .unwrap_or(0)
                .min(bytes_max.saturating_sub(total.records_bytes + aborted_bytes)),
            first_batch: if total.records_bytes == 0 { FirstBatch::Whole } else { FirstBatch::IfItFits },
        };
        let one = match partition {
            Ok(partition) => partition.read(ask, isolation, share, wait)?,
            Err(error) => Found::error(*error),
        };
        total.records_bytes += one.records_bytes();
        aborted_bytes += one.aborted_bytes();
        total.has_more_to_tell |= one.error != ErrorCode::None || one.diverging_epoch.is_some() || one.has_more_behind;
        found.push(one);
    }
    Ok(total)
}
