//! Connections, and the memory that their requests take.

use std::sync::Arc;

use ottla_net::{Visits, Volume};
use ottla_observe::{Family, Labels, Text};

use super::Sources;
use super::families::connections::*;
use crate::metrics::software::UNKNOWN;

pub fn write(text: &mut Text, sources: &Sources) {
    let network = sources.broker.listeners.network();
    let listeners = sources.broker.listeners.visits();
    let (used, free) = network.queued_bytes_and_free();
    text.single(&KAFKA_NETWORK_SOCKETSERVER_MEMORYPOOLUSED, used);
    text.single(&KAFKA_NETWORK_SOCKETSERVER_MEMORYPOOLAVAILABLE, free);
    text.single(&KAFKA_SERVER_SOCKET_SERVER_METRICS_MEMORYPOOLDEPLETEDTIMETOTAL, network.depleted_ms());
    write_visits(text, &listeners);
    write_volumes(text, &listeners);
    write_software(text, sources, &listeners);
}

/// Names, and what was counted under them.
type Listeners = [(String, Arc<Visits>)];

fn write_visits(text: &mut Text, listeners: &Listeners) {
    let of_listener = |(name, visits): &(String, Arc<Visits>)| {
        let (accepted, closed) = visits.accepted_and_closed();
        (Labels::of(&["listener"], &[name]), accepted, closed)
    };
    let all: Vec<_> = listeners.iter().map(of_listener).collect();
    let count = all.iter().map(|(labels, accepted, closed)| (labels, accepted - closed));
    text.family(&KAFKA_SERVER_SOCKET_SERVER_METRICS_CONNECTION_COUNT, count);
    let accepted = all.iter().map(|(labels, accepted, _)| (labels, *accepted));
    text.family(&KAFKA_SERVER_SOCKET_SERVER_METRICS_CONNECTION_CREATION_TOTAL, accepted);
    let closed = all.iter().map(|(labels, _, closed)| (labels, *closed));
    text.family(&KAFKA_SERVER_SOCKET_SERVER_METRICS_CONNECTION_CLOSE_TOTAL, closed);
}

type Sum = fn(&Volume) -> u64;

/// Kafka's names of what a client of its network layer sends and receives, which a server has the other way round.
const VOLUMES: [(&Family, Sum); 4] = [
    (&KAFKA_SERVER_SOCKET_SERVER_METRICS_INCOMING_BYTE_TOTAL, |volume| volume.bytes_in),
    (&KAFKA_SERVER_SOCKET_SERVER_METRICS_OUTGOING_BYTE_TOTAL, |volume| volume.bytes_out),
    (&KAFKA_SERVER_SOCKET_SERVER_METRICS_REQUEST_TOTAL, |volume| volume.replies),
    (&KAFKA_SERVER_SOCKET_SERVER_METRICS_RESPONSE_TOTAL, |volume| volume.requests),
];

fn write_volumes(text: &mut Text, listeners: &Listeners) {
    let labels = |name: &str| Labels::of(&["listener"], &[name]);
    let all: Vec<_> = listeners.iter().map(|(name, visits)| (labels(name), visits.volume(), visits)).collect();
    for (family, sum) in VOLUMES {
        text.family(family, all.iter().map(|(labels, volume, _)| (labels, sum(volume))));
    }
    let idle = all.iter().map(|(labels, _, visits)| (labels, visits.closed_idle()));
    text.family(&OTTLA_IDLE_CONNECTIONS_CLOSED_TOTAL, idle);
}

fn write_software(text: &mut Text, Sources { broker, .. }: &Sources, listeners: &Listeners) {
    let family = &KAFKA_SERVER_SOCKET_SERVER_METRICS_CONNECTIONS;
    let known = broker.metrics.software.counts();
    let unknown = listeners.iter().filter_map(|(listener, visits)| {
        let (accepted, closed) = visits.accepted_and_closed();
        let of_listener = known.iter().filter(|(_, of, _)| **of == **listener);
        let count = (accepted - closed).saturating_sub(of_listener.map(|(_, _, count)| count).sum());
        (count > 0).then(|| (Labels::of(family.labels, &[UNKNOWN, UNKNOWN, listener]), count))
    });
    let told = known
        .iter()
        .map(|((name, version), listener, count)| (Labels::of(family.labels, &[name, version, listener]), *count));
    let rows: Vec<_> = told.chain(unknown).collect();
    text.family(family, rows.iter().map(|(labels, count)| (labels, *count)));
}
