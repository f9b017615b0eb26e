//! A leadership: from the epoch in which the partition's log got its leader until it loses it.
//!
//! Offsets are given, sequences judged and the high watermark moved under one lock that is held across the write, so a
//! turn's batches are admitted first, written together, and then all committed or all abandoned. [`Staged`] is that time
//! in between: its batches have their offsets and see one another, and if it is dropped they have never been. There is no
//! way to forget it half done.

use ottla_base::LeaderEpoch;
use ottla_records::{BatchHeader, LastBatch};

use crate::acks::{Acks, Counts, Progress, effective_min_insync_replicas};
use crate::epochs::{Checkpoint, EpochEnd, EpochEntry, Epochs};
use crate::marks::Marks;
use crate::producers::{Expiry, ProducerSnapshot, Producers};
use crate::recovery::Recovery;
use crate::refusal::Refusal;

/// What a topic's configuration and its replicas ask of the leader.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Number of replicas the partition is assigned to.
    pub replicas: usize,
    pub min_insync_replicas: usize,
    /// `flush.messages`; 1 for `__cluster_metadata`.
    pub flush_messages: i64,
}

impl Rules {
    /// The high watermark of a log that was just opened.
    pub fn high_watermark(&self, opened: &Opened) -> i64 {
        Counts::under(self.flush_messages).of_all(&[opened.own()])
    }
}

/// Where an opened log begins and ends, and up to where it has been flushed.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    pub start: i64,
    pub end: i64,
    pub flushed: i64,
}

impl Opened {
    fn own(&self) -> Progress {
        Progress { appended: self.end, flushed: self.flushed.clamp(self.start, self.end) }
    }
}

/// Marks that moved, as their new values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Moved {
    /// Releases acks=1.
    pub leader_acked: Option<i64>,
    /// Releases acks=all and readers.
    pub high_watermark: Option<i64>,
}

/// What becomes of a batch that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// To be written with this base offset and the leader's epoch.
    Append { base_offset: i64 },
    /// It is stored already and must not be written again.
    Duplicate(Duplicate),
}

/// The stored batch that a producer sent again. The reply is as to the first, and waits for the same marks. Should the
/// turn be abandoned, a duplicate in it fails like the rest: the batch it repeats may have been of the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    pub base_offset: i64,
    pub last_offset: i64,
    /// Its max timestamp. Kafka answers this as log append time, whatever the topic's timestamp type.
    pub timestamp: i64,
}

/// What a fetcher says it has: everything below `fetch_offset`, the last of it in `epoch`.
#[derive(Clone, Copy, Debug)]
pub struct LastFetched {
    pub fetch_offset: i64,
    pub epoch: LeaderEpoch,
}

/// OFFSET_OUT_OF_RANGE (1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log does not know where the fetcher's last epoch ended")]
pub struct OffsetOutOfRange;

#[derive(Debug)]
pub struct Leader {
    epoch: LeaderEpoch,
    rules: Rules,
    epochs: Epochs,
    producers: Producers,
    start: i64,
    own: Progress,
    high_watermark: i64,
}

impl Leader {
    /// Begins a leadership over a log that was opened. `leader-epoch-checkpoint` is to be written before the first append.
    pub fn new(epoch: LeaderEpoch, rules: Rules, opened: Opened, recovery: Recovery) -> Leader {
        let Opened { start, end, .. } = opened;
        assert!(start <= end, "a log cannot begin at {start} and end at {end}");
        let Recovery { mut epochs, mut producers, .. } = recovery;
        let _ = epochs.cut_start(start);
        epochs.assign(EpochEntry { epoch, start_offset: end });
        let high_watermark = rules.high_watermark(&opened);
        producers.high_watermark_moved(high_watermark);
        Leader { epoch, rules, epochs, producers, start, own: opened.own(), high_watermark }
    }

    pub fn marks(&self) -> Marks {
        Marks {
            leader_epoch: self.epoch,
            start: self.start,
            end: self.own.appended,
            leader_acked: self.counts().of(self.own),
            high_watermark: self.high_watermark,
            last_stable: self.last_stable(),
        }
    }

    /// Where a transaction that is not over began may have left the log meanwhile.
    fn last_stable(&self) -> i64 {
        let unstable = self.producers.first_unstable();
        unstable.map_or(self.high_watermark, |first| first.max(self.start).min(self.high_watermark))
    }

    /// Goes by other rules from now on. What counted as kept still does.
    pub fn set_rules(&mut self, rules: Rules) -> Moved {
        let acked_before = self.counts().of(self.own);
        self.rules = rules;
        self.moved_from(acked_before)
    }

    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Begins a turn.
    pub fn stage(&mut self) -> Staged<'_> {
        Staged { end: self.own.appended, leader: self }
    }

    /// The log is on the disk up to `to`, the end of it when the flush began.
    pub fn flushed(&mut self, to: i64) -> Moved {
        assert!(to <= self.own.appended, "{to} cannot be flushed, the log ends at {}", self.own.appended);
        self.progress(Progress { flushed: to.max(self.own.flushed), ..self.own })
    }

    /// Whether `flush.messages` asks for a flush up to the end.
    pub fn flush_due(&self) -> bool {
        self.own.appended - self.own.flushed >= self.rules.flush_messages
    }

    /// The log begins at `to`: older segments are gone. Never above the high watermark.
    pub fn start_moved(&mut self, to: i64) -> Checkpoint {
        assert!(to <= self.high_watermark, "{to} is above the high watermark {}", self.high_watermark);
        self.start = to.max(self.start);
        self.epochs.cut_start(self.start)
    }

    /// OffsetForLeaderEpoch: where `epoch` ended. `None` is -1 and -1 on the wire, without an error.
    pub fn end_offset_for(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.epochs.end_offset_for(epoch, self.own.appended)
    }

    /// Checks `last_fetched_epoch` of a Fetch, where it is not negative (KIP-595). `Some`: the fetcher's log and this one
    /// part there, at the latest; the answer has no records.
    pub fn diverging(&self, last: LastFetched) -> Result<Option<EpochEnd>, OffsetOutOfRange> {
        let end = self.end_offset_for(last.epoch).ok_or(OffsetOutOfRange)?;
        if last.fetch_offset < self.start {
            return Err(OffsetOutOfRange);
        }
        Ok((end.epoch < last.epoch || end.end_offset < last.fetch_offset).then_some(end))
    }

    /// Producers that are remembered.
    pub fn producer_count(&self) -> usize {
        self.producers.count()
    }

    /// The producers as of the log's end.
    pub fn producer_snapshot(&self) -> ProducerSnapshot {
        self.producers.snapshot(self.own.appended)
    }

    /// The newest batch of each producer, in order of their ids: what compaction must not lose.
    pub fn last_batches(&self) -> Vec<LastBatch> {
        self.producers.last_batches()
    }

    /// Forgets idle producers. To be called once the log is open, and every `producer.id.expiration.check.interval.ms`.
    pub fn expire_producers(&mut self, expiry: Expiry) {
        self.producers.expire(expiry);
    }

    fn counts(&self) -> Counts {
        Counts::under(self.rules.flush_messages)
    }

    /// The replicas in sync; the leader always is.
    fn in_sync(&self) -> &[Progress] {
        std::slice::from_ref(&self.own)
    }

    fn check_in_sync(&self) -> Result<(), Refusal> {
        let needed = effective_min_insync_replicas(self.rules.min_insync_replicas, self.rules.replicas);
        if self.in_sync().len() < needed { Err(Refusal::NotEnoughReplicas) } else { Ok(()) }
    }

    fn progress(&mut self, own: Progress) -> Moved {
        let acked_before = self.counts().of(self.own);
        self.own = own;
        self.moved_from(acked_before)
    }

    fn moved_from(&mut self, acked_before: i64) -> Moved {
        let acked = self.counts().of(self.own);
        let kept_by_all = self.counts().of_all(self.in_sync());
        let rises = kept_by_all > self.high_watermark;
        if rises {
            self.high_watermark = kept_by_all;
            self.producers.high_watermark_moved(kept_by_all);
        }
        Moved { leader_acked: (acked > acked_before).then_some(acked), high_watermark: rises.then_some(kept_by_all) }
    }
}

/// Batches that are admitted and not yet written. Dropping it abandons them.
#[derive(Debug)]
#[must_use]
pub struct Staged<'a> {
    leader: &'a mut Leader,
    /// Where the log will end.
    end: i64,
}

impl Staged<'_> {
    /// Judges a batch and gives it its offset. The head is the client's, after `ottla_records::check` (which refuses a
    /// producer id without sequence), and has the timestamps that will be stored.
    pub fn admit(&mut self, header: &BatchHeader, acks: Acks) -> Result<Admitted, Refusal> {
        assert!(header.last_offset_delta >= 0, "a batch of no records passed the check");
        if acks == Acks::All {
            self.leader.check_in_sync()?;
        }
        let base_offset = self.end;
        if header.is_idempotent()
            && let Some(stored) = self.leader.producers.admit(header, base_offset)?
        {
            return Ok(Admitted::Duplicate(Duplicate {
                base_offset: stored.base_offset(),
                last_offset: stored.last_offset,
                timestamp: stored.timestamp,
            }));
        }
        self.end += i64::from(header.last_offset_delta) + 1;
        Ok(Admitted::Append { base_offset })
    }

    /// The producers as of `offset`, for the snapshot of a segment that began amid the turn.
    pub fn producer_snapshot(&self, offset: i64) -> ProducerSnapshot {
        self.leader.producers.snapshot(offset)
    }

    /// The batches are written.
    pub fn commit(self) -> Moved {
        self.leader.producers.commit();
        self.leader.progress(Progress { appended: self.end, ..self.leader.own })
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        self.leader.producers.abandon();
    }
}
