//! The log of the metadata, who writes it, and what was made of it.

use ottla_observe::{Labels, Text};

use super::Sources;
use super::families::metadata::*;

/// One node is all there is of a quorum: what is flushed here is committed, and the controller applies what it writes.
pub fn write(text: &mut Text, sources: &Sources) {
    let published = sources.broker.published.load_full();
    let image = &published.image;
    let reader = sources.controller.reader();
    let (end, committed, node) = (reader.end().offset, reader.flushed().offset, sources.broker.identity.node_id.0);
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_ACTIVECONTROLLERCOUNT, 1_u32);
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_LASTAPPLIEDRECORDOFFSET, end - 1);
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_LASTCOMMITTEDRECORDOFFSET, committed - 1);
    text.single(&KAFKA_SERVER_RAFT_METRICS_CURRENT_LEADER, node);
    text.single(&KAFKA_SERVER_RAFT_METRICS_HIGH_WATERMARK, committed);
    text.single(&KAFKA_SERVER_RAFT_METRICS_LOG_END_OFFSET, end);
    text.single(&KAFKA_SERVER_BROKER_METADATA_METRICS_LAST_APPLIED_RECORD_OFFSET, image.offset());
    let (snapshot_bytes, snapshot_age_ms) = sources.controller.snapshot_bytes_and_age_ms();
    text.single(&KAFKA_SERVER_SNAPSHOTEMITTER_LATESTSNAPSHOTGENERATEDBYTES, snapshot_bytes);
    text.single(&KAFKA_SERVER_SNAPSHOTEMITTER_LATESTSNAPSHOTGENERATEDAGEMS, snapshot_age_ms);
    text.single(&KAFKA_SERVER_METADATALOADER_CURRENTCONTROLLERID, node);
    text.single(&KAFKA_SERVER_METADATALOADER_CURRENTMETADATAVERSION, image.features().level("metadata.version"));
    let levels: Vec<(Labels, i16)> =
        image.features().iter().map(|(name, level)| (Labels::of(&["featureName"], &[&camel(name)]), level)).collect();
    let rows = levels.iter().map(|(labels, level)| (labels, *level));
    text.family(&KAFKA_SERVER_METADATALOADER_FINALIZEDLEVEL, rows);
}

/// `metadata.version` is `metadataVersion` among Kafka's MBeans.
fn camel(feature: &str) -> String {
    let mut words = feature.split('.');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        name + &head.to_uppercase() + tail
    })
}
