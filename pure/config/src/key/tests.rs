//! The tables against the facts in `testdata/`, which were read from Kafka 4.3.1 by reflection. Where Kafka refuses an
//! empty list the facts say `non-empty`; its own printed bounds do not tell.

use std::collections::BTreeMap;

use super::*;
use crate::{broker, client_metrics, group, topic};

/// Keys whose default is Ottla's own: it runs without a configuration, Kafka does not.
const OWN_DEFAULTS: [(&str, &str); 8] = [
    ("broker.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("listeners", "PLAINTEXT://127.0.0.1:9092"),
    ("log.dir", "./ottla-data"),
    ("node.id", "1"),
    ("process.roles", "broker,controller"),
    ("socket.receive.buffer.bytes", "-1"),
    ("socket.send.buffer.bytes", "-1"),
];

fn check(facts: &str, defs: impl Iterator<Item = &'static Def>, scope: fn(Scope) -> String) {
    let mut own = BTreeMap::from(OWN_DEFAULTS);
    let mut rows: Vec<String> = defs
        .map(|def| {
            let default = match own.remove(def.name) {
                Some(default) => {
                    assert_eq!(def.default, Some(default), "{}", def.name);
                    "*"
                }
                None => def.default.map_or("null", |text| if text.is_empty() { "\"\"" } else { text }),
            };
            let hidden = u8::from(def.scope == Scope::Hidden);
            [def.name, &def.kind.to_string(), default, &def.bounds.to_string(), &hidden.to_string(), &scope(def.scope)]
                .join("\t")
        })
        .collect();
    rows.sort();
    let mut expected: Vec<String> = facts
        .lines()
        .skip(1)
        .map(|row| {
            let mut fields: Vec<&str> = row.split('\t').collect();
            if fields[5] == "read-only" || fields[5] == "per-broker" {
                let own = OWN_DEFAULTS.iter().any(|(name, _)| *name == fields[0]);
                fields[2] = if own { "*" } else { fields[2] };
            }
            fields.join("\t")
        })
        .collect();
    expected.sort();
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
    assert_eq!(rows.len(), expected.len());
}

#[test]
fn broker_keys_are_those_of_kafka() {
    let of_kafka = || broker::all().filter(|def| !broker::is_own(def.name));
    check(include_str!("../../testdata/broker.tsv"), of_kafka(), |scope| {
        match scope {
            Scope::ReadOnly | Scope::Hidden => "read-only",
            Scope::PerBroker => "per-broker",
            Scope::ClusterWide => "cluster-wide",
            Scope::Topic(_) => "topic",
            Scope::Group(_) => "group",
            Scope::ClientMetrics => "subscription",
        }
        .to_owned()
    });
    assert_eq!(of_kafka().filter(|def| def.scope != Scope::Hidden).count(), 340);
}

#[test]
fn topic_keys_are_those_of_kafka() {
    check(include_str!("../../testdata/topic.tsv"), topic::all(), |scope| {
        let Scope::Topic(synonyms) = scope else { return String::new() };
        let texts = synonyms.iter().map(|synonym| match synonym.unit {
            1 => synonym.name.to_owned(),
            unit => format!("{}*{unit}", synonym.name),
        });
        texts.collect::<Vec<_>>().join(" > ")
    });
    assert_eq!(topic::all().filter(|def| def.scope != Scope::Hidden).count(), 33);
}

#[test]
fn group_keys_are_those_of_kafka() {
    check(include_str!("../../testdata/group.tsv"), group::all(), |scope| {
        let Scope::Group(GovernedBy { default, min, max }) = scope else { return String::new() };
        [default, min, max].into_iter().flatten().collect::<Vec<_>>().join(" ")
    });
    assert_eq!(group::all().count(), 17);
}

/// Whatever a broker's key allows, the group's does: a default, or a limit, is a value that a group can have.
#[test]
fn a_group_key_is_of_the_kind_of_the_broker_keys_behind_it() {
    for def in group::all() {
        let GovernedBy { default, min, max } = group::governed_by(def);
        for name in [default, min, max].into_iter().flatten() {
            let key = broker::find(name).unwrap_or_else(|| panic!("{name} of {}", def.name));
            assert_eq!(key.kind, def.kind, "{name} of {}", def.name);
            assert!(default != Some(name) || key.default == def.default, "{name} of {}", def.name);
            assert!(least(key) >= least(def), "{name} of {}", def.name);
        }
    }
}

fn least(def: &Def) -> i64 {
    match def.bounds {
        Bounds::AtLeast(least) | Bounds::Between(least, _) => least,
        bounds => panic!("{}: {bounds}", def.name),
    }
}

fn every_table() -> impl Iterator<Item = &'static Def> {
    broker::all().chain(topic::all()).chain(group::all()).chain(client_metrics::all())
}

#[test]
fn defaults_are_canonical_and_in_their_bounds() {
    for def in every_table() {
        let Some(default) = def.default else { continue };
        assert_eq!(def.read(default).as_deref(), Ok(default), "{}", def.name);
        assert!(!def.refuses(default));
    }
}

#[test]
fn synonyms_are_broker_keys_and_give_the_same_default() {
    for def in topic::all() {
        let defaults = topic::synonyms(def).iter().filter_map(|synonym| {
            let key = broker::find(synonym.name).unwrap_or_else(|| panic!("{} of {}", synonym.name, def.name));
            assert!(synonym.unit == 1 || matches!(key.kind, Kind::Int | Kind::Long));
            let default = key.default?;
            Some(if synonym.unit == 1 {
                default.to_owned()
            } else {
                (default.parse::<i64>().unwrap() * synonym.unit).to_string()
            })
        });
        if let Some(first) = defaults.into_iter().next() {
            assert_eq!(def.default, Some(first.as_str()), "{}", def.name);
        }
    }
}

#[test]
fn every_key_is_documented_in_a_sentence() {
    for def in every_table() {
        let ends = def.doc.ends_with('.') && !def.doc.contains("  ");
        assert!(ends && (15..200).contains(&def.doc.len()), "{}: {}", def.name, def.doc);
    }
}

#[test]
fn a_promise_of_protection_is_refused() {
    for def in broker::all() {
        let is_protection = def.name.starts_with("ssl.") || def.name.starts_with("sasl.");
        assert!(!is_protection || def.effect == Effect::Refused, "{}", def.name);
    }
    let others: Vec<_> = broker::all()
        .chain(topic::all())
        .filter(|def| def.effect == Effect::Refused)
        .map(|def| def.name)
        .filter(|name| !name.starts_with("ssl.") && !name.starts_with("sasl."))
        .collect();
    assert_eq!(
        others,
        [
            "config.providers",
            "create.topic.policy.class.name",
            "alter.config.policy.class.name",
            "authorizer.class.name",
            "principal.builder.class",
            "security.inter.broker.protocol",
            "security.providers",
            "connections.max.reauth.ms",
            "delegation.token.secret.key",
            "client.quota.callback.class",
            "remote.log.storage.system.enable",
            "remote.storage.enable",
        ]
    );
}
