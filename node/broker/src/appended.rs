//! What an append leaves to be done without the partition's lock.

use std::sync::Arc;

use ottla_partition::ProducerSnapshot;
use ottla_rt::{Lane, Rt};

use crate::control::replicas::store_snapshot;
use crate::partition::{AfterAppend, Partition};

#[derive(Clone, Debug)]
pub struct Appended {
    pub rt: Rt,
}

impl Appended {
    pub fn follow_up(&self, partition: &Arc<Partition>, after: AfterAppend) {
        let AfterAppend { snapshot, flush_in_ms } = after;
        if let Some(ms) = flush_in_ms {
            partition.home.flushing.ask(partition, self.rt.mono_ms().saturating_add(ms));
        }
        if let Some(snapshot) = snapshot {
            self.write_snapshot(partition.clone(), snapshot);
        }
    }

    /// Writes the producers as of the beginning of a segment beside it, later: all that depends on it is how much a start
    /// after a crash has to read.
    fn write_snapshot(&self, partition: Arc<Partition>, snapshot: ProducerSnapshot) {
        let rt = self.rt.clone();
        self.rt.spawn(Lane::Control, "snapshot", async move {
            let of = partition.clone();
            let written = rt.blocking(move || store_snapshot(&of, &snapshot)).await;
            if let Err(error) = written {
                tracing::warn!(topic = %partition.topic, partition = partition.index, "no producer snapshot: {error}");
            }
        });
    }
}
