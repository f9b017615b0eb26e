//! A subscription to metrics that clients push (KIP-714): its keys, and what is wrong with their values.
//!
//! A broker asks clients for metrics only if it has something to give them to, a telemetry plugin. Without one, which is
//! Ottla's case and that of most Kafka brokers, subscriptions are checked, kept and shown, and no client hears of them.

use std::sync::Arc;

use crate::bounds::Bounds::*;
use crate::describe::{Described, DescribedSynonym, Source, documentation};
use crate::java_pattern;
use crate::key::Scope::ClientMetrics;
use crate::key::{Def, keys};
use crate::topic_config::Overrides;
use crate::value;

keys! {
    /// Beginnings of the names of the metrics that clients are asked for, or `*` for all of them.
    later: list "metrics" = "", Any, ClientMetrics;
    /// Time between two pushes of a client.
    later INTERVAL_MS: int "interval.ms" = 300000, Between(100, 3600000), ClientMetrics;
    /// Which clients are asked, as `client_id=pattern,client_software_name=pattern,...` of which all match; empty means all clients.
    later MATCH: list "match" = "", Any, ClientMetrics;
}

/// What of a client a pattern can be about.
const MATCHED: [&str; 6] = [
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Why there cannot be such a subscription.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientMetricsError {
    /// Kafka's `INVALID_REQUEST`, as is the next one.
    #[error("{0} is not a config of client metrics")]
    Unknown(Arc<str>),
    #[error("{key} = {value}: {expected}")]
    OutOfBounds { key: &'static str, value: Arc<str>, expected: String },
    /// Kafka's `INVALID_CONFIG`, as is the next one.
    #[error("{key} = {value}: {expected}")]
    BadValue { key: &'static str, value: Arc<str>, expected: String },
    #[error("{key}: `{one}` is not name=pattern with a name of {}, and a pattern of Java's", MATCHED.join(", "))]
    BadPattern { key: &'static str, one: String },
}

/// All keys of a subscription.
pub fn all() -> impl Iterator<Item = &'static Def> {
    TABLE.iter()
}

fn find(name: &str) -> Option<&'static Def> {
    all().find(|def| def.name == name)
}

/// Checks all that is set for a subscription.
pub fn check(subscription: &Overrides) -> Result<(), ClientMetricsError> {
    if let Some(key) = subscription.keys().find(|key| find(key).is_none()) {
        return Err(ClientMetricsError::Unknown(key.clone()));
    }
    let known = subscription.iter().filter_map(|(key, value)| Some((find(key)?, value)));
    for (def, text) in known {
        let (key, value) = (def.name, text.clone());
        match (value::canonical(def.kind, text), def.read(text)) {
            (None, Err(bad)) => {
                return Err(ClientMetricsError::BadValue { key, value, expected: bad.to_string() });
            }
            (_, Err(bad)) => return Err(ClientMetricsError::OutOfBounds { key, value, expected: bad.to_string() }),
            (_, Ok(canonical)) if key == MATCH.name => check_patterns(&canonical)?,
            _ => {}
        }
    }
    Ok(())
}

/// A comma ends a pattern, and so does a second `=`, unless nothing else follows it.
fn check_patterns(list: &str) -> Result<(), ClientMetricsError> {
    let is_good = |one: &str| match one.trim_end_matches('=').split_once('=') {
        Some((what, pattern)) => {
            MATCHED.contains(&what.trim()) && !pattern.contains('=') && java_pattern::is_well_formed(pattern.trim())
        }
        None => false,
    };
    match list.split(',').find(|one| !one.is_empty() && !is_good(one)) {
        Some(one) => Err(ClientMetricsError::BadPattern { key: MATCH.name, one: one.to_owned() }),
        None => Ok(()),
    }
}

/// The keys of a subscription, by name, which need not be there. A default has no synonyms, as by Kafka.
pub fn describe(subscription: &Overrides) -> Vec<Described> {
    let describe = |def: &'static Def| {
        let own = subscription.get(def.name).and_then(|text| def.read(text).ok());
        let source = if own.is_some() { Source::ClientMetrics } else { Source::Default };
        let synonym =
            |value: &String| DescribedSynonym { name: def.name.to_owned(), value: Some(value.clone()), source };
        Described {
            name: def.name.to_owned(),
            source,
            kind: Some(def.kind),
            is_read_only: false,
            is_sensitive: false,
            synonyms: own.iter().map(synonym).collect(),
            documentation: Some(documentation(def)),
            value: own.or_else(|| def.default.map(str::to_owned)),
        }
    };
    let mut all: Vec<_> = all().map(describe).collect();
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(key: &str, value: &str) -> String {
        let subscription = Overrides::from([(key.into(), value.into())]);
        match check(&subscription) {
            Ok(()) => "good".to_owned(),
            Err(ClientMetricsError::Unknown(_) | ClientMetricsError::OutOfBounds { .. }) => "request".to_owned(),
            Err(ClientMetricsError::BadValue { .. } | ClientMetricsError::BadPattern { .. }) => "config".to_owned(),
        }
    }

    /// As Kafka 4.3.1 answers.
    #[test]
    fn what_kafka_takes_is_taken() {
        for (key, value, expected) in [
            ("interval.ms", "99", "request"),
            ("interval.ms", " 100 ", "good"),
            ("interval.ms", "3600000", "good"),
            ("interval.ms", "3600001", "request"),
            ("interval.ms", "x", "config"),
            ("interval.ms", "", "config"),
            ("nope", "1", "request"),
            ("match", "", "good"),
            ("match", ",", "config"),
            ("match", "x", "config"),
            ("match", "client_id", "config"),
            ("match", "client_id=", "config"),
            ("match", "client_id= ", "config"),
            ("match", "client_id=a=b", "config"),
            ("match", "client_id=a==", "good"),
            ("match", "=a", "config"),
            ("match", " client_id = a ", "good"),
            ("match", "Client_Id=a", "config"),
            ("match", "client_id=(", "config"),
            ("match", "client_id=a{2,3}", "config"),
            ("match", "client_id=a,,", "config"),
            ("match", "client_id=a,client_source_port=9.*", "good"),
            ("metrics", "a,a", "good"),
            ("metrics", "a,,b", "config"),
            ("metrics", "*", "good"),
        ] {
            assert_eq!(outcome(key, value), expected, "{key} = {value}");
        }
    }

    #[test]
    fn what_is_shown_says_that_nobody_is_asked() {
        let subscription = Overrides::from([("interval.ms".into(), " +500 ".into())]);
        let described = describe(&subscription);
        let shown: Vec<_> =
            described.iter().map(|d| (&*d.name, d.value.as_deref(), d.source, d.synonyms.len())).collect();
        let (own, default) = (Source::ClientMetrics, Source::Default);
        let expected =
            [("interval.ms", Some("500"), own, 1), ("match", Some(""), default, 0), ("metrics", Some(""), default, 0)];
        assert_eq!(shown, expected);
        let says = |one: &Described| one.documentation.as_ref().unwrap().contains("no effect in Ottla");
        assert!(described.iter().all(says));
    }
}
