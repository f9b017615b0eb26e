//! Kafka's protocol as far as the loader speaks it, by hand.
//!
//! A client library would send what it likes, when it likes. A loader has to know each byte of each request, so it builds a
//! frame once, sends it a hundred thousand times, and changes nothing but the correlation id.

pub mod batch;
pub mod fields;
pub mod groups;
pub mod reply;
pub mod request;

/// Bytes that Kafka wrote.
#[cfg(test)]
pub fn fixture(name: &str) -> Vec<u8> {
    let lines = include_str!("../../../fixtures/kafka-4.3.1.txt").lines();
    let found = lines.filter_map(|line| line.split_once(' ')).find(|(first, _)| *first == name);
    let (_, hex) = found.unwrap_or_else(|| panic!("no fixture {name}"));
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// Compares a frame to the fixture, whose correlation id is another.
#[cfg(test)]
pub fn check(name: &str, mut frame: Vec<u8>) {
    let wanted = fixture(name);
    let id = request::CORRELATION_ID_AT..request::HEAD_BYTES;
    frame[id.clone()].copy_from_slice(&wanted[id]);
    assert_eq!(frame, wanted, "{name}");
}
