//! Connections to the partitions of a topic: the first to the first, the second to the second, and from the last on again.

use super::closed;
use super::connection::{Connection, Reading, Target};
use crate::kafka::batch;
use crate::kafka::request::Acks;
use crate::machine::since_epoch;
use crate::rows::Blob;
use crate::server::Server;

/// A topic, and how many partitions of it there are.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub server: &'a Server,
    pub topic: &'a str,
    pub partitions: usize,
}

impl<'a> Place<'a> {
    pub fn producers(self, connections: usize, blob: Blob, acks: Acks) -> anyhow::Result<Vec<Connection>> {
        let now_ms = since_epoch().as_millis() as i64;
        let batch = match blob.codec {
            None => batch::build(blob.shape, now_ms),
            Some(codec) => batch::build_packed(blob.shape, now_ms, codec),
        };
        (0..connections).map(|n| Connection::producer(self.target(n), acks, &batch)).collect()
    }

    pub fn consumers(self, connections: usize, reading: Reading) -> anyhow::Result<Vec<Connection>> {
        (0..connections).map(|n| Connection::consumer(self.target(n), reading)).collect()
    }

    /// Writes exactly so many batches to each partition.
    pub fn fill(self, batches: u64, log: Blob) -> anyhow::Result<()> {
        let mut producers = self.producers(self.partitions, log, Acks::Leader)?;
        producers.iter_mut().try_for_each(|producer| closed::fill(producer, batches))
    }

    fn target(self, n: usize) -> Target<'a> {
        Target { server: self.server.address, topic: self.topic, partition: (n % self.partitions) as i32 }
    }
}
