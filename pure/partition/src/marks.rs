//! The few numbers of a partition that readers go by.
//!
//! A fetch must not wait for a write to the disk, and the partition's lock is held across one. So the owner copies the
//! [`Marks`] to where a second, short lock guards them, and readers decide by the copy.

use ottla_base::LeaderEpoch;

use crate::acks::Acks;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    pub leader_epoch: LeaderEpoch,
    /// Offset of the first record that may be read.
    pub start: i64,
    /// Offset that the next record will get.
    pub end: i64,
    /// What lies below is kept as far as the leader alone is concerned.
    pub leader_acked: i64,
    /// What lies below is kept by all replicas in sync, and may be read.
    pub high_watermark: i64,
    /// What lies below may be read, and belongs to no transaction that is not over: who reads committed records stops here.
    pub last_stable: i64,
}

/// Why a request that names the leader epoch it believes in is not served (KIP-320).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochMismatch {
    /// FENCED_LEADER_EPOCH (74): the client is behind.
    #[error("the request's leader epoch is older than the leader's")]
    Fenced,
    /// UNKNOWN_LEADER_EPOCH (75): the client is ahead of us.
    #[error("the request's leader epoch is newer than the leader's")]
    Unknown,
}

impl Marks {
    /// The offset that must pass a batch before a request with these acks is answered.
    pub fn acked(&self, acks: Acks) -> i64 {
        match acks {
            Acks::None => self.end,
            Acks::Leader => self.leader_acked,
            Acks::All => self.high_watermark,
        }
    }

    /// Checks `current_leader_epoch` of a request. -1 asks for no check; to Kafka's Fetch, any negative number does.
    pub fn check_epoch(&self, requested: LeaderEpoch) -> Result<(), EpochMismatch> {
        if requested == LeaderEpoch::UNKNOWN || requested == self.leader_epoch {
            Ok(())
        } else if requested < self.leader_epoch {
            Err(EpochMismatch::Fenced)
        } else {
            Err(EpochMismatch::Unknown)
        }
    }
}
