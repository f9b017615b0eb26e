//! The requests of consumer groups, and what the loader looks at in their replies.
//!
//! OffsetCommit and OffsetFetch in version 9: the last that name topics.

use std::ops::Range;

use anyhow::{Context, bail, ensure};

use super::fields::{Fields, put_compact_array, put_compact_string};
use super::reply::body;
use super::request::frame;

/// What a topic's id is on the wire.
pub type TopicId = [u8; 16];

/// Where Kafka keeps groups.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";

const REBALANCE_TIMEOUT_MS: i32 = 300_000;
/// The coordinator is not there yet: it loads, or has yet to learn that it is one.
const NOT_YET: [i16; 3] = [14, 15, 16];

#[derive(Clone, Debug)]
pub struct Commit<'a> {
    pub group: &'a str,
    /// The member and its epoch; nobody where the group has no members.
    pub by: Option<(&'a str, i32)>,
    pub topic: &'a str,
    pub partitions: Range<i32>,
    /// The same for each.
    pub offset: i64,
}

/// A heartbeat of the consumer protocol (KIP-848): what a client leaves out has not changed.
#[derive(Clone, Debug)]
pub struct Heartbeat<'a> {
    pub group: &'a str,
    pub member: &'a str,
    /// 0 joins.
    pub epoch: i32,
    /// The topic that a member subscribes to as it joins.
    pub subscribes_to: Option<&'a str>,
    /// What it owns by now.
    pub owns: Option<&'a Assignment>,
}

/// Partitions of one topic; with no partitions the topic may be any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assignment {
    pub topic: TopicId,
    pub partitions: Vec<i32>,
}

/// What a member is told.
#[derive(Debug, PartialEq)]
pub struct Told {
    pub epoch: i32,
    pub interval_ms: i32,
    pub assignment: Option<Assignment>,
}

/// Who decides for the group. The first to ask makes the topic.
pub fn find_coordinator(group: &str) -> Vec<u8> {
    frame(10, 4, |out| {
        out.push(0); // of a group
        put_compact_array(out, [group].iter(), |out, group| put_compact_string(out, group));
        out.push(0);
    })
}

pub fn offset_commit(commit: &Commit<'_>) -> Vec<u8> {
    frame(8, 9, |out| {
        let (member, epoch) = commit.by.unwrap_or(("", -1));
        put_compact_string(out, commit.group);
        out.extend(epoch.to_be_bytes());
        put_compact_string(out, member);
        out.push(0); // no instance id
        out.push(2); // one topic
        put_compact_string(out, commit.topic);
        put_compact_array(out, commit.partitions.clone(), |out, partition| {
            out.extend(partition.to_be_bytes());
            out.extend(commit.offset.to_be_bytes());
            out.extend((-1_i32).to_be_bytes()); // leader epoch
            put_compact_string(out, ""); // metadata
            out.push(0);
        });
        out.extend([0; 2]);
    })
}

/// One partition's offset; only if it is settled.
pub fn offset_fetch(group: &str, topic: &str, partition: i32) -> Vec<u8> {
    frame(9, 9, |out| {
        out.push(2); // one group
        put_compact_string(out, group);
        out.push(0); // no member
        out.extend((-1_i32).to_be_bytes());
        out.push(2); // one topic
        put_compact_string(out, topic);
        put_compact_array(out, [partition].iter(), |out, partition| out.extend(partition.to_be_bytes()));
        out.extend([0, 0, 1, 0]); // topic and group end; only what is stable
    })
}

pub fn heartbeat(heartbeat: &Heartbeat<'_>) -> Vec<u8> {
    let Heartbeat { group, member, epoch, subscribes_to, owns } = heartbeat;
    let rebalance_timeout_ms = if subscribes_to.is_some() { REBALANCE_TIMEOUT_MS } else { -1 };
    frame(68, 1, |out| {
        put_compact_string(out, group);
        put_compact_string(out, member);
        out.extend(epoch.to_be_bytes());
        out.extend([0; 2]); // no instance id, no rack
        out.extend(rebalance_timeout_ms.to_be_bytes());
        match subscribes_to {
            Some(topic) => put_compact_array(out, [topic].iter(), |out, topic| put_compact_string(out, topic)),
            None => out.push(0),
        }
        out.extend([0; 2]); // no pattern, no assignor
        match owns {
            Some(owns) => put_owned(out, owns),
            None => out.push(0),
        }
        out.push(0);
    })
}

fn put_owned(out: &mut Vec<u8>, owns: &Assignment) {
    let topics = if owns.partitions.is_empty() { &[][..] } else { std::slice::from_ref(owns) };
    put_compact_array(out, topics.iter(), |out, Assignment { topic, partitions }| {
        out.extend(topic);
        put_compact_array(out, partitions.iter(), |out, partition| out.extend(partition.to_be_bytes()));
        out.push(0);
    });
}

/// Where the first partitions of a topic end.
pub fn list_ends(topic: &str, partitions: i32) -> Vec<u8> {
    frame(2, 7, |out| {
        out.extend((-1_i32).to_be_bytes()); // a consumer, no replica
        out.push(0); // isolation level
        out.push(2); // one topic
        put_compact_string(out, topic);
        put_compact_array(out, 0..partitions, |out, partition| {
            out.extend(partition.to_be_bytes());
            out.extend((-1_i32).to_be_bytes()); // current leader epoch
            out.extend((-1_i64).to_be_bytes()); // the end
            out.push(0);
        });
        out.extend([0; 2]);
    })
}

/// Fails where nobody decides for the group.
pub fn coordinator_found(frame: &[u8], correlation_id: i32) -> anyhow::Result<()> {
    let mut fields = body(frame, correlation_id)?;
    let error = first_coordinator(&mut fields).context("a reply to FindCoordinator that ends too early")?;
    ensure!(error == 0, "FindCoordinator was answered with error {error}");
    Ok(())
}

fn first_coordinator(fields: &mut Fields<'_>) -> Option<i16> {
    fields.i32()?; // throttle time
    fields.compact_len()?;
    fields.compact_string()?; // the group
    fields.i32()?; // node
    fields.compact_string()?; // host
    fields.i32()?; // port
    fields.i16()
}

/// Fails where an offset was not taken.
pub fn committed(frame: &[u8], correlation_id: i32) -> anyhow::Result<()> {
    let mut fields = body(frame, correlation_id)?;
    let error = first_refusal(&mut fields).context("a reply to OffsetCommit that ends too early")?;
    ensure!(error == 0, "OffsetCommit was answered with error {error}");
    Ok(())
}

/// The first error of a partition, or none.
fn first_refusal(fields: &mut Fields<'_>) -> Option<i16> {
    fields.i32()?; // throttle time
    for _ in 0..fields.compact_len()? {
        fields.compact_string()?;
        for _ in 0..fields.compact_len()? {
            let (_partition, error) = (fields.i32()?, fields.i16()?);
            if error != 0 {
                return Some(error);
            }
            fields.tags()?;
        }
        fields.tags()?;
    }
    Some(0)
}

/// The offset of the one partition that was asked for, -1 where there is none. `None` while the coordinator is being loaded.
pub fn offset_fetched(frame: &[u8], correlation_id: i32) -> anyhow::Result<Option<i64>> {
    let mut fields = body(frame, correlation_id)?;
    let (offset, error) = first_offset(&mut fields).context("a reply to OffsetFetch that ends too early")?;
    match (error, offset) {
        (0, Some(offset)) => Ok(Some(offset)),
        (error, _) if NOT_YET.contains(&error) => Ok(None),
        _ => bail!("OffsetFetch was answered with error {error}"),
    }
}

/// The offset of the last partition told, and the error of it, or else of the group.
fn first_offset(fields: &mut Fields<'_>) -> Option<(Option<i64>, i16)> {
    fields.i32()?; // throttle time
    fields.compact_len()?;
    fields.compact_string()?; // the group
    let (mut offset, mut partition_error) = (None, 0);
    for _ in 0..fields.compact_len()? {
        fields.compact_string()?;
        for _ in 0..fields.compact_len()? {
            fields.i32()?; // the partition
            offset = Some(fields.i64()?);
            fields.i32()?; // leader epoch
            fields.compact_string()?; // metadata
            partition_error = fields.i16()?;
            fields.tags()?;
        }
        fields.tags()?;
    }
    let group_error = fields.i16()?;
    Some((offset, if group_error == 0 { partition_error } else { group_error }))
}

pub fn told(frame: &[u8], correlation_id: i32) -> anyhow::Result<Told> {
    let mut fields = body(frame, correlation_id)?;
    let (error, message) = heartbeat_error(&mut fields).context("a reply to a heartbeat that ends too early")?;
    ensure!(error == 0, "a heartbeat was answered with error {error}: {message}");
    rest_of_told(&mut fields).context("a reply to a heartbeat that ends too early, or tells of several topics")
}

fn heartbeat_error(fields: &mut Fields<'_>) -> Option<(i16, String)> {
    fields.i32()?; // throttle time
    Some((fields.i16()?, fields.compact_string()?))
}

fn rest_of_told(fields: &mut Fields<'_>) -> Option<Told> {
    fields.compact_string()?; // member id
    let (epoch, interval_ms) = (fields.i32()?, fields.i32()?);
    let assignment = if fields.i8()? < 0 { None } else { Some(assignment(fields)?) };
    Some(Told { epoch, interval_ms, assignment })
}

fn assignment(fields: &mut Fields<'_>) -> Option<Assignment> {
    match fields.compact_len()? {
        0 => Some(Assignment::default()),
        1 => {
            let topic = fields.bytes(16)?.try_into().ok()?;
            let partitions = (0..fields.compact_len()?).map(|_| fields.i32()).collect::<Option<_>>()?;
            Some(Assignment { topic, partitions })
        }
        _ => None,
    }
}

/// Fails where a member is told anything but that all is as it was.
pub fn nothing_new(frame: &[u8], correlation_id: i32) -> anyhow::Result<()> {
    let told = told(frame, correlation_id)?;
    ensure!(told.assignment.is_none(), "a member of a settled group is told {told:?}");
    Ok(())
}

/// How many records the partitions that were asked for have had.
pub fn ends_sum(frame: &[u8], correlation_id: i32) -> anyhow::Result<i64> {
    let mut fields = body(frame, correlation_id)?;
    let (sum, error) = sum_of_ends(&mut fields).context("a reply to ListOffsets that ends too early")?;
    ensure!(error == 0, "ListOffsets was answered with error {error}");
    Ok(sum)
}

/// With the last error.
fn sum_of_ends(fields: &mut Fields<'_>) -> Option<(i64, i16)> {
    fields.i32()?; // throttle time
    fields.compact_len()?;
    fields.compact_string()?;
    let (mut sum, mut last_error) = (0, 0);
    for _ in 0..fields.compact_len()? {
        let (_partition, error) = (fields.i32()?, fields.i16()?);
        fields.i64()?; // timestamp
        sum += fields.i64()?;
        fields.i32()?; // leader epoch
        fields.tags()?;
        last_error = if error == 0 { last_error } else { error };
    }
    Some((sum, last_error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{check, fixture};

    #[test]
    fn frames_are_kafkas_to_the_byte() {
        check("find-coordinator", find_coordinator("group"));
        let commit = Commit { group: "offsets", by: None, topic: "bench", partitions: 0..2, offset: 42 };
        check("offset-commit", offset_commit(&commit));
        check("offset-fetch", offset_fetch("offsets", "bench", 1));
        check("list-offsets", list_ends(CONSUMER_OFFSETS, 1));
        let topic: TopicId = std::array::from_fn(|at| at as u8);
        let (nothing, owns) = (Assignment::default(), Assignment { topic, partitions: vec![3, 5] });
        let steady = Heartbeat { group: "group", member: "member", epoch: 7, subscribes_to: None, owns: None };
        check("heartbeat-steady", heartbeat(&steady));
        check("heartbeat-owning", heartbeat(&Heartbeat { owns: Some(&owns), ..steady.clone() }));
        let join = Heartbeat { epoch: 0, subscribes_to: Some("bench"), owns: Some(&nothing), ..steady };
        check("heartbeat-join", heartbeat(&join));
    }

    #[test]
    fn kafkas_replies_are_read() {
        coordinator_found(&fixture("find-coordinator-reply"), 11).unwrap();
        committed(&fixture("offset-commit-reply"), 12).unwrap();
        assert_eq!(offset_fetched(&fixture("offset-fetch-reply"), 13).unwrap(), Some(42));
        let joined = told(&fixture("heartbeat-join-reply"), 14).unwrap();
        assert_eq!((joined.epoch, joined.interval_ms), (2, 5_000));
        assert_eq!(joined.assignment.unwrap().partitions, [0, 1]);
        let steady = Told { epoch: 2, interval_ms: 5_000, assignment: None };
        assert_eq!(told(&fixture("heartbeat-steady-reply"), 15).unwrap(), steady);
        nothing_new(&fixture("heartbeat-steady-reply"), 15).unwrap();
        assert_eq!(ends_sum(&fixture("list-offsets-reply"), 16).unwrap(), 7);
    }

    #[test]
    fn errors_are_told() {
        let error = |result: anyhow::Result<()>| result.unwrap_err().to_string();
        let unknown = told(&fixture("heartbeat-unknown-reply"), 15).map(drop);
        let words = "a heartbeat was answered with error 25: Member other is not a member of group group.";
        assert_eq!(error(unknown), words);
        assert!(nothing_new(&fixture("heartbeat-join-reply"), 14).is_err());
        // From the end: the error, and what ends the partition, the topic and the reply.
        let with_error = |name, from_end: usize, code: u8| {
            let mut reply = fixture(name);
            let at = reply.len() - from_end;
            reply[at] = code;
            reply
        };
        let refused = with_error("offset-commit-reply", 4, 12);
        assert_eq!(error(committed(&refused, 12)), "OffsetCommit was answered with error 12");
        let loading = with_error("offset-fetch-reply", 3, 14);
        assert_eq!(offset_fetched(&loading, 13).unwrap(), None);
        let refused = with_error("offset-fetch-reply", 3, 30);
        assert_eq!(error(offset_fetched(&refused, 13).map(drop)), "OffsetFetch was answered with error 30");
        let refused = with_error("offset-fetch-reply", 7, 3);
        assert_eq!(error(offset_fetched(&refused, 13).map(drop)), "OffsetFetch was answered with error 3");
    }
}
