//! The log of the metadata, who writes it, and what was made of it.

use ottla_observe::{Labels, Text};
use ottla_records::BatchHeader;

use super::families::metadata::*;
use super::{Sources, none};
use crate::metrics::measure::{MICROS, named};

pub fn write(text: &mut Text, sources: &Sources) {
    write_log(text, sources);
    write_controller(text, sources);
    write_broker(text, sources);
}

/// One node is all there is of a quorum: what is flushed here is committed, and the controller applies what it writes.
fn write_log(text: &mut Text, sources: &Sources) {
    let reader = sources.controller.reader();
    let (end, committed, node) = (reader.end().offset, reader.flushed().offset, sources.broker.identity.node_id.0);
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_ACTIVECONTROLLERCOUNT, 1_u32);
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_LASTAPPLIEDRECORDOFFSET, end - 1);
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_LASTCOMMITTEDRECORDOFFSET, committed - 1);
    text.single(&KAFKA_SERVER_RAFT_METRICS_CURRENT_LEADER, node);
    text.single(&KAFKA_SERVER_RAFT_METRICS_HIGH_WATERMARK, committed);
    text.single(&KAFKA_SERVER_RAFT_METRICS_LOG_END_OFFSET, end);
    // A leader begins its epoch with a record of its own.
    if let Some(BatchHeader { leader_epoch, max_timestamp, .. }) = header_of(sources, end - 1) {
        text.single(&KAFKA_SERVER_RAFT_METRICS_CURRENT_EPOCH, leader_epoch);
        text.single(&KAFKA_SERVER_RAFT_METRICS_LOG_END_EPOCH, leader_epoch);
        text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_LASTAPPLIEDRECORDTIMESTAMP, max_timestamp);
    }
    let commits = sources.controller.metrics.commits_us.recent(sources.broker.rt.mono_us());
    if let Some((mean, max)) = commits.mean().zip(commits.max()) {
        text.single(&KAFKA_SERVER_RAFT_METRICS_COMMIT_LATENCY_AVG, mean * MICROS);
        text.single(&KAFKA_SERVER_RAFT_METRICS_COMMIT_LATENCY_MAX, max * MICROS);
    }
    let (snapshot_bytes, snapshot_age_ms) = sources.controller.snapshot_bytes_and_age_ms();
    text.single(&KAFKA_SERVER_SNAPSHOTEMITTER_LATESTSNAPSHOTGENERATEDBYTES, snapshot_bytes);
    text.single(&KAFKA_SERVER_SNAPSHOTEMITTER_LATESTSNAPSHOTGENERATEDAGEMS, snapshot_age_ms);
    text.single(&KAFKA_SERVER_METADATALOADER_CURRENTCONTROLLERID, node);
}

/// Of the batch with this offset; `None` where it is only in a snapshot.
fn header_of(sources: &Sources, offset: i64) -> Option<BatchHeader> {
    let reader = sources.controller.reader();
    reader.header_of(offset, reader.end()).ok()?
}

fn write_controller(text: &mut Text, Sources { broker, controller, .. }: &Sources) {
    let metrics = &controller.metrics;
    let commands = &metrics.commands_us;
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_EVENTQUEUEOPERATIONSSTARTEDCOUNT, commands.count());
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_EVENTQUEUEOPERATIONSTIMEDOUTCOUNT, metrics.late_commands.get());
    let times = named(&commands.recent(broker.rt.mono_us()), MICROS);
    text.summary(
        &KAFKA_CONTROLLER_CONTROLLEREVENTMANAGER_EVENTQUEUEPROCESSINGTIMEMS,
        [(&none(), commands.count(), times)],
    );
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_METADATAERRORCOUNT, metrics.controller_errors.get());
    // It applies what it writes.
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_LASTAPPLIEDRECORDLAGMS, 0_u32);
}

/// What this broker has made of the metadata.
fn write_broker(text: &mut Text, sources: &Sources) {
    let Sources { broker, controller, .. } = sources;
    let published = broker.published.load_full();
    let (image, now_us) = (&published.image, broker.rt.mono_us());
    text.single(&KAFKA_SERVER_BROKER_METADATA_METRICS_LAST_APPLIED_RECORD_OFFSET, image.offset());
    if let Some(BatchHeader { max_timestamp, .. }) = header_of(sources, image.offset()) {
        text.single(&KAFKA_SERVER_BROKER_METADATA_METRICS_LAST_APPLIED_RECORD_TIMESTAMP, max_timestamp);
    }
    let (applied, committed) = controller.applied_and_committed();
    // Records of the quorum count as applied without being in the image.
    let next = applied.max(image.offset() + 1);
    let behind = (next < committed).then(|| header_of(sources, next)).flatten();
    let lag_ms = behind.map_or(0, |header| (broker.rt.wall_ms() - header.max_timestamp).max(0));
    text.single(&KAFKA_SERVER_BROKER_METADATA_METRICS_LAST_APPLIED_RECORD_LAG_MS, lag_ms);
    let metrics = &controller.metrics;
    text.single(&KAFKA_SERVER_BROKER_METADATA_METRICS_METADATA_LOAD_ERROR_COUNT, metrics.load_errors.get());
    text.single(&KAFKA_SERVER_BROKER_METADATA_METRICS_METADATA_APPLY_ERROR_COUNT, broker.metrics.failed_opens.get());
    let measures = [
        (&KAFKA_SERVER_BROKERMETADATALISTENER_METADATABATCHSIZES, &metrics.applied),
        (&KAFKA_SERVER_BROKERMETADATALISTENER_METADATABATCHPROCESSINGTIMEUS, &metrics.applied_us),
    ];
    for (family, measure) in measures {
        text.summary(family, [(&none(), measure.count(), named(&measure.recent(now_us), 1.0))]);
    }
    let loaded_snapshots = u32::from(controller.base().is_some());
    text.single(&KAFKA_SERVER_METADATALOADER_HANDLELOADSNAPSHOTCOUNT, loaded_snapshots);
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
