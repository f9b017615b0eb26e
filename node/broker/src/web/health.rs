//! `/healthz` and `/readyz`.
//!
//! The first tells whether the process should be killed: it is well while the control plane's thread, on which this is
//! answered, answers. A disk that stalls is no reason, and neither is a start that takes long. The second tells whether
//! clients should be sent here: from the end of a start to the beginning of a stop, as long as the broker is registered. A log
//! that cannot be opened, or a log directory that has failed, must not take the others from their clients: it is told, no more.

use std::fmt::Write;
use std::sync::Arc;

use ottla_http::{Answer, Status};

use super::Desk;
use crate::Broker;
use crate::metrics::scrape::BrokerState;

/// Logs that are not open are named up to so many.
const NAMED_MAX: usize = 10;

pub fn live() -> Answer {
    Answer::text(Status::Ok, "ok\n")
}

pub async fn ready(desk: Arc<Desk>) -> Answer {
    let why_not = match (desk.state(), desk.sources.get()) {
        (BrokerState::Stopping, _) => Some("the broker stops\n"),
        (_, Some(sources)) => why_not(&sources.broker),
        (_, None) => Some("the broker starts: it is reading its logs, or registering\n"),
    };
    if let Some(why_not) = why_not {
        return Answer::text(Status::Unavailable, why_not);
    }
    let closed = desk.sources.get().map_or(String::new(), |sources| closed(&sources.broker));
    Answer::text(Status::Ok, format!("ok\n{closed}"))
}

fn why_not(broker: &Broker) -> Option<&'static str> {
    let published = broker.published();
    let registered = published.image.brokers().get(broker.identity.node_id);
    match registered.filter(|registered| registered.incarnation_id == broker.identity.incarnation_id) {
        None => Some("the broker is not registered\n"),
        Some(registered) if registered.fenced => Some("the broker is fenced\n"),
        Some(_) => None,
    }
}

/// A line for each partition that is not served.
fn closed(broker: &Broker) -> String {
    let published = broker.published();
    let mut lines = String::new();
    let mut closed = published.topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter().enumerate();
        let closed = partitions.filter(|(_, open)| open.as_ref().is_none_or(|partition| partition.has_failed()));
        closed.map(|(index, _)| (topic.name.clone(), index))
    });
    for (topic, index) in closed.by_ref().take(NAMED_MAX) {
        writeln!(lines, "the log of {topic}-{index} is not open").expect("a string takes all");
    }
    match closed.count() {
        0 => {}
        more => writeln!(lines, "and {more} more are not").expect("a string takes all"),
    }
    lines
}
