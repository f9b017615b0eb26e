//! Who leads a partition when its broker goes and comes back (KIP-966).
//!
//! There is one broker, so a partition has one replica. While that is away nobody leads. The naive rule, whoever comes
//! back leads again, forgets that a disk may come back without what was acknowledged last; so the log says in which of
//! three states a replica is: in the ISR, eligible (it stopped with all that was acknowledged), or merely the last that
//! led. The last may lead too, for there is no other, but the partition is marked as recovering.

use std::sync::Arc;

use ottla_base::NodeId;
use ottla_wire::records::{BrokerRegistrationChangeRecord, PartitionChangeRecord};

use super::Step;
use crate::image::{Broker, LeaderRecovery, Partition};
use crate::{Image, Record, Topic};

pub(super) fn leads_any(image: &Image, broker: NodeId) -> bool {
    image.topics().iter().flat_map(Topic::partitions).any(|(_, partition)| partition.leader == broker)
}

/// The broker leads nothing any more, and its replicas are eligible to lead again.
pub(super) fn resign(step: &mut Step<'_>, broker: NodeId) {
    change_each(step, |partition| {
        (partition.leader == broker).then(|| PartitionChangeRecord {
            isr: Some(Vec::new()),
            leader: NodeId::NONE.0,
            eligible_leader_replicas: Some(vec![broker.0]),
            last_known_elr: Some(vec![broker.0]),
            ..Default::default()
        })
    });
}

/// The broker's replicas may lack what was acknowledged.
pub(super) fn distrust(step: &mut Step<'_>, broker: NodeId) {
    change_each(step, |partition| {
        partition
            .eligible_leader_replicas
            .contains(&broker)
            .then(|| PartitionChangeRecord { eligible_leader_replicas: Some(Vec::new()), ..Default::default() })
    });
}

/// The broker leads whatever nobody leads, and what is in a directory that works.
pub(super) fn elect(step: &mut Step<'_>, broker: NodeId) {
    let Some(registered) = step.log.brokers().get(broker).cloned() else { return };
    change_each(step, |partition| {
        if partition.leader != NodeId::NONE || !registered.has_online(partition.directory_on(broker)) {
            return None;
        }
        let mut change = PartitionChangeRecord {
            isr: Some(vec![broker.0]),
            leader: broker.0,
            last_known_elr: Some(Vec::new()),
            ..Default::default()
        };
        if partition.eligible_leader_replicas.contains(&broker) {
            change.eligible_leader_replicas = Some(Vec::new());
        } else if partition.leader_recovery == LeaderRecovery::Recovered {
            change.leader_recovery_state = LeaderRecovery::Recovering.code();
        }
        Some(change)
    });
}

/// The broker leads nothing and serves nobody until it is unfenced.
pub(super) fn fence(step: &mut Step<'_>, broker: &Arc<Broker>) {
    resign(step, broker.id);
    step.log.write(Record::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
        fenced: 1,
        ..registration_change(broker)
    }));
}

/// A change of the broker's registration that changes nothing yet.
pub(super) fn registration_change(broker: &Broker) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord { broker_id: broker.id.0, broker_epoch: broker.epoch, ..Default::default() }
}

/// Writes the change, if any, that `decide` has for a partition, for all partitions in order of topic name and index.
pub(super) fn change_each(step: &mut Step<'_>, decide: impl Fn(&Partition) -> Option<PartitionChangeRecord>) {
    let topics = step.log.topics().clone();
    for topic in topics.iter() {
        for (partition_id, partition) in topic.partitions() {
            if let Some(change) = decide(partition) {
                let change = PartitionChangeRecord { topic_id: topic.id, partition_id, ..change };
                step.log.write(Record::PartitionChange(change));
            }
        }
    }
}
