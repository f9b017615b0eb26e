//! Requests: what became of them, and those that wait.

use ottla_observe::{Labels, Text};
use ottla_wire::ApiKey;

use super::Sources;
use super::families::requests::*;
use crate::metrics::requests::OfApi;

/// What Kafka calls a fetch that is not of a follower, and counts under both names.
const OF_CONSUMERS: &str = "FetchConsumer";

pub fn write(text: &mut Text, sources: &Sources) {
    write_requests(text, sources);
    write_waiting(text, sources);
}

fn write_requests(text: &mut Text, Sources { broker, .. }: &Sources) {
    let now_us = broker.rt.mono_us();
    let used: Vec<&OfApi> = broker.metrics.requests.iter().filter(|api| api.count() > 0).collect();
    let named: Vec<(&'static str, &OfApi)> = used
        .iter()
        .flat_map(|api| {
            let twice = (api.key == ApiKey::Fetch).then_some((OF_CONSUMERS, *api));
            std::iter::once((api.key.api().name, *api)).chain(twice)
        })
        .collect();
    let by_version: Vec<(Labels, u64)> = named
        .iter()
        .flat_map(|(name, api)| api.by_version().map(|(version, count)| (*name, version, count)))
        .map(|(name, version, count)| (Labels::of(&["request", "version"], &[name, &version.to_string()]), count))
        .collect();
    text.family(
        &KAFKA_NETWORK_REQUESTMETRICS_REQUESTS_TOTAL,
        by_version.iter().map(|(labels, count)| (labels, *count)),
    );
    let errors: Vec<(Labels, u64)> = used
        .iter()
        .flat_map(|api| api.errors().map(|(error, count)| (api.key.api().name, error, count)))
        .map(|(name, error, count)| (Labels::of(&["request", "error"], &[name, error.name()]), count))
        .collect();
    text.family(&KAFKA_NETWORK_REQUESTMETRICS_ERRORS_TOTAL, errors.iter().map(|(labels, count)| (labels, *count)));
    let labelled: Vec<(Labels, &OfApi)> =
        named.iter().map(|(name, api)| (Labels::of(&["request"], &[name]), *api)).collect();
    let times: Vec<_> = labelled.iter().map(|(_, api)| api.times_ms(now_us)).collect();
    let families = [
        &KAFKA_NETWORK_REQUESTMETRICS_TOTALTIMEMS,
        &KAFKA_NETWORK_REQUESTMETRICS_LOCALTIMEMS,
        &KAFKA_NETWORK_REQUESTMETRICS_REMOTETIMEMS,
    ];
    for (part, family) in families.into_iter().enumerate() {
        let rows = labelled.iter().zip(&times).map(|((labels, api), times)| (labels, api.count(), times[part]));
        text.summary(family, rows);
    }
    let bytes = labelled.iter().map(|(labels, api)| (labels, api.count(), api.bytes(now_us)));
    text.summary(&KAFKA_NETWORK_REQUESTMETRICS_REQUESTBYTES, bytes);
}

fn write_waiting(text: &mut Text, Sources { broker, .. }: &Sources) {
    let metrics = &broker.metrics;
    let waiting = [("Fetch", metrics.waiting_fetches.get()), ("Produce", metrics.waiting_produces.get())]
        .map(|(name, count)| (Labels::of(&["delayedOperation"], &[name]), count));
    for family in [
        &KAFKA_SERVER_DELAYEDOPERATIONPURGATORY_NUMDELAYEDOPERATIONS,
        &KAFKA_SERVER_DELAYEDOPERATIONPURGATORY_PURGATORYSIZE,
    ] {
        text.family(family, waiting.iter().map(|(labels, count)| (labels, *count)));
    }
    text.single(&KAFKA_SERVER_DELAYEDPRODUCEMETRICS_EXPIRES_TOTAL, metrics.expired_produces.get());
    let sessions = broker.fetch_sessions.numbers();
    text.single(&KAFKA_SERVER_FETCHSESSIONCACHE_NUMINCREMENTALFETCHSESSIONS, sessions.sessions);
    text.single(&KAFKA_SERVER_FETCHSESSIONCACHE_NUMINCREMENTALFETCHPARTITIONSCACHED, sessions.partitions);
    text.single(&KAFKA_SERVER_FETCHSESSIONCACHE_INCREMENTALFETCHSESSIONEVICTIONS_TOTAL, sessions.evicted);
}
