//! The keys of a broker: every one of Kafka 4.3.1, an area a file, and Ottla's own.

pub(crate) mod cleanup;
pub(crate) mod groups;
pub(crate) mod log;
pub(crate) mod message;
pub(crate) mod metrics;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod ottla;
pub(crate) mod quorum;
pub(crate) mod quotas;
pub(crate) mod remote;
pub(crate) mod replication;
pub(crate) mod requests;
pub(crate) mod sasl;
pub(crate) mod security;
pub(crate) mod share;
pub(crate) mod ssl;
pub(crate) mod streams;
pub(crate) mod topics;
pub(crate) mod transactions;

use crate::key::{Def, Synonym};
use crate::topic;

const AREAS: [&[Def]; 20] = [
    node::TABLE,
    network::TABLE,
    requests::TABLE,
    topics::TABLE,
    log::TABLE,
    message::TABLE,
    cleanup::TABLE,
    replication::TABLE,
    quorum::TABLE,
    transactions::TABLE,
    groups::TABLE,
    share::TABLE,
    streams::TABLE,
    security::TABLE,
    ssl::TABLE,
    sasl::TABLE,
    quotas::TABLE,
    metrics::TABLE,
    remote::TABLE,
    ottla::TABLE,
];

/// All broker keys, area by area.
pub fn all() -> impl Iterator<Item = &'static Def> {
    AREAS.into_iter().flatten()
}

/// Whether a key is Ottla's own, which Kafka does not have.
pub fn is_own(name: &str) -> bool {
    name.starts_with("ottla.")
}

pub fn find(name: &str) -> Option<&'static Def> {
    all().find(|def| def.name == name)
}

/// The key that `name` sets, which is a key's own name or `listener.name.<listener>.<key>`: a key for one listener
/// only. SASL keys have the mechanism between listener and key.
pub(crate) fn find_base(name: &str) -> Option<&'static Def> {
    let Some(key) = key_of_a_listener(name) else { return find(name) };
    find(key).or_else(|| sasl_key_after_mechanism(key))
}

/// What of `listener.name.<listener>.<key>` is for a listener; `None` if the name is no such one.
pub(crate) fn key_of_a_listener(name: &str) -> Option<&str> {
    let (_, key) = name.strip_prefix("listener.name.")?.split_once('.')?;
    Some(key)
}

/// The keys that can be set for a listener of that name on all brokers (Kafka's `DynamicBrokerConfig`).
pub(crate) const OF_LISTENERS_OF_ALL_BROKERS: [&str; 3] =
    ["max.connections", "max.connection.creation.rate", "num.network.threads"];

fn sasl_key_after_mechanism(name: &str) -> Option<&'static Def> {
    name.split_once('.')
        .and_then(|(_, key)| find(key))
        .filter(|def| def.name.starts_with("sasl.") || def.name == "connections.max.reauth.ms")
}

/// The keys that say the same as `name` in other units, itself among them: `log.retention.{ms,minutes,hours}`.
pub(crate) fn same_in_other_units(name: &str) -> Option<&'static [Synonym]> {
    topic::all().map(topic::synonyms).find(|synonyms| synonyms.len() > 1 && synonyms.iter().any(|s| s.name == name))
}

/// The known key that `unknown` may have been meant to be: the one that sets the default of a topic key of this name,
/// or one that differs in a third of its letters at most.
pub(crate) fn meant_by(unknown: &str) -> Option<&'static str> {
    if let Some(key) = topic::find(unknown).and_then(|def| topic::synonyms(def).first()) {
        return Some(key.name);
    }
    let (distance, name) = all().map(|def| (edits(unknown, def.name), def.name)).min()?;
    (distance <= unknown.len() / 3).then_some(name)
}

/// Letters to insert, remove or replace until `a` is `b` (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_leads_to_the_key_that_was_meant() {
        for (unknown, expected) in [
            ("num.partition", Some("num.partitions")),
            ("log.drs", Some("log.dirs")),
            ("advertised.listener", Some("advertised.listeners")),
            ("retention.ms", Some("log.retention.ms")),
            ("max.message.bytes", Some("message.max.bytes")),
            ("my.own.key.of.nobody", None),
            ("", None),
        ] {
            assert_eq!(meant_by(unknown), expected, "{unknown}");
        }
    }

    #[test]
    fn a_key_for_one_listener_is_found() {
        for (name, expected) in [
            ("num.partitions", Some("num.partitions")),
            ("listener.name.external.max.connections", Some("max.connections")),
            ("listener.name.external.ssl.keystore.location", Some("ssl.keystore.location")),
            ("listener.name.external.scram-sha-256.sasl.jaas.config", Some("sasl.jaas.config")),
            ("listener.name.external.plain.connections.max.reauth.ms", Some("connections.max.reauth.ms")),
            ("listener.name.external.plain.max.connections", None),
            ("listener.name.external", None),
            ("listener.name.", None),
        ] {
            assert_eq!(find_base(name).map(|def| def.name), expected, "{name}");
        }
    }
}
