//! The first records of a new log: feature levels, and the one broker config that is always in the log.
//!
//! Kafka's `format` puts the levels that were chosen, and SCRAM credentials, beside the log (`bootstrap.checkpoint`): these
//! come first. A transaction that its controller did not end is aborted before anything else, as by a new controller of
//! Kafka; if it was the bootstrap, all of it is done again.
//!
//! Eligible leader replicas depend on `min.insync.replicas`, so the controller must know every change of it; Kafka copies
//! the static value into the log once and has it govern from then on (KIP-966).
//!
//! A log may be older than a feature that this version finalises. There is no tool yet to finalise one, and nobody has
//! decided against it, so the start does it: a cluster gets what works. A level that the log says stays.

use std::sync::Arc;

use ottla_config::{Overrides, ServerConfig, ServerLayers, TopicLayers};
use ottla_wire::records::{AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord, FeatureLevelRecord};

use super::{MIN_INSYNC_REPLICAS, Step};
use crate::features::{FEATURES, METADATA_VERSION};
use crate::{ConfigResource, Record};

/// Begins a new log. To a log that has begun, adds the features of which it says nothing.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    pub server: Arc<ServerConfig>,
    /// What was put aside for a new log.
    pub records: Vec<Record>,
}

pub(super) fn decide(step: &mut Step<'_>, bootstrap: Bootstrap) {
    if step.log.is_in_transaction() {
        let reason = Some("the controller that began it is gone".into());
        step.log.write(Record::AbortTransaction(AbortTransactionRecord { reason, ..Default::default() }));
    }
    if step.log.features().is_mentioned(METADATA_VERSION) {
        return finalise_missing(step);
    }
    step.log.write(Record::BeginTransaction(BeginTransactionRecord {
        name: Some("Bootstrap records".into()),
        ..Default::default()
    }));
    bootstrap.records.into_iter().for_each(|record| step.log.write(record));
    finalise_missing(step);
    let none = Overrides::new();
    let layers = TopicLayers { topic: &none, server: ServerLayers::of(&bootstrap.server) };
    step.log.write(Record::Config {
        resource: ConfigResource::BrokerDefault,
        key: MIN_INSYNC_REPLICAS.into(),
        value: Some(layers.config().min_insync_replicas.to_string().into()),
    });
    step.log.write(Record::EndTransaction(EndTransactionRecord::default()));
}

fn finalise_missing(step: &mut Step<'_>) {
    for feature in FEATURES {
        if !step.log.features().is_mentioned(feature.name) {
            step.log.write(Record::FeatureLevel(FeatureLevelRecord {
                name: feature.name.into(),
                feature_level: feature.initial,
                ..Default::default()
            }));
        }
    }
}
