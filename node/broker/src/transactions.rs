//! Transactions that a log tells of, between the partition, which knows what they mean, and the log, which has their bytes.
//!
//! There is no coordinator of transactions yet: what is in a log comes from elsewhere.

use ottla_base::{AbortedTransaction, TxnOutcome};
use ottla_partition::Marker;
use ottla_records::{Record, Scratch, records};
use ottla_wire::fetch;
use ottla_wire::records::ControlRecord;

/// Markers are small, and not packed.
const UNPACKED_BYTES_MAX: usize = 4096;

/// What a batch of control records says of its producer's transaction, if it does.
pub fn marker(batch: &[u8]) -> Option<Marker> {
    let mut scratch = Scratch::default();
    let first = records(batch, UNPACKED_BYTES_MAX, &mut scratch).ok()?.next()?.ok()?;
    of_record(&first)
}

/// How a control record says that its producer's transaction has ended, if it does.
pub fn outcome(control: &Record<'_>) -> Option<TxnOutcome> {
    of_record(control).map(|marker| marker.outcome)
}

fn of_record(control: &Record<'_>) -> Option<Marker> {
    let (outcome, marker) = match ControlRecord::decode(control.key?, control.value?).ok()? {
        ControlRecord::Commit(marker) => (TxnOutcome::Committed, marker),
        ControlRecord::Abort(marker) => (TxnOutcome::Aborted, marker),
        _ => return None,
    };
    Some(Marker { outcome, coordinator_epoch: marker.coordinator_epoch })
}

pub fn for_reader(aborted: AbortedTransaction) -> fetch::AbortedTransaction {
    fetch::AbortedTransaction { producer_id: aborted.producer_id, first_offset: aborted.first_offset }
}
