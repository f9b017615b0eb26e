//! Producer snapshots between the partition, which knows what they mean, and the file, which knows their bytes.

use ottla_partition::{ProducerEntry, ProducerSnapshot};
use ottla_storage::checkpoint::producers::{Entry, Snapshot};

pub fn from_file(snapshot: Snapshot) -> ProducerSnapshot {
    let producers = snapshot.producers.into_iter().map(|entry| ProducerEntry {
        producer_id: entry.producer_id,
        producer_epoch: entry.producer_epoch,
        last_sequence: entry.last_sequence,
        last_offset: entry.last_offset,
        offset_delta: entry.offset_delta,
        timestamp: entry.timestamp,
        coordinator_epoch: entry.coordinator_epoch,
        transaction_first_offset: entry.transaction_first_offset,
    });
    ProducerSnapshot { offset: snapshot.offset, producers: producers.collect() }
}

pub fn to_file(snapshot: &ProducerSnapshot) -> Snapshot {
    let producers = snapshot.producers.iter().map(|entry| Entry {
        producer_id: entry.producer_id,
        producer_epoch: entry.producer_epoch,
        last_sequence: entry.last_sequence,
        last_offset: entry.last_offset,
        offset_delta: entry.offset_delta,
        timestamp: entry.timestamp,
        coordinator_epoch: entry.coordinator_epoch,
        transaction_first_offset: entry.transaction_first_offset,
    });
    Snapshot { offset: snapshot.offset, producers: producers.collect() }
}
