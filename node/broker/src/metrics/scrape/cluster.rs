//! The cluster as the metadata say it is, who controls it, and the disk under it.

use std::sync::Arc;

use ottla_metadata::Image;
use ottla_metadata::image::Broker;
use ottla_observe::{Labels, Text};

use super::Sources;
use crate::directory::Directory;
use crate::directory::report::cordoned;
use crate::metrics::families::*;

pub fn write(text: &mut Text, sources: &Sources) {
    let published = sources.broker.published.load_full();
    let image = &published.image;
    write_brokers(text, image);
    write_topics(text, image);
    write_metadata(text, sources, image);
    write_disk(text, sources, image);
}

fn write_brokers(text: &mut Text, image: &Image) {
    let count = |is: fn(&Broker) -> bool| image.brokers().iter().filter(|broker| is(broker)).count();
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_ACTIVEBROKERCOUNT, count(|broker| !broker.fenced));
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_FENCEDBROKERCOUNT, count(|broker| broker.fenced));
    let stopping = count(|broker| broker.in_controlled_shutdown);
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_CONTROLLEDSHUTDOWNBROKERCOUNT, stopping);
    let states: Vec<(Labels, u32)> = image
        .brokers()
        .iter()
        .map(|broker| (Labels::of(&["broker"], &[&broker.id.0.to_string()]), registration_state(broker)))
        .collect();
    let rows = states.iter().map(|(labels, state)| (labels, *state));
    text.family(&KAFKA_CONTROLLER_KAFKACONTROLLER_BROKERREGISTRATIONSTATE, rows);
}

/// Kafka's numbers.
fn registration_state(broker: &Broker) -> u32 {
    match (broker.fenced, broker.in_controlled_shutdown) {
        (true, _) => 10,
        (false, true) => 20,
        (false, false) => 30,
    }
}

fn write_topics(text: &mut Text, image: &Image) {
    let (mut all, mut offline, mut moved) = (0_usize, 0_usize, 0_usize);
    for (_, partition) in image.topics().iter().flat_map(|topic| topic.partitions()) {
        all += 1;
        offline += usize::from(partition.leader.0 < 0);
        moved += usize::from(Some(&partition.leader) != partition.replicas.first());
    }
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_GLOBALTOPICCOUNT, image.topics().len());
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_GLOBALPARTITIONCOUNT, all);
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_OFFLINEPARTITIONSCOUNT, offline);
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_PREFERREDREPLICAIMBALANCECOUNT, moved);
}

/// One node is all there is of a quorum: what is flushed here is committed, and the controller applies what it writes.
fn write_metadata(text: &mut Text, sources: &Sources, image: &Image) {
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

fn write_disk(text: &mut Text, Sources { broker, .. }: &Sources, image: &Image) {
    let directories = &broker.directories;
    let labels = |path: &str| Labels::of(OTTLA_DISK_FREE_BYTES.labels, &[path]);
    let opened: Vec<_> = directories.iter().map(|directory| (labels(&directory.shown()), directory)).collect();
    let all = |of: fn(&Directory) -> u64| opened.iter().map(move |(labels, directory)| (labels, of(directory)));
    text.family(&OTTLA_LOG_DIRTY_BYTES, all(|directory| directory.flushing.dirty_bytes_and_max().0));
    text.family(&OTTLA_LOG_DIRTY_BYTES_MAX, all(|directory| directory.flushing.dirty_bytes_and_max().1));
    text.family(&OTTLA_DISK_FULL, all(|directory| directory.room.is_full().into()));
    let free = |(labels, directory): &(Labels, &Arc<Directory>)| {
        Some((labels.clone(), directory.log_dir.disk().free_bytes(directory.path()).ok()?))
    };
    let free: Vec<_> = opened.iter().filter_map(free).collect();
    text.family(&OTTLA_DISK_FREE_BYTES, free.iter().map(|(labels, free)| (labels, *free)));
    let unopened = directories.unopened().iter().map(|unopened| (labels(&unopened.shown()), true));
    let offline = opened.iter().map(|(labels, directory)| (labels.clone(), directory.has_failed()));
    let offline: Vec<_> = offline.chain(unopened).collect();
    let rows = offline.iter().map(|(labels, is_offline)| (labels, *is_offline));
    text.family(&KAFKA_LOG_LOGMANAGER_LOGDIRECTORYOFFLINE, rows);
    text.single(&KAFKA_LOG_LOGMANAGER_OFFLINELOGDIRECTORYCOUNT, directories.offline_count());
    let cordoned = cordoned(directories, &broker.config, image);
    text.single(&KAFKA_LOG_LOGMANAGER_CORDONEDLOGDIRECTORYCOUNT, cordoned.len());
    let rows = opened.iter().map(|(labels, directory)| (labels, cordoned.contains(&directory.id)));
    text.family(&KAFKA_LOG_LOGMANAGER_LOGDIRECTORYCORDONED, rows);
}
