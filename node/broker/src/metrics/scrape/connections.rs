//! Connections, and the memory that their requests take.

use std::sync::Arc;

use ottla_net::Visits;
use ottla_observe::{Labels, Text};

use super::Sources;
use super::families::connections::*;

pub fn write(text: &mut Text, sources: &Sources) {
    let (used, free) = sources.network.queued_bytes_and_free();
    text.single(&KAFKA_NETWORK_SOCKETSERVER_MEMORYPOOLUSED, used);
    text.single(&KAFKA_NETWORK_SOCKETSERVER_MEMORYPOOLAVAILABLE, free);
    write_visits(text, sources);
}

fn write_visits(text: &mut Text, sources: &Sources) {
    let of_listener = |(name, visits): &(String, Arc<Visits>)| {
        let (accepted, closed) = visits.accepted_and_closed();
        (Labels::of(&["listener"], &[name]), accepted, closed)
    };
    let all: Vec<_> = sources.listeners.iter().map(of_listener).collect();
    let count = all.iter().map(|(labels, accepted, closed)| (labels, accepted - closed));
    text.family(&KAFKA_SERVER_SOCKET_SERVER_METRICS_CONNECTION_COUNT, count);
    let accepted = all.iter().map(|(labels, accepted, _)| (labels, *accepted));
    text.family(&KAFKA_SERVER_SOCKET_SERVER_METRICS_CONNECTION_CREATION_TOTAL, accepted);
    let closed = all.iter().map(|(labels, _, closed)| (labels, *closed));
    text.family(&KAFKA_SERVER_SOCKET_SERVER_METRICS_CONNECTION_CLOSE_TOTAL, closed);
}
