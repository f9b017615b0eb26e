//! Producer ids are given to brokers in blocks; this is where the next block begins.

use ottla_wire::records::ProducerIdsRecord;

use crate::record::Record;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerIds {
    /// First id that no broker has been given.
    pub next: i64,
}

impl ProducerIds {
    pub(super) fn allocate(&mut self, record: &ProducerIdsRecord) {
        self.next = record.next_producer_id;
    }

    /// Which broker was given the last block is not known here, and of no use.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        let next = Some(self.next).filter(|next| *next > 0);
        next.into_iter().map(|next_producer_id| {
            let (broker_id, broker_epoch) = (-1, -1);
            Record::ProducerIds(ProducerIdsRecord { broker_id, broker_epoch, next_producer_id, ..Default::default() })
        })
    }
}
