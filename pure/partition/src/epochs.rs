//! Which leader epoch wrote which offsets: Kafka's leader epoch cache, the content of `leader-epoch-checkpoint`.
//!
//! Two logs of one partition agree up to an offset if both hold it in the same epoch. A follower, or a consumer that
//! remembers the epoch of what it read, therefore asks where an epoch ended and goes on from there (KIP-101, KIP-320).
//! All it takes is the first offset of each epoch, in rising order of both numbers.

use ottla_base::LeaderEpoch;
use ottla_records::BatchHeader;

/// One line of `leader-epoch-checkpoint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    pub epoch: LeaderEpoch,
    pub start_offset: i64,
}

/// Where an epoch ended: the answer of OffsetForLeaderEpoch, and `diverging_epoch` of a Fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch not above the asked one that wrote here.
    pub epoch: LeaderEpoch,
    /// Offset after that epoch's last record.
    pub end_offset: i64,
}

/// The epochs of one log, oldest first. An epoch is here as long as a record of it may be, and the newest always.
#[derive(Debug, Default)]
pub struct Epochs(Vec<EpochEntry>);

impl Epochs {
    /// The lines of the checkpoint to write.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.0
    }

    pub(crate) fn latest(&self) -> Option<LeaderEpoch> {
        self.0.last().map(|entry| entry.epoch)
    }

    /// The epoch that wrote `offset`; at the log's end, the newest. `None` below the first entry.
    pub fn epoch_for(&self, offset: i64) -> Option<LeaderEpoch> {
        let after = self.0.partition_point(|entry| entry.start_offset <= offset);
        after.checked_sub(1).map(|at| self.0[at].epoch)
    }

    /// Where `epoch` ended in a log that ends at `log_end`. `None` for -1 and for an epoch above the newest, which is
    /// -1 and -1 on the wire. An epoch that wrote nothing ended where the one before it did.
    pub fn end_offset_for(&self, epoch: LeaderEpoch, log_end: i64) -> Option<EpochEnd> {
        if epoch == LeaderEpoch::UNKNOWN {
            return None;
        }
        if self.latest() == Some(epoch) {
            return Some(EpochEnd { epoch, end_offset: log_end });
        }
        let above = self.0.partition_point(|entry| entry.epoch <= epoch);
        let end_offset = self.0.get(above)?.start_offset;
        // Below the oldest entry Kafka gives the asked epoch back, as one that ended where the log begins.
        let epoch = above.checked_sub(1).map_or(epoch, |at| self.0[at].epoch);
        Some(EpochEnd { epoch, end_offset })
    }

    /// `epoch` writes from `start_offset` on. Epochs that turn out to have written nothing go: those that begin at this
    /// offset or later.
    pub(crate) fn assign(&mut self, EpochEntry { epoch, start_offset }: EpochEntry) {
        if self.0.last().is_some_and(|last| last.epoch == epoch && last.start_offset <= start_offset) {
            return;
        }
        while self.0.pop_if(|last| last.epoch >= epoch || last.start_offset >= start_offset).is_some() {}
        self.0.push(EpochEntry { epoch, start_offset });
    }

    /// Takes a batch from the log: the first of an epoch says where it begins.
    pub(crate) fn replay(&mut self, header: &BatchHeader) {
        let epoch = LeaderEpoch(header.leader_epoch);
        if epoch > self.latest().unwrap_or(LeaderEpoch::UNKNOWN) {
            self.assign(EpochEntry { epoch, start_offset: header.base_offset });
        }
    }

    /// The log begins at `start`. `Changed` if an entry is gone or begins later than it did.
    pub(crate) fn cut_start(&mut self, start: i64) -> Checkpoint {
        let Some(first) = self.0.partition_point(|entry| entry.start_offset <= start).checked_sub(1) else {
            return Checkpoint::Same;
        };
        if first == 0 && self.0[0].start_offset == start {
            return Checkpoint::Same;
        }
        self.0.drain(..first);
        self.0[0].start_offset = start;
        Checkpoint::Changed
    }
}

/// Whether `leader-epoch-checkpoint` has to be written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Checkpoint {
    Same,
    Changed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_an_older_epoch_does_not_undo_what_the_checkpoint_says() {
        let line = |epoch, start_offset| EpochEntry { epoch: LeaderEpoch(epoch), start_offset };
        let mut epochs = Epochs(vec![line(0, 0), line(2, 3), line(4, 6)]);
        let mut head = [0; ottla_records::HEADER_BYTES];
        (head[11], head[16]) = (49, 2);
        let header = BatchHeader::parse(&head).unwrap();
        // Compaction has taken the first batches of epoch 4.
        for (leader_epoch, base_offset) in [(2, 3), (4, 9), (5, 12)] {
            epochs.replay(&BatchHeader { leader_epoch, base_offset, ..header });
        }
        assert_eq!(epochs.entries(), [line(0, 0), line(2, 3), line(4, 6), line(5, 12)]);
    }
}
