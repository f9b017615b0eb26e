//! Offset commits, as consumers send them that manage their partitions themselves: a member's differ in one look-up. The groups
//! take turns, and lie on all partitions of `__consumer_offsets`.

use crate::kafka::groups::{self, Commit};
use crate::load::connection::Connection;
use crate::server::Server;

const GROUPS: usize = 1_000;

/// Has the coordinators load, or make, what they keep of the groups.
pub fn make_groups(server: &Server, topic: &str) -> anyhow::Result<()> {
    (0..GROUPS).try_for_each(|group| super::offset_of(server, &super::group_name(group), topic, 0).map(drop))
}

/// Each sends commits of the first so many partitions of the topic, of its share of the groups.
pub fn connections(count: usize, server: &Server, topic: &str, partitions: i32) -> anyhow::Result<Vec<Connection>> {
    let frame = |group| {
        let group = super::group_name(group);
        groups::offset_commit(&Commit { group: &group, by: None, topic, partitions: 0..partitions, offset: 1 << 40 })
    };
    let frames = |n: usize| (n..GROUPS).step_by(count).map(frame).collect::<Vec<_>>();
    (0..count).map(|n| Connection::in_turn(server.address, &frames(n), groups::committed)).collect()
}
