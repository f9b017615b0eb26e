//! Groups of consumers: their members, and their coordinators.

mod clients;
pub mod commits;
pub mod load;
mod ownership;
pub mod settle;
pub mod steady;

use std::thread;
use std::time::Duration;

use anyhow::ensure;

use crate::kafka::groups::{self, Assignment, Heartbeat};
use crate::server::{Caller, Server};

/// Between two questions whether a coordinator has been loaded.
const PATIENCE: Duration = Duration::from_millis(1);

/// What the group has committed for the partition, once its coordinator can tell.
pub fn offset_of(server: &Server, group: &str, topic: &str, partition: i32) -> anyhow::Result<i64> {
    let mut caller = Caller::connect(server.address)?;
    // Kafka makes the topic when it is first asked, and tells nobody until it is there.
    server.until(|| caller.call(groups::find_coordinator(group), groups::coordinator_found))?;
    loop {
        let request = groups::offset_fetch(group, topic, partition);
        if let Some(offset) = caller.call(request, groups::offset_fetched)? {
            return Ok(offset);
        }
        thread::sleep(PATIENCE);
    }
}

/// Joins as the only member of a group, which has the partitions of the topic at once. Gives its epoch.
pub fn lone_member(server: &Server, group: &str, member: &str, topic: &str) -> anyhow::Result<i32> {
    offset_of(server, group, topic, 0)?;
    let join = Heartbeat { group, member, epoch: 0, subscribes_to: Some(topic), owns: Some(&Assignment::default()) };
    let told = Caller::connect(server.address)?.call(groups::heartbeat(&join), groups::told)?;
    ensure!(told.assignment.is_some_and(|owns| !owns.partitions.is_empty()), "the only member has no partitions");
    Ok(told.epoch)
}

/// Of one length.
fn group_name(group: usize) -> String {
    format!("group-{group:06}")
}
