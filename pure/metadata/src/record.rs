//! The records of the metadata log.
//!
//! Each has an effect on the [`Image`](crate::Image), or is known to have none. Some are of things that Ottla does not have
//! yet (ACLs, quotas, SCRAM credentials): these it keeps ([`Record::Kept`]), and whether a log with them can be served is
//! decided when all of it is known ([`crate::takeover`]). What is left is refused as it is read, with its name.

use std::sync::Arc;

use ottla_base::NodeId;
use ottla_wire::records::{
    AbortTransactionRecord, BeginTransactionRecord, BrokerRegistrationChangeRecord, ClearElrRecord, ConfigRecord,
    EndTransactionRecord, FeatureLevelRecord, MetadataRecord, NoOpRecord, PartitionChangeRecord, PartitionRecord,
    ProducerIdsRecord, RegisterBrokerRecord, RegisterControllerRecord, RemoveTopicRecord, TopicRecord,
    UnregisterBrokerRecord,
};
use ottla_wire::{DecodeError, Reader, Writer};

use crate::ConfigResource;
use crate::features;
use crate::image::KeptRecord;

#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    Topic(TopicRecord),
    Partition(PartitionRecord),
    PartitionChange(PartitionChangeRecord),
    ClearElr(ClearElrRecord),
    RemoveTopic(RemoveTopicRecord),
    /// No value takes the config away.
    Config {
        resource: ConfigResource,
        key: Arc<str>,
        value: Option<Arc<str>>,
    },
    RegisterBroker(RegisterBrokerRecord),
    UnregisterBroker(UnregisterBrokerRecord),
    BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    RegisterController(RegisterControllerRecord),
    FeatureLevel(FeatureLevelRecord),
    ProducerIds(ProducerIdsRecord),
    BeginTransaction(BeginTransactionRecord),
    EndTransaction(EndTransactionRecord),
    AbortTransaction(AbortTransactionRecord),
    NoOp(NoOpRecord),
    /// Of something that Ottla does not act on.
    Kept(KeptRecord),
}

/// Why a metadata log cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecordError {
    #[error("the metadata log holds a record that cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    #[error("the metadata log holds {0}, which this version of Ottla does not support")]
    Unsupported(&'static str),
    #[error("the metadata log is at level {level} of feature {name}, which this version of Ottla does not support")]
    UnsupportedFeature { name: Arc<str>, level: i16 },
}

impl Record {
    /// Reads the value of a record of `__cluster_metadata`.
    pub fn decode(value: &[u8]) -> Result<Record, RecordError> {
        let record = MetadataRecord::decode(&mut Reader::new(value))?;
        let unsupported = |what| Err(RecordError::Unsupported(what));
        Ok(match record {
            MetadataRecord::TopicRecord(record) => Record::Topic(record),
            MetadataRecord::PartitionRecord(record) => Record::Partition(record),
            MetadataRecord::PartitionChangeRecord(record) => Record::PartitionChange(record),
            MetadataRecord::ClearElrRecord(record) => Record::ClearElr(record),
            MetadataRecord::RemoveTopicRecord(record) => Record::RemoveTopic(record),
            MetadataRecord::ConfigRecord(record) => match config_resource(&record) {
                Some(resource) => Record::Config { resource, key: record.name, value: record.value },
                None => return unsupported("configs of an unknown kind of resources"),
            },
            MetadataRecord::RegisterBrokerRecord(record) => Record::RegisterBroker(record),
            MetadataRecord::BrokerRegistrationChangeRecord(record) => Record::BrokerRegistrationChange(record),
            MetadataRecord::RegisterControllerRecord(record) => Record::RegisterController(record),
            MetadataRecord::FeatureLevelRecord(record) => {
                let FeatureLevelRecord { name, feature_level: level, .. } = &record;
                // A lower one may be followed by a higher one.
                if features::levels_of(name).is_none_or(|levels| level > levels.end()) {
                    return Err(RecordError::UnsupportedFeature { name: name.clone(), level: *level });
                }
                Record::FeatureLevel(record)
            }
            MetadataRecord::ProducerIdsRecord(record) => Record::ProducerIds(record),
            MetadataRecord::BeginTransactionRecord(record) => Record::BeginTransaction(record),
            MetadataRecord::EndTransactionRecord(record) => Record::EndTransaction(record),
            MetadataRecord::AbortTransactionRecord(record) => Record::AbortTransaction(record),
            MetadataRecord::NoOpRecord(record) => Record::NoOp(record),
            MetadataRecord::UnregisterBrokerRecord(record) => Record::UnregisterBroker(record),

            MetadataRecord::AccessControlEntryRecord(record) => Record::Kept(KeptRecord::Acl(record)),
            MetadataRecord::RemoveAccessControlEntryRecord(record) => Record::Kept(KeptRecord::RemoveAcl(record)),
            MetadataRecord::UserScramCredentialRecord(record) => Record::Kept(KeptRecord::ScramCredential(record)),
            MetadataRecord::RemoveUserScramCredentialRecord(record) => {
                Record::Kept(KeptRecord::RemoveScramCredential(record))
            }
            MetadataRecord::ClientQuotaRecord(record) => Record::Kept(KeptRecord::ClientQuota(record)),
            MetadataRecord::DelegationTokenRecord(record) => Record::Kept(KeptRecord::DelegationToken(record)),
            MetadataRecord::RemoveDelegationTokenRecord(record) => {
                Record::Kept(KeptRecord::RemoveDelegationToken(record))
            }

            // Of the first KRaft versions, in today's form; and what a move from ZooKeeper has left, which says nothing
            // since 4.0.
            MetadataRecord::FenceBrokerRecord(record) => fencing(record.id, record.epoch, 1),
            MetadataRecord::UnfenceBrokerRecord(record) => fencing(record.id, record.epoch, -1),
            MetadataRecord::ZkMigrationStateRecord(_) => Record::NoOp(NoOpRecord::default()),
        })
    }

    /// Appends the value of the record, in the version that belongs to metadata.version 30.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (record, version) = self.clone().into_wire();
        record.encode(&mut Writer::new(out), version);
    }

    fn into_wire(self) -> (MetadataRecord, i16) {
        match self {
            Record::Topic(record) => (MetadataRecord::TopicRecord(record), 0),
            Record::Partition(record) => (MetadataRecord::PartitionRecord(record), 2),
            Record::PartitionChange(record) => (MetadataRecord::PartitionChangeRecord(record), 2),
            Record::ClearElr(record) => (MetadataRecord::ClearElrRecord(record), 0),
            Record::RemoveTopic(record) => (MetadataRecord::RemoveTopicRecord(record), 0),
            Record::Config { resource, key, value } => {
                let (resource_type, resource_name) = resource_code(&resource);
                let record = ConfigRecord { resource_type, resource_name, name: key, value, ..Default::default() };
                (MetadataRecord::ConfigRecord(record), 0)
            }
            Record::RegisterBroker(record) => (MetadataRecord::RegisterBrokerRecord(record), 4),
            Record::UnregisterBroker(record) => (MetadataRecord::UnregisterBrokerRecord(record), 0),
            Record::BrokerRegistrationChange(record) => {
                let version = registration_change_version(&record);
                (MetadataRecord::BrokerRegistrationChangeRecord(record), version)
            }
            Record::RegisterController(record) => (MetadataRecord::RegisterControllerRecord(record), 0),
            Record::FeatureLevel(record) => (MetadataRecord::FeatureLevelRecord(record), 0),
            Record::ProducerIds(record) => (MetadataRecord::ProducerIdsRecord(record), 0),
            Record::BeginTransaction(record) => (MetadataRecord::BeginTransactionRecord(record), 0),
            Record::EndTransaction(record) => (MetadataRecord::EndTransactionRecord(record), 0),
            Record::AbortTransaction(record) => (MetadataRecord::AbortTransactionRecord(record), 0),
            Record::NoOp(record) => (MetadataRecord::NoOpRecord(record), 0),
            Record::Kept(record) => (record.into_wire(), 0),
        }
    }
}

fn fencing(broker_id: i32, broker_epoch: i64, fenced: i8) -> Record {
    let change = BrokerRegistrationChangeRecord { broker_id, broker_epoch, fenced, ..Default::default() };
    Record::BrokerRegistrationChange(change)
}

/// Kafka writes a change of a registration in the lowest version that can say it.
fn registration_change_version(record: &BrokerRegistrationChangeRecord) -> i16 {
    if record.cordoned_log_dirs.is_some() {
        3
    } else if !record.log_dirs.is_empty() {
        2
    } else if record.in_controlled_shutdown != 0 {
        1
    } else {
        0
    }
}

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

fn config_resource(record: &ConfigRecord) -> Option<ConfigResource> {
    match (record.resource_type, &*record.resource_name) {
        (TOPIC, _) => Some(ConfigResource::Topic(record.resource_name.clone())),
        (BROKER, "") => Some(ConfigResource::BrokerDefault),
        (GROUP, _) => Some(ConfigResource::Group(record.resource_name.clone())),
        (CLIENT_METRICS, _) => Some(ConfigResource::ClientMetrics(record.resource_name.clone())),
        (BROKER, id) => id.parse().ok().map(|id| ConfigResource::Broker(NodeId(id))),
        _ => None,
    }
}

fn resource_code(resource: &ConfigResource) -> (i8, Arc<str>) {
    match resource {
        ConfigResource::Topic(name) => (TOPIC, name.clone()),
        ConfigResource::BrokerDefault => (BROKER, Arc::default()),
        ConfigResource::Broker(id) => (BROKER, id.to_string().into()),
        ConfigResource::Group(name) => (GROUP, name.clone()),
        ConfigResource::ClientMetrics(name) => (CLIENT_METRICS, name.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_base::Uuid;
    use ottla_wire::records::{FenceBrokerRecord, UnfenceBrokerRecord};

    fn check(record: MetadataRecord, expected: &str) {
        let mut value = Vec::new();
        record.encode(&mut Writer::new(&mut value), record.latest_version());
        assert_eq!(Record::decode(&value).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let unsupported = |what| format!("the metadata log holds {what}, which this version of Ottla does not support");
        for (resource_type, name) in [(0, "g"), (8, "1"), (33, "g"), (4, "one")] {
            let record = ConfigRecord { resource_type, resource_name: name.into(), ..Default::default() };
            check(MetadataRecord::ConfigRecord(record), &unsupported("configs of an unknown kind of resources"));
        }
    }

    #[test]
    fn levels_of_later_versions_are_refused() {
        for (name, level) in [
            ("metadata.version", 31),
            ("eligible.leader.replicas.version", 2),
            ("group.version", 2),
            ("transaction.version", 3),
            ("share.version", 2),
            ("streams.version", 2),
            ("kraft.version", 1),
        ] {
            let record = FeatureLevelRecord { name: name.into(), feature_level: level, ..Default::default() };
            let expected = format!(
                "the metadata log is at level {level} of feature {name}, which this version of Ottla does not support"
            );
            check(MetadataRecord::FeatureLevelRecord(record), &expected);
        }
    }

    #[test]
    fn what_is_kept_is_written_as_it_was_read() {
        for record in [
            MetadataRecord::AccessControlEntryRecord(Default::default()),
            MetadataRecord::RemoveAccessControlEntryRecord(Default::default()),
            MetadataRecord::ClientQuotaRecord(Default::default()),
            MetadataRecord::DelegationTokenRecord(Default::default()),
            MetadataRecord::RemoveDelegationTokenRecord(Default::default()),
            MetadataRecord::UserScramCredentialRecord(Default::default()),
            MetadataRecord::RemoveUserScramCredentialRecord(Default::default()),
            MetadataRecord::AbortTransactionRecord(Default::default()),
            MetadataRecord::UnregisterBrokerRecord(Default::default()),
        ] {
            let (mut value, mut again) = (Vec::new(), Vec::new());
            record.encode(&mut Writer::new(&mut value), 0);
            Record::decode(&value).unwrap().encode(&mut again);
            assert_eq!(again, value, "{record:?}");
        }
    }

    #[test]
    fn records_of_older_versions_are_read_in_the_form_of_today() {
        let read = |record: MetadataRecord| {
            let mut value = Vec::new();
            record.encode(&mut Writer::new(&mut value), 0);
            Record::decode(&value).unwrap()
        };
        let fence = FenceBrokerRecord { id: 3, epoch: 9, ..Default::default() };
        assert_eq!(read(MetadataRecord::FenceBrokerRecord(fence)), fencing(3, 9, 1));
        let unfence = UnfenceBrokerRecord { id: 3, epoch: 9, ..Default::default() };
        assert_eq!(read(MetadataRecord::UnfenceBrokerRecord(unfence)), fencing(3, 9, -1));
        let migration = MetadataRecord::ZkMigrationStateRecord(Default::default());
        assert_eq!(read(migration), Record::NoOp(NoOpRecord::default()));
    }

    #[test]
    fn bytes_that_are_no_record_are_refused() {
        for value in [&b""[..], &[2, 2, 0], &[1, 6, 0], &[1, 2, 1], &[1, 2, 0, 5, b'a']] {
            let error = Record::decode(value).unwrap_err();
            assert!(matches!(error, RecordError::Malformed(_)), "{value:?}: {error}");
        }
    }

    #[test]
    fn a_config_record_says_whose_it_is() {
        for resource in [
            ConfigResource::Topic("t".into()),
            ConfigResource::BrokerDefault,
            ConfigResource::Broker(NodeId(7)),
            ConfigResource::Group("g".into()),
            ConfigResource::ClientMetrics("m".into()),
        ] {
            for value in [None, Some("".into()), Some("v".into())] {
                let record = Record::Config { resource: resource.clone(), key: "k".into(), value };
                let mut bytes = Vec::new();
                record.encode(&mut bytes);
                assert_eq!(Record::decode(&bytes), Ok(record));
            }
        }
    }

    /// The bytes are those that Kafka 4.3.1 wrote.
    #[test]
    fn the_configs_of_groups_and_metrics_are_written_as_kafka_writes_them() {
        for (resource, key, value, kind) in [
            (ConfigResource::Group("g".into()), "consumer.session.timeout.ms", "50000", b' '),
            (ConfigResource::ClientMetrics("g".into()), "interval.ms", "50000", 16),
        ] {
            let expected =
                [&[1, 4, 0, kind, 2, b'g', key.len() as u8 + 1], key.as_bytes(), &[6], b"50000", &[0]].concat();
            let mut bytes = Vec::new();
            Record::Config { resource, key: key.into(), value: Some(value.into()) }.encode(&mut bytes);
            assert_eq!(bytes, expected);
        }
    }

    #[test]
    fn a_change_of_a_registration_has_the_lowest_version_that_says_it() {
        let plain = BrokerRegistrationChangeRecord { broker_id: 1, fenced: 1, ..Default::default() };
        let dirs = vec![Uuid([1; 16])];
        for (record, version) in [
            (plain.clone(), 0),
            (BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..plain.clone() }, 1),
            (BrokerRegistrationChangeRecord { log_dirs: dirs.clone(), ..plain.clone() }, 2),
            (BrokerRegistrationChangeRecord { cordoned_log_dirs: Some(dirs), ..plain }, 3),
        ] {
            let record = Record::BrokerRegistrationChange(record);
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!(bytes[..3], [1, 17, version]);
            assert_eq!(Record::decode(&bytes), Ok(record));
        }
    }
}
