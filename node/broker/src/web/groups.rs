//! `/groups` and `/groups/<id>`: how far groups are behind, and why they had to share anew.
//!
//! A group's id stands percent-encoded in the path. Times are milliseconds since 1970-01-01 UTC.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_group::{Explained, Late, Protocol, Reason, Rebalance, Summary, What, Who};
use ottla_http::{Answer, JSON, Json, Status};
use ottla_wire::ErrorCode;

use super::Desk;
use crate::coordinate::lag::{self, Lag, Times};
use crate::metrics::scrape::Sources;

/// Groups that a list has.
const LISTED_MAX: usize = 10_000;
/// Answers that are waited for, made or sent. Who comes when there are as many is told to come again, and the places of HTTP
/// connections are left to others.
pub const ANSWERS_MAX: usize = 8;

pub async fn list(desk: Arc<Desk>) -> Answer {
    with_sources(desk, |sources| {
        let groups = &sources.broker.groups;
        let mut lags = BTreeMap::<Arc<str>, i64>::new();
        for Lag { committed, messages, .. } in &*groups.lags(&sources.broker.published()) {
            *lags.entry(committed.group.clone()).or_default() += messages;
        }
        let all = groups.summaries(LISTED_MAX);
        let listed = all.iter().map(|summary| {
            let mut fields = of_summary(summary);
            fields.push(("lag_messages", lags.get(&summary.id).copied().into()));
            Json::Object(fields)
        });
        json(Status::Ok, Json::Object(vec![("groups", listed.collect())]))
    })
    .await
}

pub async fn one(desk: Arc<Desk>, encoded: String) -> Answer {
    let Some(id) = decoded(&encoded) else {
        return json(Status::NotFound, error("the id is not percent-encoded UTF-8"));
    };
    with_sources(desk, move |sources| {
        let broker = &sources.broker;
        match broker.groups.explain(&id) {
            Ok(Some(explained)) => {
                let committed = explained.committed.iter().take(lag::LAGS_MAX).cloned().collect();
                let published = broker.published();
                let lags = lag::look(&published, committed, broker.rt.now().wall_ms, &mut Times::default());
                json(Status::Ok, of_group(&explained, &lags))
            }
            Ok(None) => json(Status::NotFound, error("there is no such group")),
            Err(code) => json(Status::Unavailable, error(code.name())),
        }
    })
    .await
}

/// Makes an answer on a thread that may block, one at a time.
async fn with_sources(desk: Arc<Desk>, make: impl FnOnce(&Sources) -> Answer + Send + 'static) -> Answer {
    let Ok(permit) = desk.group_answers.clone().try_acquire_owned() else {
        return json(Status::Unavailable, error("others are being told at this moment"));
    };
    let starting = || json(Status::Unavailable, error(ErrorCode::CoordinatorNotAvailable.name()));
    let making = desk.clone();
    let answer = desk.group_maker.make(&desk.rt, move || making.sources.get().map_or_else(starting, make)).await;
    Answer { held: Some(Box::new(permit)), ..answer }
}

fn json(status: Status, json: Json) -> Answer {
    Answer::new(status, JSON, format!("{json}\n"))
}

fn error(text: &str) -> Json {
    Json::Object(vec![("error", text.into())])
}

fn of_summary(Summary { id, kind, state, members }: &Summary) -> Vec<(&'static str, Json)> {
    vec![("group", id.into()), ("type", (*kind).into()), ("state", (*state).into()), ("members", (*members).into())]
}

fn of_group(explained: &Explained, lags: &[Lag]) -> Json {
    let mut fields = of_summary(&explained.summary);
    fields.retain(|(name, _)| *name != "members");
    fields.push(("epoch", explained.epoch.into()));
    fields.push(("members", explained.members.iter().map(|who| Json::Object(of_member(who))).collect()));
    fields.push(("rebalances", explained.rebalances.iter().map(of_rebalance).collect()));
    fields.push(("partitions", lags.iter().map(of_lag).collect()));
    Json::Object(fields)
}

fn of_member(Who { member_id, instance_id, client_id, client_host }: &Who) -> Vec<(&'static str, Json)> {
    vec![
        ("member_id", member_id.into()),
        ("instance_id", instance_id.as_ref().into()),
        ("client_id", client_id.into()),
        ("host", client_host.trim_start_matches('/').into()),
    ]
}

fn of_rebalance(rebalance: &Rebalance) -> Json {
    let Rebalance { protocol, began_ms, ended_ms, before, after, reasons, more_reasons, moved, idle_ms } = rebalance;
    let protocol = match protocol {
        Protocol::Classic => "classic",
        Protocol::Consumer => "consumer",
    };
    Json::Object(vec![
        ("protocol", protocol.into()),
        ("began_ms", (*began_ms).into()),
        ("ended_ms", (*ended_ms).into()),
        ("epoch_before", (*before).into()),
        ("epoch_after", (*after).into()),
        ("reasons", reasons.iter().map(of_reason).collect()),
        ("more_reasons", (*more_reasons).into()),
        ("partitions_moved", (*moved).into()),
        ("idle_ms", (*idle_ms).into()),
    ])
}

fn of_reason(Reason { what, who }: &Reason) -> Json {
    let mut fields = vec![("reason", what.name().into())];
    match what {
        What::TimedOut(late) => fields.extend(of_late("session_timeout_ms", late)),
        What::TooSlow(late) => fields.extend(of_late("rebalance_timeout_ms", late)),
        What::Replaced { by } => fields.push(("by", by.into())),
        _ => {}
    }
    fields.extend(who.iter().flat_map(of_member));
    Json::Object(fields)
}

/// How long was waited for the member; by how much it was late, until it was heard of again or removed.
fn of_late(timeout: &'static str, Late { timeout_ms, late_ms, is_back, .. }: &Late) -> [(&'static str, Json); 3] {
    [(timeout, (*timeout_ms).into()), ("late_ms", (*late_ms).into()), ("heard_again", Json::Bool(*is_back))]
}

fn of_lag(Lag { committed, end, messages, seconds }: &Lag) -> Json {
    Json::Object(vec![
        ("topic", (&committed.topic).into()),
        ("partition", committed.partition.into()),
        ("committed_offset", committed.offset.into()),
        ("end_offset", (*end).into()),
        ("lag_messages", (*messages).into()),
        ("lag_seconds", (*seconds).into()),
    ])
}

fn decoded(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(match first {
            b'%' => {
                let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
                rest = &rest[2..];
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_paths() {
        for (encoded, id) in [
            ("orders", Some("orders")),
            ("a%20b%2Fc", Some("a b/c")),
            ("%c3%bc", Some("ü")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%+1", None),
            ("%ff", None),
        ] {
            assert_eq!(decoded(encoded).as_deref(), id, "{encoded}");
        }
    }
}
