//! What the topics of a group are like, as one number (KIP-1101).
//!
//! A group must assign anew when a topic that it reads gets partitions, goes, or comes. The number is written with the
//! group's epoch; if that of today is another, there is something new. It is Kafka's own number, so that a group which
//! Kafka wrote is not disturbed when it is loaded here. The bytes that are hashed are those of Kafka's hash4j streams:
//! little-endian numbers, and strings as their UTF-16 units with the count behind them.

use std::collections::BTreeSet;
use std::sync::Arc;

use twox_hash::XxHash3_64;

use crate::topics::{Topic, Topics};

/// The version of the way in which a topic is hashed.
const MAGIC: u8 = 0;

/// Of the topics that a group subscribes to, in the order of their names. 0 if there are none.
pub(crate) fn of_group(names: &BTreeSet<&Arc<str>>, topics: &Topics) -> i64 {
    if names.is_empty() {
        return 0;
    }
    // 0 if there is no such topic.
    let hashes = names.iter().flat_map(|name| topics.hash_of(name).unwrap_or(0).to_le_bytes());
    XxHash3_64::oneshot(&hashes.collect::<Vec<u8>>()) as i64
}

pub(crate) fn of_topic(name: &str, topic: &Topic) -> u64 {
    let mut bytes = vec![MAGIC];
    let id = u128::from_be_bytes(topic.id.0);
    bytes.extend_from_slice(&((id >> 64) as u64).to_le_bytes());
    bytes.extend_from_slice(&(id as u64).to_le_bytes());
    put_string(&mut bytes, name);
    bytes.extend_from_slice(&topic.partitions.to_le_bytes());
    for partition in 0..topic.partitions {
        bytes.extend_from_slice(&partition.to_le_bytes());
        for rack in topic.racks.get(partition as usize).into_iter().flatten() {
            bytes.extend_from_slice(&units(rack).to_le_bytes());
            put_string(&mut bytes, rack);
        }
    }
    XxHash3_64::oneshot(&bytes)
}

fn put_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    bytes.extend_from_slice(&units(text).to_le_bytes());
}

fn units(text: &str) -> i32 {
    text.encode_utf16().count() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_base::Uuid;

    fn topic(id: u128, partitions: i32) -> Topic {
        let racks = vec![[Arc::from("ra")].into(); partitions as usize];
        Topic { id: Uuid(id.to_be_bytes()), partitions, racks }
    }

    /// The numbers stand in the log of a Kafka 4.3.1 whose one broker was in the rack `ra`.
    #[test]
    fn the_numbers_are_those_of_kafka() {
        let mut topics = Topics::default();
        topics.insert("t".into(), topic(0x565b46885e72489ebe036cf241cf1643, 4));
        topics.insert("u".into(), topic(0x25fe7c1388134bcfa4d0bdad68e60903, 2));
        let names: [Arc<str>; 2] = ["t".into(), "u".into()];
        let hash = |names: &[Arc<str>]| of_group(&names.iter().collect(), &topics) as u64;
        assert_eq!(hash(&names[..1]), 0xee394c47206159bd);
        assert_eq!(hash(&names), 0x1ca98f1ab7bbbf53);
        assert_eq!(hash(&[]), 0);
    }
}
