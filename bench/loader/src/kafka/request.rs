//! Requests, as whole frames.
//!
//! Produce and Fetch in version 12: the last that name topics, so that a frame can be made before the topic is.

use super::fields::{put_compact_string, put_uvarint};

const CLIENT_ID: &str = "bench";
const TIMEOUT_MS: i32 = 30_000;

/// Where in every frame the correlation id lies.
pub const CORRELATION_ID_AT: usize = 8;
/// The bytes of a frame up to and with its correlation id.
pub const HEAD_BYTES: usize = CORRELATION_ID_AT + 4;

/// Which replicas a producer waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Acks {
    Leader,
    All,
}

/// One batch to one partition.
pub fn produce(topic: &str, partition: i32, acks: Acks, batch: &[u8]) -> Vec<u8> {
    let acks: i16 = match acks {
        Acks::Leader => 1,
        Acks::All => -1,
    };
    frame(0, 12, |out| {
        out.push(0); // no transactional id
        out.extend(acks.to_be_bytes());
        out.extend(TIMEOUT_MS.to_be_bytes());
        out.push(2); // one topic
        put_compact_string(out, topic);
        out.push(2); // one partition
        out.extend(partition.to_be_bytes());
        put_uvarint(out, batch.len() as u64 + 1);
        out.extend_from_slice(batch);
        out.extend([0; 3]);
    })
}

/// At most so many bytes from one partition, in no session; waits up to half a second for the first byte.
pub fn fetch(topic: &str, partition: i32, offset: i64, max_bytes: i32) -> Vec<u8> {
    frame(1, 12, |out| {
        out.extend((-1_i32).to_be_bytes()); // a consumer, no replica
        out.extend(500_i32.to_be_bytes()); // max wait
        out.extend(1_i32.to_be_bytes()); // min bytes
        out.extend(i32::MAX.to_be_bytes()); // max bytes of the whole reply
        out.push(0); // isolation level
        out.extend(0_i32.to_be_bytes()); // session id
        out.extend((-1_i32).to_be_bytes()); // session epoch
        out.push(2); // one topic
        put_compact_string(out, topic);
        out.push(2); // one partition
        out.extend(partition.to_be_bytes());
        out.extend((-1_i32).to_be_bytes()); // current leader epoch
        out.extend(offset.to_be_bytes());
        out.extend((-1_i32).to_be_bytes()); // last fetched epoch
        out.extend((-1_i64).to_be_bytes()); // log start offset
        out.extend(max_bytes.to_be_bytes());
        out.extend([0, 0, 1, 1, 0]); // the structures end; no forgotten topics, no rack
    })
}

/// Where in a fetch of this topic the offset lies.
pub fn fetch_offset_at(topic: &str) -> usize {
    let header = 4 + 2 + 2 + 4 + 2 + CLIENT_ID.len() + 1;
    header + 4 + 4 + 4 + 4 + 1 + 4 + 4 + 1 + 1 + topic.len() + 1 + 4 + 4
}

/// A topic with one replica.
pub fn create_topic(topic: &str, partitions: i32, configs: &[(&str, &str)]) -> Vec<u8> {
    frame(19, 7, |out| {
        out.push(2);
        put_compact_string(out, topic);
        out.extend(partitions.to_be_bytes());
        out.extend(1_i16.to_be_bytes());
        out.push(1); // no assignments
        put_uvarint(out, configs.len() as u64 + 1);
        for (name, value) in configs {
            put_compact_string(out, name);
            put_compact_string(out, value);
            out.push(0);
        }
        out.push(0);
        out.extend(TIMEOUT_MS.to_be_bytes());
        out.extend([0, 0]); // not only validated; the end
    })
}

pub fn delete_topic(topic: &str) -> Vec<u8> {
    frame(20, 5, |out| {
        out.push(2); // one topic
        put_compact_string(out, topic);
        out.extend(TIMEOUT_MS.to_be_bytes());
        out.push(0);
    })
}

/// What every client sends first.
pub fn api_versions() -> Vec<u8> {
    frame(18, 3, |out| {
        put_compact_string(out, "ottla-bench");
        put_compact_string(out, "1");
        out.push(0);
    })
}

pub(super) fn frame(api_key: i16, version: i16, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend(api_key.to_be_bytes());
    out.extend(version.to_be_bytes());
    out.extend(0_i32.to_be_bytes()); // correlation id, which whoever sends it fills in
    out.extend((CLIENT_ID.len() as i16).to_be_bytes());
    out.extend_from_slice(CLIENT_ID.as_bytes());
    out.push(0);
    body(&mut out);
    let size = out.len() as i32 - 4;
    out[..4].copy_from_slice(&size.to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{check, fixture};

    #[test]
    fn frames_are_kafkas_to_the_byte() {
        check("produce", produce("bench", 3, Acks::All, &fixture("batch-1")));
        check("fetch", fetch("bench", 3, 1, 1024));
        check("create-topics", create_topic("bench", 4, &[("segment.bytes", "16777216")]));
        check("delete-topics", delete_topic("bench"));
        check("api-versions", api_versions());
    }

    #[test]
    fn the_place_of_an_offset() {
        let (one, two) = (fetch("a-topic", 0, 0, 1), fetch("a-topic", 0, -1, 1));
        let differ: Vec<usize> = (0..one.len()).filter(|at| one[*at] != two[*at]).collect();
        assert_eq!((differ[0], differ.len()), (fetch_offset_at("a-topic"), 8));
    }
}
