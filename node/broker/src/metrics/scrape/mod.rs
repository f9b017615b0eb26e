//! The text that Prometheus gets.
//!
//! It is made on a thread that may take its time. Of a partition it reads copies and counters, never what is held across a
//! write, so it waits for no disk and no writer waits for it. How long it gets is a matter of how many topics, partitions and
//! clients' kinds of requests there are, which all have limits of their own.

mod cluster;
mod compaction;
mod connections;
mod directories;
mod families;
mod groups;
mod metadata;
mod partitions;
mod process;
mod requests;
mod topics;

use std::sync::Arc;

use ottla_observe::{Labels, Text};

use crate::Broker;
use crate::control::host::Host;

/// Where the numbers of a broker that has started come from.
#[derive(Debug)]
pub struct Sources {
    pub broker: Arc<Broker>,
    pub controller: Arc<Host>,
}

/// How far the broker is, in Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BrokerState {
    Starting = 1,
    Running = 3,
    Stopping = 6,
}

/// Makes the text. `room` is how long it may become without being moved. Blocks, if a size was never asked for before.
pub fn text(sources: Option<&Sources>, state: BrokerState, room: usize) -> String {
    let mut text = Text::with_capacity(room);
    process::write(&mut text, state);
    if let Some(sources) = sources {
        partitions::write(&mut text, sources);
        topics::write(&mut text, sources);
        connections::write(&mut text, sources);
        requests::write(&mut text, sources);
        cluster::write(&mut text, sources);
        metadata::write(&mut text, sources);
        directories::write(&mut text, sources);
        groups::write(&mut text, sources);
        compaction::write(&mut text, sources);
    }
    text.finish()
}

/// No labels.
fn none() -> Labels {
    Labels::default()
}
