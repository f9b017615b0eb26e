//! Where the records lie that a fetch asks for.
//!
//! Only the tail's lock is taken, but for a follower's question whether its log and this one part: an append that waits for
//! the disk does not stop who reads what is in memory.

use std::sync::atomic::Ordering;

use ottla_base::LeaderEpoch;
use ottla_partition::{EpochEnd, EpochMismatch, LastFetched, Marks};
use ottla_storage::disk::Wait;
use ottla_storage::{LogError, View, Want};
use ottla_wire::fetch::{AbortedTransaction, EpochEndOffset};
use ottla_wire::{CurrentLeader, ErrorCode};

use super::{Partition, Tail};
use crate::api::outcome;
use crate::fetch::plan::{FileRange, Found, Share};
use crate::fetch::session::Ask;
use crate::transactions;

/// Which records a reader wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
}

impl Isolation {
    /// Where the records end that such a reader may see.
    pub fn end(self, marks: &Marks) -> i64 {
        match self {
            Isolation::ReadUncommitted => marks.high_watermark,
            Isolation::ReadCommitted => marks.last_stable,
        }
    }
}

/// What it takes to answer is on the disk and not in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cold;

impl Partition {
    /// Where the records are that a fetch asks for.
    pub fn read(&self, ask: &Ask, isolation: Isolation, share: Share, wait: Wait) -> Result<Found, Cold> {
        let Tail { marks, high_watermark, gone } = self.tail();
        if let Some(gone) = gone {
            return Ok(Found::error(gone.error()));
        }
        if let Err(mismatch) = marks.check_epoch(ask.current_leader_epoch.max(LeaderEpoch::UNKNOWN)) {
            return Ok(Found {
                current_leader: self.fenced(mismatch, marks),
                ..Found::error(outcome::of_epoch(mismatch))
            });
        }
        let found = Found {
            high_watermark: marks.high_watermark,
            last_stable_offset: marks.last_stable,
            log_start_offset: marks.start,
            aborted_transactions: (isolation == Isolation::ReadCommitted).then(Vec::new),
            ..Found::error(ErrorCode::None)
        };
        if ask.last_fetched_epoch.0 >= 0 {
            match self.diverging(LastFetched { fetch_offset: ask.fetch_offset, epoch: ask.last_fetched_epoch }) {
                Ok(None) => {}
                Ok(diverging_epoch) => return Ok(Found { diverging_epoch, ..found }),
                Err(error) => return Ok(Found::error(error)),
            }
        }
        if ask.fetch_offset < marks.start || ask.fetch_offset > marks.end {
            return Ok(Found::error(ErrorCode::OffsetOutOfRange));
        }
        let end = isolation.end(&marks);
        if ask.fetch_offset >= end {
            return Ok(found);
        }
        let want = Want {
            offset: ask.fetch_offset,
            limit: high_watermark,
            bytes_max: share.bytes_max as u64,
            first: share.first_batch,
            wait,
        };
        let found_at = match isolation {
            Isolation::ReadUncommitted => self.reader.view(&want).map(|view| (view, Vec::new())),
            Isolation::ReadCommitted => self.view_committed(want, end),
        };
        if found_at.is_ok()
            && self.cannot_read.load(Ordering::Relaxed)
            && self.cannot_read.swap(false, Ordering::Relaxed)
        {
            tracing::info!(topic = %self.topic, partition = self.index, "reads work again");
        }
        match found_at {
            Ok((view, _)) if view.range.is_empty() => Ok(found),
            Ok((view, aborted)) => Ok(Found {
                records: Some(FileRange { file: view.file, range: view.range }),
                has_more_behind: view.has_more_behind,
                aborted_transactions: found.aborted_transactions.map(|_| aborted),
                ..found
            }),
            Err(LogError::Cold) => Err(Cold),
            // Retention was faster than this fetch.
            Err(LogError::OutOfRange { .. }) => Ok(Found::error(ErrorCode::OffsetOutOfRange)),
            Err(error) => {
                if !self.cannot_read.swap(true, Ordering::Relaxed) {
                    tracing::error!(topic = %self.topic, partition = self.index, "read failed: {error}");
                }
                Ok(Found::error(outcome::of_storage(&error)))
            }
        }
    }

    /// What lies before the last stable offset, and which transactions of it were aborted.
    fn view_committed(&self, want: Want, last_stable: i64) -> Result<(View, Vec<AbortedTransaction>), LogError> {
        let limit = match want.limit.offset {
            end if last_stable < end => self.reader.place_of(last_stable, want.limit, want.wait)?,
            _ => want.limit,
        };
        let (view, aborted) = self.reader.view_committed(&Want { limit, ..want })?;
        Ok((view, aborted.into_iter().map(transactions::for_reader).collect()))
    }

    /// The marks, whatever has become of the partition.
    pub fn last_marks(&self) -> Marks {
        self.tail().marks
    }

    fn diverging(&self, last: LastFetched) -> Result<Option<EpochEndOffset>, ErrorCode> {
        let end = self.with_leader(|leader| leader.diverging(last))?.map_err(|_| ErrorCode::OffsetOutOfRange)?;
        Ok(end.map(|EpochEnd { epoch, end_offset }| EpochEndOffset { epoch, end_offset }))
    }

    /// The leader, for a client that names an older epoch (KIP-951).
    fn fenced(&self, mismatch: EpochMismatch, marks: Marks) -> Option<CurrentLeader> {
        let leader = CurrentLeader { leader_id: self.node_id, leader_epoch: marks.leader_epoch };
        (mismatch == EpochMismatch::Fenced).then_some(leader)
    }
}
