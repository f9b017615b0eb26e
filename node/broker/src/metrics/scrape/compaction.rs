//! Compaction: how the last one went, and whether all that is to be compacted can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_observe::{Labels, Text};

use super::Sources;
use super::families::compaction::*;
use crate::Broker;
use crate::directory::Directory;
use crate::metrics::compaction::Last;

pub fn write(text: &mut Text, Sources { broker, .. }: &Sources) {
    let compaction = &broker.metrics.compaction;
    let Last { recopied, map_use, took_ms, dirty, overdue_ms, looked_ms, uncleanable } = compaction.last();
    let percent = |share: f64| (share * 100.0) as i64;
    text.single(&KAFKA_LOG_LOGCLEANER_CLEANER_RECOPY_PERCENT, percent(recopied));
    text.single(&KAFKA_LOG_LOGCLEANER_MAX_BUFFER_UTILIZATION_PERCENT, percent(map_use));
    text.single(&KAFKA_LOG_LOGCLEANER_MAX_CLEAN_TIME_SECS, took_ms / 1_000);
    text.single(&KAFKA_LOG_LOGCLEANERMANAGER_MAX_DIRTY_PERCENT, percent(dirty));
    text.single(&KAFKA_LOG_LOGCLEANER_MAX_COMPACTION_DELAY_SECS, overdue_ms / 1_000);
    if let Some(looked_ms) = looked_ms {
        let since_ms = broker.rt.mono_ms().saturating_sub(looked_ms);
        text.single(&KAFKA_LOG_LOGCLEANERMANAGER_TIME_SINCE_LAST_RUN_MS, since_ms);
    }
    let of = |path: String| {
        let labels = Labels::of(KAFKA_LOG_LOGCLEANERMANAGER_UNCLEANABLE_PARTITIONS_COUNT.labels, &[&path]);
        (labels, uncleanable.get(&path).copied().unwrap_or(0))
    };
    let counts: Vec<_> = broker.directories.iter().map(|directory| of(directory.shown())).collect();
    let rows = counts.iter().map(|(labels, count)| (labels, *count));
    text.family(&KAFKA_LOG_LOGCLEANERMANAGER_UNCLEANABLE_PARTITIONS_COUNT, rows);
    let dirty = uncleanable_bytes(broker);
    let of = |(labels, directory): (&Labels, &Arc<Directory>)| {
        (labels.clone(), dirty.get(&directory.shown()).copied().unwrap_or(0))
    };
    let bytes: Vec<_> = counts.iter().map(|(labels, _)| labels).zip(broker.directories.iter()).map(of).collect();
    let rows = bytes.iter().map(|(labels, bytes)| (labels, *bytes));
    text.family(&KAFKA_LOG_LOGCLEANERMANAGER_UNCLEANABLE_BYTES, rows);
    text.single(&KAFKA_UTILS_THROTTLER_CLEANER_IO_COUNT, compaction.bytes.get());
}

/// Of logs that are compacted no more, by the path of their log directory.
fn uncleanable_bytes(broker: &Broker) -> BTreeMap<String, u64> {
    let (published, now_wall_ms) = (broker.published.load_full(), broker.rt.now().wall_ms);
    let mut bytes = BTreeMap::new();
    let partitions = published.topics.iter().flat_map(|topic| topic.partitions.iter().flatten());
    for partition in partitions.filter(|partition| partition.is_uncleanable()) {
        if let Ok(Some(found)) = partition.cleanable(now_wall_ms) {
            *bytes.entry(partition.home.shown()).or_default() += found.cleanable_bytes;
        }
    }
    bytes
}
