//! The messages written by hand against the oracle crate and against bytes that Apache Kafka wrote.
//!
//! Requests: what the view reads, put into the oracle's struct, must be the struct the bytes were made from. Responses:
//! the bytes must be the oracle's. Both at every version, with values drawn from a seed.

mod dice;
mod fetch;
mod frame;
mod kafka;
mod oracle;
mod produce;
