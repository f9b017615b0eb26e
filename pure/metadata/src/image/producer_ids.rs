//! Producer ids are given to brokers in blocks; this is where the next block begins.

use ottla_wire::records::ProducerIdsRecord;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerIds {
    /// First id that no broker has been given.
    pub next: i64,
}

impl ProducerIds {
    pub(super) fn allocate(&mut self, record: &ProducerIdsRecord) {
        self.next = record.next_producer_id;
    }
}
