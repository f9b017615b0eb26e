//! The controller and the image from outside: as transcripts, against a log that Kafka wrote, and with random commands.

mod features;
mod kafka;
mod limits;
mod node;
mod random;
mod show;
mod transcripts;
