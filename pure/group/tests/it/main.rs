//! The group coordinator from outside: as transcripts, against a log that Kafka wrote, and with random members.

mod kafka;
mod limits;
mod many_classic;
mod many_members;
mod node;
mod pending;
mod random;
mod random_consumer;
mod random_mixed;
mod show;
mod transcripts;
