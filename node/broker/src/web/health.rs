//! `/healthz` and `/readyz`.
//!
//! The first tells whether the process should be killed: it is well while the control plane's thread, on which this is
//! answered, answers. A disk that stalls is no reason, and neither is a start that takes long. The second tells whether
//! clients should be sent here.

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
    let missing = match (desk.state(), desk.sources.get()) {
        (BrokerState::Stopping, _) => "the broker stops\n".to_owned(),
        (_, Some(sources)) => missing(&sources.broker),
        (_, None) => "the broker starts: it is reading its logs, or registering\n".to_owned(),
    };
    if missing.is_empty() { Answer::text(Status::Ok, "ok\n") } else { Answer::text(Status::Unavailable, missing) }
}

/// A line for each thing that keeps the broker from serving all that it should.
fn missing(broker: &Broker) -> String {
    let published = broker.published();
    let mut lines = String::new();
    let registered = published.image.brokers().get(broker.identity.node_id);
    match registered.filter(|registered| registered.incarnation_id == broker.identity.incarnation_id) {
        None => lines.push_str("the broker is not registered\n"),
        Some(registered) if registered.fenced => lines.push_str("the broker is fenced\n"),
        Some(_) => {}
    }
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
