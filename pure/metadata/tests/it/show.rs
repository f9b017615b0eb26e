//! Records as short lines. What is as it always is, is not shown; topic ids are shown as `#` and the topic's name.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_metadata::{ConfigResource, Record};

/// Names of the topic ids seen so far.
#[derive(Default)]
pub struct Names(BTreeMap<Uuid, Arc<str>>);

impl Names {
    pub fn record(&mut self, record: &Record) -> String {
        if let Record::Topic(topic) = record {
            self.0.insert(topic.topic_id, topic.name.clone());
        }
        match record {
            Record::Topic(r) => format!("TOPIC {:?}", r.name),
            Record::Partition(r) => format!(
                "PARTITION {}-{} replicas {:?} isr {:?} leader {} epoch {} partition epoch {} directories {:?}",
                self.topic(&r.topic_id),
                r.partition_id,
                r.replicas,
                r.isr,
                r.leader,
                r.leader_epoch,
                r.partition_epoch,
                r.directories
            ),
            Record::PartitionChange(r) => {
                let mut line = format!("PARTITION_CHANGE {}-{}", self.topic(&r.topic_id), r.partition_id);
                set(&mut line, "isr", r.isr.as_ref());
                set(&mut line, "leader", (r.leader != -2).then_some(r.leader));
                set(&mut line, "recovery", (r.leader_recovery_state != -1).then_some(r.leader_recovery_state));
                set(&mut line, "elr", r.eligible_leader_replicas.as_ref());
                set(&mut line, "last elr", r.last_known_elr.as_ref());
                set(&mut line, "directories", r.directories.as_ref());
                assert!(r.replicas.is_none());
                line
            }
            Record::ClearElr(r) => format!("CLEAR_ELR {:?}", r.topic_name),
            Record::RemoveTopic(r) => format!("REMOVE_TOPIC {}", self.topic(&r.topic_id)),
            Record::Config { resource, key, value } => {
                let resource = match resource {
                    ConfigResource::Topic(name) => format!("topic {name}"),
                    ConfigResource::Broker(id) => format!("broker {id}"),
                    ConfigResource::BrokerDefault => "all brokers".into(),
                    ConfigResource::Group(name) => format!("group {name}"),
                    ConfigResource::ClientMetrics(name) => format!("client metrics {name}"),
                };
                format!("CONFIG {resource}: {key} = {:?}", value.as_deref().unwrap_or("(none)"))
            }
            Record::RegisterBroker(r) => format!(
                "REGISTER_BROKER {} epoch {} fenced {} at {:?} rack {:?} directories {:?}",
                r.broker_id,
                r.broker_epoch,
                r.fenced,
                r.end_points.iter().map(|e| format!("{}://{}:{}", e.name, e.host, e.port)).collect::<Vec<_>>(),
                r.rack,
                r.log_dirs
            ),
            Record::BrokerRegistrationChange(r) => {
                let mut line = format!("BROKER_REGISTRATION_CHANGE {} epoch {}", r.broker_id, r.broker_epoch);
                set(&mut line, "fenced", (r.fenced != 0).then_some(r.fenced));
                set(&mut line, "in shutdown", (r.in_controlled_shutdown != 0).then_some(r.in_controlled_shutdown));
                set(&mut line, "cordoned", r.cordoned_log_dirs.as_ref());
                set(&mut line, "directories", Some(&r.log_dirs).filter(|dirs| !dirs.is_empty()));
                line
            }
            Record::RegisterController(r) => format!("REGISTER_CONTROLLER {}", r.controller_id),
            Record::FeatureLevel(r) => format!("FEATURE_LEVEL {} = {}", r.name, r.feature_level),
            Record::ProducerIds(r) => {
                format!("PRODUCER_IDS broker {} epoch {} next {}", r.broker_id, r.broker_epoch, r.next_producer_id)
            }
            Record::BeginTransaction(r) => format!("BEGIN_TRANSACTION {:?}", r.name.as_deref().unwrap_or_default()),
            Record::EndTransaction(_) => "END_TRANSACTION".into(),
            Record::NoOp(_) => "NO_OP".into(),
        }
    }

    /// `#` and the name, `#?` for an id that was never in a record, nothing for zeros.
    pub fn topic(&self, id: &Uuid) -> String {
        match self.0.get(id) {
            Some(name) => format!("#{name}"),
            None if id.is_zero() => String::new(),
            None => "#?".into(),
        }
    }

    /// The id that was last given to a topic of this name.
    pub fn id_of(&self, image: &ottla_metadata::Image, name: &str) -> Uuid {
        let live = image.topics().get(name).map(|topic| topic.id);
        live.or_else(|| self.0.iter().find(|(_, n)| &***n == name).map(|(id, _)| *id)).unwrap_or(Uuid([0xee; 16]))
    }
}

fn set<T: Debug>(line: &mut String, name: &str, value: Option<T>) {
    if let Some(value) = value {
        line.push_str(&format!(" {name} {value:?}"));
    }
}
