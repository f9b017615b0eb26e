//! Whether this node can serve a log that another may have written, Kafka among them.
//!
//! A log says more than what Ottla has: ACLs protect data, replicas lie on other nodes, features work at levels of their
//! own. To serve it all the same would give away what was protected, or lead partitions whose records are elsewhere. So it is
//! asked of the whole image, once it is known and before anything is written, and the answer says what is in the way and
//! what to do. What only has no effect is told in one line ([`without_effect`]).

use ottla_base::NodeId;
use ottla_wire::records::AccessControlEntryRecord;

use crate::image::Partition;
use crate::{Image, features};

/// Why a log is not served by this node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error(
        "it holds {count} ACLs, among them: {example}. Ottla does not enforce ACLs yet and would let everybody do what they \
         forbid. If they are not needed, remove them with Apache Kafka (kafka-acls.sh --remove); else stay with it"
    )]
    Acls { count: usize, example: String },
    #[error(
        "it is at level {level} of feature {name}, and Ottla works at {min} to {max}. Change the level with Apache Kafka \
         (kafka-features.sh)"
    )]
    Level { name: String, level: i16, min: i16, max: i16 },
    #[error(
        "it is of a cluster with other brokers: {other} is registered, and this is node {node}. Ottla takes over clusters \
         of one node. If broker {other} is gone for good, unregister it with Apache Kafka (kafka-cluster.sh unregister)"
    )]
    OtherBroker { other: NodeId, node: NodeId },
    #[error(
        "partition {partition} of topic {topic} has replicas on {replicas:?}, and this is node {node}. Ottla takes over \
         clusters of one node. Move its only replica here with Apache Kafka (kafka-reassign-partitions.sh)"
    )]
    ReplicasElsewhere { topic: String, partition: i32, replicas: Vec<i32>, node: NodeId },
    #[error(
        "partition {partition} of topic {topic} is being reassigned: replicas {adding:?} are to come, {removing:?} to go. Let \
         Apache Kafka finish it, or cancel it (kafka-reassign-partitions.sh --cancel)"
    )]
    Reassigned { topic: String, partition: i32, adding: Vec<i32>, removing: Vec<i32> },
    #[error(
        "its controllers are {voters:?}, and this is node {node}. Ottla takes over clusters of one node. Remove the other \
         controllers with Apache Kafka (kafka-metadata-quorum.sh remove-controller)"
    )]
    OtherVoters { voters: Vec<i32>, node: NodeId },
}

/// Looks for what keeps `node` from serving this image.
pub fn check(image: &Image, node: NodeId) -> Result<(), Unfit> {
    check_levels(image)?;
    if let Some(other) = image.brokers().iter().find(|broker| broker.id != node) {
        return Err(Unfit::OtherBroker { other: other.id, node });
    }
    check_reassignments(image)?;
    check_replicas(image, node)?;
    match image.kept().acls().next() {
        Some(first) => Err(Unfit::Acls { count: image.kept().acls().len(), example: words_of(first) }),
        None => Ok(()),
    }
}

/// The same of those who vote in the quorum.
pub fn check_voters(voters: &[i32], node: NodeId) -> Result<(), Unfit> {
    match voters.iter().all(|voter| *voter == node.0) {
        true => Ok(()),
        false => Err(Unfit::OtherVoters { voters: voters.to_vec(), node }),
    }
}

/// What is kept though it has no effect, for the one who reads the log of a start.
pub fn without_effect(image: &Image) -> Option<String> {
    let kept = image.kept();
    let counts = [
        (kept.scram_credentials().len(), "SCRAM credentials"),
        (kept.client_quotas().len(), "client quotas"),
        (kept.delegation_tokens().len(), "delegation tokens"),
        (image.configs().client_metrics().count(), "subscriptions to client metrics"),
    ];
    let some: Vec<_> = counts.iter().filter(|(count, _)| *count > 0).collect();
    let words: Vec<_> = some.iter().map(|(count, what)| format!("{what} ({count})")).collect();
    (!words.is_empty()).then(|| format!("kept for Apache Kafka, and without effect: {}", words.join(", ")))
}

fn check_levels(image: &Image) -> Result<(), Unfit> {
    for (name, level) in image.features().mentioned() {
        let levels = features::levels_of(name).unwrap_or(0..=0);
        if !levels.contains(&level) {
            return Err(Unfit::Level { name: name.into(), level, min: *levels.start(), max: *levels.end() });
        }
    }
    Ok(())
}

fn check_reassignments(image: &Image) -> Result<(), Unfit> {
    for topic in image.topics().iter() {
        let is_reassigned = |p: &Partition| !p.adding_replicas.is_empty() || !p.removing_replicas.is_empty();
        if let Some((index, partition)) = topic.partitions().find(|(_, partition)| is_reassigned(partition)) {
            let (adding, removing) = (ids(&partition.adding_replicas), ids(&partition.removing_replicas));
            return Err(Unfit::Reassigned { topic: topic.name.to_string(), partition: index, adding, removing });
        }
    }
    Ok(())
}

fn ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}

fn check_replicas(image: &Image, node: NodeId) -> Result<(), Unfit> {
    for topic in image.topics().iter() {
        let elsewhere = topic.partitions().find(|(_, partition)| partition.replicas != [node]);
        if let Some((index, partition)) = elsewhere {
            let replicas = ids(&partition.replicas);
            return Err(Unfit::ReplicasElsewhere { topic: topic.name.to_string(), partition: index, replicas, node });
        }
    }
    Ok(())
}

/// `User:alice ALLOW READ on topic orders from host *`, in Kafka's names.
fn words_of(acl: &AccessControlEntryRecord) -> String {
    let word = |words: &[&str], code: i8| {
        usize::try_from(code).ok().and_then(|code| words.get(code)).map_or_else(|| code.to_string(), |w| (*w).into())
    };
    let AccessControlEntryRecord { principal, resource_name, host, pattern_type, .. } = acl;
    let (permission, operation) = (word(&PERMISSIONS, acl.permission_type), word(&OPERATIONS, acl.operation));
    let (resource, star) = (word(&RESOURCES, acl.resource_type), if *pattern_type == PREFIXED { "*" } else { "" });
    format!("{principal} {permission} {operation} on {resource} {resource_name}{star} from host {host}")
}

const PREFIXED: i8 = 4;
/// By Kafka's codes, as are those below.
const PERMISSIONS: [&str; 4] = ["UNKNOWN", "ANY", "DENY", "ALLOW"];
const OPERATIONS: [&str; 16] = [
    "UNKNOWN",
    "ANY",
    "ALL",
    "READ",
    "WRITE",
    "CREATE",
    "DELETE",
    "ALTER",
    "DESCRIBE",
    "CLUSTER_ACTION",
    "DESCRIBE_CONFIGS",
    "ALTER_CONFIGS",
    "IDEMPOTENT_WRITE",
    "CREATE_TOKENS",
    "DESCRIBE_TOKENS",
    "TWO_PHASE_COMMIT",
];
const RESOURCES: [&str; 8] =
    ["unknown", "any", "topic", "group", "cluster", "transactional id", "delegation token", "user"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;
    use crate::image::KeptRecord;
    use ottla_base::Uuid;
    use ottla_machine::At;
    use ottla_wire::records::{
        ClientQuotaRecord, FeatureLevelRecord, PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord,
        RemoveAccessControlEntryRecord, TopicRecord, UnregisterBrokerRecord, UserScramCredentialRecord,
    };

    fn level(name: &str, feature_level: i16) -> Record {
        Record::FeatureLevel(FeatureLevelRecord { name: name.into(), feature_level, ..Default::default() })
    }

    fn acl(id: u8) -> Record {
        Record::Kept(KeptRecord::Acl(AccessControlEntryRecord {
            id: Uuid([id; 16]),
            resource_type: 2,
            resource_name: "orders".into(),
            pattern_type: 4,
            principal: "User:alice".into(),
            host: "*".into(),
            operation: 3,
            permission_type: 3,
            ..Default::default()
        }))
    }

    fn broker(broker_id: i32) -> Record {
        Record::RegisterBroker(RegisterBrokerRecord { broker_id, ..Default::default() })
    }

    fn image(records: &[Record]) -> Image {
        let mut image = Image::default();
        for (offset, record) in (0..).zip(records) {
            image.apply(At { offset }, record).unwrap();
        }
        image
    }

    /// `None`: it is served by node 1.
    fn check_image(records: &[Record], expected: Option<&str>) {
        let refusal = check(&image(records), NodeId(1)).err().map(|unfit| unfit.to_string());
        match (&refusal, expected) {
            (None, None) => {}
            (Some(refusal), Some(part)) => assert!(refusal.contains(part), "{refusal}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn acls_are_named() {
        check_image(&[acl(1), acl(2)], Some("2 ACLs, among them: User:alice ALLOW READ on topic orders* from host *"));
        let removal = RemoveAccessControlEntryRecord { id: Uuid([1; 16]), ..Default::default() };
        check_image(&[acl(1), Record::Kept(KeptRecord::RemoveAcl(removal))], None);
    }

    #[test]
    fn only_the_last_level_counts() {
        check_image(&[level("metadata.version", 29)], Some("level 29 of feature metadata.version"));
        check_image(&[level("metadata.version", 29), level("metadata.version", 30)], None);
        check_image(&[level("eligible.leader.replicas.version", 0)], Some("eligible.leader.replicas.version"));
        for (name, kept) in [("transaction.version", 2), ("share.version", 1), ("streams.version", 1)] {
            check_image(&[level(name, kept)], None);
        }
    }

    #[test]
    fn other_nodes_are_named() {
        check_image(&[broker(1), broker(2)], Some("2 is registered, and this is node 1"));
        let unregister = UnregisterBrokerRecord { broker_id: 2, ..Default::default() };
        check_image(&[broker(1), broker(2), Record::UnregisterBroker(unregister)], None);
        let topic = Record::Topic(TopicRecord { name: "t".into(), ..Default::default() });
        let partition =
            |replicas| Record::Partition(PartitionRecord { partition_id: 3, replicas, ..Default::default() });
        check_image(&[topic.clone(), partition(vec![1])], None);
        check_image(&[topic, partition(vec![2, 1])], Some("partition 3 of topic t has replicas on [2, 1]"));
        assert_eq!(check_voters(&[1], NodeId(1)), Ok(()));
        assert!(check_voters(&[1, 2], NodeId(1)).is_err() && check_voters(&[2], NodeId(1)).is_err());
    }

    #[test]
    fn only_a_reassignment_that_is_under_way_is_refused() {
        let topic = Record::Topic(TopicRecord { name: "t".into(), ..Default::default() });
        let made = PartitionRecord { partition_id: 3, replicas: vec![2, 1], ..Default::default() };
        let in_snapshot = PartitionRecord { adding_replicas: vec![1], removing_replicas: vec![2], ..made.clone() };
        let change = PartitionChangeRecord { partition_id: 3, ..Default::default() };
        let begin = |adding: &[i32], removing: &[i32]| {
            let some = |ids: &[i32]| Some(ids.to_vec()).filter(|ids| !ids.is_empty());
            let (adding_replicas, removing_replicas) = (some(adding), some(removing));
            Record::PartitionChange(PartitionChangeRecord { adding_replicas, removing_replicas, ..change.clone() })
        };
        let end = Record::PartitionChange(PartitionChangeRecord {
            replicas: Some(vec![1]),
            adding_replicas: Some(vec![]),
            removing_replicas: Some(vec![]),
            ..change.clone()
        });
        let (made, in_snapshot) = (Record::Partition(made), Record::Partition(in_snapshot));
        let words = "partition 3 of topic t is being reassigned: replicas [1] are to come, [2] to go. Let";
        check_image(&[topic.clone(), in_snapshot.clone()], Some(words));
        check_image(&[topic.clone(), in_snapshot, end.clone()], None);
        check_image(&[topic.clone(), made.clone(), begin(&[1], &[2])], Some(words));
        check_image(&[topic.clone(), made.clone(), begin(&[1], &[])], Some("replicas [1] are to come, [] to go"));
        check_image(&[topic.clone(), made.clone(), begin(&[], &[2])], Some("replicas [] are to come, [2] to go"));
        check_image(&[topic, made, begin(&[], &[2]), end], None);
    }

    #[test]
    fn what_has_no_effect_is_told_in_one_line() {
        assert_eq!(without_effect(&image(&[acl(1)])), None);
        let credential = Record::Kept(KeptRecord::ScramCredential(UserScramCredentialRecord::default()));
        let quota = Record::Kept(KeptRecord::ClientQuota(ClientQuotaRecord::default()));
        assert_eq!(
            without_effect(&image(&[credential, quota])).unwrap(),
            "kept for Apache Kafka, and without effect: SCRAM credentials (1), client quotas (1)"
        );
    }
}
