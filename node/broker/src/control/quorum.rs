//! What the metadata log says of the quorum itself, in records that are no metadata.
//!
//! A node alone needs none of it. But the next to open the directory may be Kafka, whose voters are in the log since
//! KIP-853: so version and voters are kept as they were found, and go into each snapshot. Where the log has none, the voters
//! are those of `controller.quorum.voters`, as in Kafka, and none are made up.

use ottla_base::NodeId;
use ottla_wire::records::ControlRecord;
use ottla_wire::records::control::leader_change_message::Voter;
use ottla_wire::records::control::{KRaftVersionRecord, LeaderChangeMessage, VotersRecord};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quorum {
    version: Option<KRaftVersionRecord>,
    voters: Option<VotersRecord>,
    /// Who could vote for the last leader.
    electors: Vec<i32>,
}

impl Quorum {
    /// Takes note of what a control record says.
    pub fn note(&mut self, record: ControlRecord) {
        match record {
            ControlRecord::KRaftVersion(record) => self.version = Some(record),
            ControlRecord::KRaftVoters(record) => self.voters = Some(record),
            ControlRecord::LeaderChange(record) => {
                self.electors = record.voters.iter().map(|voter| voter.voter_id).collect();
            }
            ControlRecord::SnapshotHeader(_)
            | ControlRecord::SnapshotFooter(_)
            | ControlRecord::Abort(_)
            | ControlRecord::Commit(_) => {}
        }
    }

    /// Ids of all voters; none if the log does not say.
    pub fn voters(&self) -> Vec<i32> {
        match &self.voters {
            Some(record) => record.voters.iter().map(|voter| voter.voter_id).collect(),
            None => self.electors.clone(),
        }
    }

    /// Version and voters, to be written down again.
    pub fn records(&self) -> impl Iterator<Item = ControlRecord> {
        let version = self.version.clone().map(ControlRecord::KRaftVersion);
        version.into_iter().chain(self.voters.clone().map(ControlRecord::KRaftVoters))
    }
}

/// What a new leader writes first (KIP-595): who it is and who voted for it.
pub fn leader_change(leader: NodeId) -> ControlRecord {
    let voter = Voter { voter_id: leader.0, ..Default::default() };
    ControlRecord::LeaderChange(LeaderChangeMessage {
        leader_id: leader.0,
        voters: vec![voter.clone()],
        granting_voters: vec![voter],
        ..Default::default()
    })
}
