//! Figures of Ottla's group coordinators alone: there is no floor that keeps groups.

mod clients;
mod commit;
mod load;
mod ownership;
mod settle;

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context;

use crate::figure::Figure;
use crate::kafka::groups;
use crate::server::{Caller, Server, Side};

pub const NAMES: [&str; 3] = ["groups-commit", "groups-settle", "groups-load"];

/// How much of a row is run.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub rounds: usize,
    /// The requests of a round, or what is loaded, are divided by it.
    pub part: u64,
}

/// The figures of this name, which is one of [`NAMES`].
pub fn measure(name: &'static str, side: &Side, effort: Effort, scratch: &Path) -> anyhow::Result<Vec<Figure>> {
    let measured = match name {
        "groups-commit" => commit::figures(side, effort, scratch),
        "groups-settle" => settle::figures(side, effort, scratch),
        _ => load::figures(side, effort, scratch),
    };
    measured.with_context(|| format!("{name} on {}", side.name()))
}

/// Between two questions whether a coordinator has been loaded.
const PATIENCE: Duration = Duration::from_millis(1);

/// What the group has committed for the partition, once its coordinator can tell.
fn offset_of(server: &Server, group: &str, topic: &str, partition: i32) -> anyhow::Result<i64> {
    let mut caller = Caller::connect(server.address)?;
    caller.call(groups::find_coordinator(group), groups::coordinator_found)?;
    loop {
        let request = groups::offset_fetch(group, topic, partition);
        if let Some(offset) = caller.call(request, groups::offset_fetched)? {
            return Ok(offset);
        }
        thread::sleep(PATIENCE);
    }
}
