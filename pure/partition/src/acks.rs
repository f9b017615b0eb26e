//! When a batch counts as kept.
//!
//! Kafka answers acks=all once every in-sync replica *has* the batch, and `flush.messages=1` makes each of them sync
//! before it says so. We keep one rule for both, and for any number of replicas: a replica counts up to what it has
//! appended, or under `flush.messages=1` up to what it has flushed. The high watermark is the smallest count of the
//! replicas in sync, and a reply waits for a mark to pass its batch: acks=all for the high watermark, acks=1 for the
//! leader's own count. A single broker with `flush.messages=1` thus waits the way a follower's acknowledgement is waited
//! for, and one flush releases whatever gathered meanwhile.

/// What a produce request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// 0: nothing; there is no reply.
    None,
    /// 1: the leader.
    Leader,
    /// -1: all replicas in sync.
    All,
}

impl Acks {
    /// `None` for a number that is no choice: INVALID_REQUIRED_ACKS (21).
    pub fn from_wire(acks: i16) -> Option<Acks> {
        match acks {
            0 => Some(Acks::None),
            1 => Some(Acks::Leader),
            -1 => Some(Acks::All),
            _ => None,
        }
    }
}

/// How far a replica has come: its log end offset, and the part of it that would survive a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub appended: i64,
    pub flushed: i64,
}

/// Which part of its progress a replica counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    Appended,
    Flushed,
}

impl Counts {
    pub fn under(flush_messages: i64) -> Counts {
        if flush_messages == 1 { Counts::Flushed } else { Counts::Appended }
    }

    pub fn of(self, progress: Progress) -> i64 {
        match self {
            Counts::Appended => progress.appended,
            Counts::Flushed => progress.flushed,
        }
    }

    /// The offset up to which each of these replicas counts.
    pub fn of_all(self, in_sync: &[Progress]) -> i64 {
        in_sync.iter().map(|&replica| self.of(replica)).min().expect("a leader is in sync with itself")
    }
}

/// The replicas that acks=all asks for. Kafka caps `min.insync.replicas` by the number of replicas, so that a topic of
/// one replica takes writes whatever the cluster's minimum is.
pub(crate) fn effective_min_insync_replicas(min_insync_replicas: usize, replicas: usize) -> usize {
    min_insync_replicas.min(replicas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_replica_in_sync_holds_the_high_watermark() {
        let replicas = [(90, 40), (80, 80), (100, 60)].map(|(appended, flushed)| Progress { appended, flushed });
        assert_eq!(Counts::under(i64::MAX).of_all(&replicas), 80);
        assert_eq!(Counts::under(2).of_all(&replicas), 80);
        assert_eq!(Counts::under(1).of_all(&replicas), 40);
        assert_eq!(Counts::under(1).of_all(&replicas[1..]), 60);
        assert_eq!(Counts::under(1).of_all(&replicas[..1]), 40);
    }

    #[test]
    fn the_minimum_of_replicas_is_capped_by_their_number() {
        assert_eq!(effective_min_insync_replicas(2, 1), 1);
        assert_eq!(effective_min_insync_replicas(2, 3), 2);
    }

    #[test]
    fn acks_are_three_numbers() {
        let named = [-2, -1, 0, 1, 2].map(Acks::from_wire);
        assert_eq!(named, [None, Some(Acks::All), Some(Acks::None), Some(Acks::Leader), None]);
    }
}
