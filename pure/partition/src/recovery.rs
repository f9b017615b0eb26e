//! What the files of a log say about its past, gathered while the log is opened.
//!
//! `leader-epoch-checkpoint` and the newest `.snapshot` are written now and then; what came after them is read from the
//! heads of the batches. A head may be seen that one of the files already accounts for, which changes nothing.

use ottla_base::{AbortedTransaction, Seed};
use ottla_records::BatchHeader;

use crate::epochs::{EpochEntry, Epochs};
use crate::producers::{ProducerSnapshot, Producers};
use crate::transactions::Marker;

#[derive(Debug)]
pub struct Recovery {
    pub(crate) epochs: Epochs,
    pub(crate) producers: Producers,
    /// The snapshot accounts for the batches below.
    snapshot_offset: i64,
}

impl Recovery {
    /// Begins with the lines of the checkpoint and the newest snapshot that does not lie above the log's end: one that
    /// does would count lost batches as stored. Without a snapshot all batches of the log have to be replayed.
    ///
    /// `high_watermark` is that of the leadership to come ([`Rules::high_watermark`](crate::Rules::high_watermark)), or less.
    pub fn new(
        seed: Seed,
        checkpoint: &[EpochEntry],
        snapshot: Option<&ProducerSnapshot>,
        high_watermark: i64,
    ) -> Recovery {
        let producers = Producers::new(seed, high_watermark);
        let mut recovery = Recovery { epochs: Epochs::default(), producers, snapshot_offset: 0 };
        for &entry in checkpoint {
            recovery.epochs.assign(entry);
        }
        if let Some(snapshot) = snapshot {
            recovery.snapshot_offset = snapshot.offset;
            snapshot.producers.iter().for_each(|entry| recovery.producers.restore(entry));
        }
        recovery
    }

    /// Takes the next batch of the log. `marker` is what a control batch says; `None` if it says nothing any more, because
    /// compaction has emptied it, or nothing of a transaction.
    ///
    /// Gives the transaction that it aborts, if that has left anything.
    pub fn replay(&mut self, header: &BatchHeader, marker: Option<&Marker>) -> Option<AbortedTransaction> {
        self.epochs.replay(header);
        if !header.is_idempotent() || header.base_offset < self.snapshot_offset {
            return None;
        }
        if header.attributes.is_control() {
            return self.producers.replay_marker(header, marker?);
        }
        self.producers.replay(header);
        None
    }
}
