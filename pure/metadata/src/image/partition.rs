//! One partition: who holds it and who leads it.

use ottla_base::{LeaderEpoch, NodeId, Uuid};
use ottla_wire::records::{PartitionChangeRecord, PartitionRecord};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub replicas: Vec<NodeId>,
    /// The log directory of each replica, in the same order.
    pub directories: Vec<Uuid>,
    pub isr: Vec<NodeId>,
    /// [`NodeId::NONE`] while there is none.
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
    /// Rises with every change of the partition.
    pub partition_epoch: i32,
    pub leader_recovery: LeaderRecovery,
    /// Outside the ISR, but with all that was acknowledged: may lead without loss (KIP-966).
    pub eligible_leader_replicas: Vec<NodeId>,
    /// Who led last, while the ISR and the eligible replicas are empty or too few.
    pub last_known_elr: Vec<NodeId>,
    /// Of a reassignment that is under way: those of the replicas that are to come, and those that are to go. Nothing here
    /// reassigns: see [`crate::takeover`].
    pub adding_replicas: Vec<NodeId>,
    pub removing_replicas: Vec<NodeId>,
}

/// Whether the leader may have lost records that were acknowledged (KIP-704).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderRecovery {
    Recovered,
    /// It was elected after an unclean stop.
    Recovering,
}

/// `leader` of a change that leaves the leader and its epoch alone.
const LEADER_UNCHANGED: i32 = -2;

impl Partition {
    /// The log directory of this broker's replica; zeros if it is in none yet.
    pub fn directory_on(&self, broker: NodeId) -> Uuid {
        let place = self.replicas.iter().position(|replica| *replica == broker);
        place.and_then(|place| self.directories.get(place)).copied().unwrap_or(Uuid::ZERO)
    }

    pub(super) fn new(record: &PartitionRecord) -> Partition {
        Partition {
            replicas: nodes(&record.replicas),
            directories: record.directories.clone(),
            isr: nodes(&record.isr),
            leader: NodeId(record.leader),
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: record.partition_epoch,
            leader_recovery: LeaderRecovery::of(record.leader_recovery_state).unwrap_or(LeaderRecovery::Recovered),
            eligible_leader_replicas: nodes(record.eligible_leader_replicas.as_deref().unwrap_or_default()),
            last_known_elr: nodes(record.last_known_elr.as_deref().unwrap_or_default()),
            adding_replicas: nodes(&record.adding_replicas),
            removing_replicas: nodes(&record.removing_replicas),
        }
    }

    pub(super) fn change(&mut self, record: &PartitionChangeRecord) {
        let set = |field: &mut Vec<NodeId>, value: &Option<Vec<i32>>| {
            if let Some(value) = value {
                *field = nodes(value);
            }
        };
        set(&mut self.replicas, &record.replicas);
        set(&mut self.isr, &record.isr);
        set(&mut self.eligible_leader_replicas, &record.eligible_leader_replicas);
        set(&mut self.last_known_elr, &record.last_known_elr);
        set(&mut self.adding_replicas, &record.adding_replicas);
        set(&mut self.removing_replicas, &record.removing_replicas);
        if let Some(directories) = &record.directories {
            self.directories.clone_from(directories);
        }
        if let Some(recovery) = LeaderRecovery::of(record.leader_recovery_state) {
            self.leader_recovery = recovery;
        }
        if record.leader != LEADER_UNCHANGED {
            self.leader = NodeId(record.leader);
            self.leader_epoch.0 += 1;
        }
        self.partition_epoch += 1;
    }

    /// As Kafka writes it into a snapshot: what is empty in the lists of KIP-966 is not there.
    pub(super) fn record(&self, topic_id: Uuid, partition_id: i32) -> PartitionRecord {
        let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<_>>();
        let if_any = |nodes: &[NodeId]| Some(ids(nodes)).filter(|ids| !ids.is_empty());
        PartitionRecord {
            partition_id,
            topic_id,
            replicas: ids(&self.replicas),
            isr: ids(&self.isr),
            leader: self.leader.0,
            leader_epoch: self.leader_epoch.0,
            partition_epoch: self.partition_epoch,
            directories: self.directories.clone(),
            leader_recovery_state: self.leader_recovery.code(),
            eligible_leader_replicas: if_any(&self.eligible_leader_replicas),
            last_known_elr: if_any(&self.last_known_elr),
            adding_replicas: ids(&self.adding_replicas),
            removing_replicas: ids(&self.removing_replicas),
            ..Default::default()
        }
    }
}

impl LeaderRecovery {
    pub(crate) fn code(self) -> i8 {
        match self {
            LeaderRecovery::Recovered => 0,
            LeaderRecovery::Recovering => 1,
        }
    }

    /// `None` for the -1 of a change that leaves it alone.
    fn of(code: i8) -> Option<LeaderRecovery> {
        match code {
            0 => Some(LeaderRecovery::Recovered),
            1 => Some(LeaderRecovery::Recovering),
            _ => None,
        }
    }
}

fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}
