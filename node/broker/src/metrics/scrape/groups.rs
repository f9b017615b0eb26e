//! Groups of consumers: how many there are, why they rebalance, and how far they are behind.

use std::sync::Arc;

use ottla_group::{CONSUMER_STATES, Committed, Numbers, OffsetCounts, Tally};
use ottla_observe::{Family, Labels, Text};

use super::Sources;
use super::families::groups::*;
use crate::coordinate::host::Condition;
use crate::coordinate::lag::Lag;
use crate::metrics::coordinators::Coordinators;
use crate::metrics::measure::MICROS;

/// Groups of whose rebalances is told.
const TALLIES_MAX: usize = 10_000;

pub fn write(text: &mut Text, Sources { broker, .. }: &Sources) {
    let groups = &broker.groups;
    write_numbers(text, groups.numbers());
    let (classic, consumer) = groups.rebalances();
    text.single(&KAFKA_SERVER_GROUP_COORDINATOR_METRICS_GROUP_COMPLETED_REBALANCE_COUNT, classic);
    text.single(&KAFKA_SERVER_GROUP_COORDINATOR_METRICS_CONSUMER_GROUP_REBALANCE_COUNT, consumer);
    write_times(text, &broker.metrics.coordinators, broker.rt.mono_us());
    let conditions = groups.conditions();
    let count = |wanted| conditions.iter().filter(|condition| **condition == wanted).count();
    let by_condition = [
        ("loading", count(Condition::Loading)),
        ("active", count(Condition::Active)),
        ("failed", count(Condition::Failed)),
    ];
    by(text, &KAFKA_SERVER_GROUP_COORDINATOR_METRICS_NUM_PARTITIONS, &by_condition);
    write_tallies(text, &groups.tallies(TALLIES_MAX));
    write_lags(text, &groups.lags(&broker.published.load_full()));
}

fn by(text: &mut Text, family: &'static Family, counts: &[(&str, usize)]) {
    let rows: Vec<_> = counts.iter().map(|(name, count)| (Labels::of(family.labels, &[name]), *count)).collect();
    text.family(family, rows.iter().map(|(labels, count)| (labels, *count)));
}

fn write_numbers(text: &mut Text, numbers: Numbers) {
    let Numbers { classic, preparing, completing, stable, empty, consumer, offsets, offset_counts } = numbers;
    text.single(&KAFKA_COORDINATOR_GROUP_GROUPMETADATAMANAGER_NUMGROUPS, classic);
    text.single(&KAFKA_COORDINATOR_GROUP_GROUPMETADATAMANAGER_NUMGROUPSPREPARINGREBALANCE, preparing);
    text.single(&KAFKA_COORDINATOR_GROUP_GROUPMETADATAMANAGER_NUMGROUPSCOMPLETINGREBALANCE, completing);
    text.single(&KAFKA_COORDINATOR_GROUP_GROUPMETADATAMANAGER_NUMGROUPSSTABLE, stable);
    text.single(&KAFKA_COORDINATOR_GROUP_GROUPMETADATAMANAGER_NUMGROUPSEMPTY, empty);
    text.single(&KAFKA_COORDINATOR_GROUP_GROUPMETADATAMANAGER_NUMOFFSETS, offsets);
    let by_protocol = [("classic", classic), ("consumer", consumer.iter().sum())];
    by(text, &KAFKA_SERVER_GROUP_COORDINATOR_METRICS_GROUP_COUNT, &by_protocol);
    let by_state: Vec<_> = CONSUMER_STATES.into_iter().zip(consumer).collect();
    by(text, &KAFKA_SERVER_GROUP_COORDINATOR_METRICS_CONSUMER_GROUP_COUNT, &by_state);
    let OffsetCounts { committed, deleted, expired } = offset_counts;
    text.single(&KAFKA_SERVER_GROUP_COORDINATOR_METRICS_OFFSET_COMMIT_COUNT, committed);
    text.single(&KAFKA_SERVER_GROUP_COORDINATOR_METRICS_OFFSET_DELETION_COUNT, deleted);
    text.single(&KAFKA_SERVER_GROUP_COORDINATOR_METRICS_OFFSET_EXPIRATION_COUNT, expired);
}

/// Kafka gives each quantile a name of its own, and has the largest value among them.
type Spread = [&'static Family; 5];

const COMMANDS: Spread = [
    &KAFKA_SERVER_GROUP_COORDINATOR_METRICS_EVENT_PROCESSING_TIME_MS_P50,
    &KAFKA_SERVER_GROUP_COORDINATOR_METRICS_EVENT_PROCESSING_TIME_MS_P95,
    &KAFKA_SERVER_GROUP_COORDINATOR_METRICS_EVENT_PROCESSING_TIME_MS_P99,
    &KAFKA_SERVER_GROUP_COORDINATOR_METRICS_EVENT_PROCESSING_TIME_MS_P999,
    &KAFKA_SERVER_GROUP_COORDINATOR_METRICS_EVENT_PROCESSING_TIME_MS_MAX,
];
const APPENDS: Spread = [
    &KAFKA_SERVER_GROUP_COORDINATOR_METRICS_BATCH_FLUSH_TIME_MS_P50,
    &KAFKA_SERVER_GROUP_COORDINATOR_METRICS_BATCH_FLUSH_TIME_MS_P95,
    &KAFKA_SERVER_GROUP_COORDINATOR_METRICS_BATCH_FLUSH_TIME_MS_P99,
    &KAFKA_SERVER_GROUP_COORDINATOR_METRICS_BATCH_FLUSH_TIME_MS_P999,
    &KAFKA_SERVER_GROUP_COORDINATOR_METRICS_BATCH_FLUSH_TIME_MS_MAX,
];

fn write_times(text: &mut Text, times: &Coordinators, now_us: i64) {
    for (spread, measure) in [(COMMANDS, &times.commands_us), (APPENDS, &times.appends_us)] {
        let recent = measure.recent(now_us);
        if let Some(([p50, _, p95, _, p99, p999], max)) = recent.quantiles().zip(recent.max()) {
            let values = [p50, p95, p99, p999, max];
            spread.into_iter().zip(values).for_each(|(family, value)| text.single(family, value * MICROS));
        }
    }
    text.single(&OTTLA_GROUP_COORDINATOR_BATCHES_TOTAL, times.appends_us.count());
    let loads = times.loads_ms.recent(now_us);
    if let Some((mean, max)) = loads.mean().zip(loads.max()) {
        text.single(&KAFKA_SERVER_GROUP_COORDINATOR_METRICS_PARTITION_LOAD_TIME_AVG, mean);
        text.single(&KAFKA_SERVER_GROUP_COORDINATOR_METRICS_PARTITION_LOAD_TIME_MAX, max);
    }
}

fn write_tallies(text: &mut Text, tallies: &[(Arc<str>, Tally)]) {
    let labels = |group: &Arc<str>| Labels::of(OTTLA_GROUP_REBALANCES_TOTAL.labels, &[group]);
    let all: Vec<(Labels, &Tally)> = tallies.iter().map(|(group, tally)| (labels(group), tally)).collect();
    text.family(&OTTLA_GROUP_REBALANCES_TOTAL, all.iter().map(|(labels, tally)| (labels, tally.rebalances)));
    text.family(&OTTLA_GROUP_MOVED_PARTITIONS_TOTAL, all.iter().map(|(labels, tally)| (labels, tally.moved)));
    let seconds = all.iter().map(|(labels, tally)| (labels, tally.idle_ms as f64 / 1_000.0));
    text.family(&OTTLA_GROUP_IDLE_SECONDS_TOTAL, seconds);
    let reasons: Vec<(Labels, u64)> = tallies
        .iter()
        .flat_map(|(group, tally)| tally.reasons.iter().map(move |(reason, count)| (group, reason, count)))
        .map(|(group, reason, count)| {
            (Labels::of(OTTLA_GROUP_REBALANCE_REASONS_TOTAL.labels, &[group, reason]), *count)
        })
        .collect();
    text.family(&OTTLA_GROUP_REBALANCE_REASONS_TOTAL, reasons.iter().map(|(labels, count)| (labels, *count)));
}

/// Bounded by [`LAGS_MAX`](crate::coordinate::lag::LAGS_MAX), and looked up every few seconds at most.
fn write_lags(text: &mut Text, lags: &[Lag]) {
    let labelled: Vec<(Labels, &Lag)> = lags
        .iter()
        .map(|lag| {
            let Committed { group, topic, partition, .. } = &lag.committed;
            (Labels::of(OTTLA_GROUP_LAG_MESSAGES.labels, &[group, topic, &partition.to_string()]), lag)
        })
        .collect();
    text.family(&OTTLA_GROUP_LAG_MESSAGES, labelled.iter().map(|(labels, lag)| (labels, lag.messages)));
    let seconds = labelled.iter().filter_map(|(labels, lag)| Some((labels, lag.seconds?)));
    text.family(&OTTLA_GROUP_LAG_SECONDS, seconds);
}
