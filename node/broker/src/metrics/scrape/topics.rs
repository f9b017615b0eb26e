//! What goes through topics. A row begins with the first event that it counts, as in Kafka.

use std::sync::Arc;

use ottla_observe::{Family, Labels, Text};

use super::families::topics::*;
use super::{Sources, none};
use crate::metrics::topics::Sums;

type Sum = fn(&Sums) -> u64;

const FAMILIES: [(&Family, Sum); 8] = [
    (&KAFKA_SERVER_BROKERTOPICMETRICS_MESSAGESIN_TOTAL, |sums| sums.messages_in),
    (&KAFKA_SERVER_BROKERTOPICMETRICS_BYTESIN_TOTAL, |sums| sums.bytes_in),
    (&KAFKA_SERVER_BROKERTOPICMETRICS_BYTESOUT_TOTAL, |sums| sums.bytes_out),
    (&KAFKA_SERVER_BROKERTOPICMETRICS_BYTESREJECTED_TOTAL, |sums| sums.bytes_rejected),
    (&KAFKA_SERVER_BROKERTOPICMETRICS_TOTALPRODUCEREQUESTS_TOTAL, |sums| sums.produce_requests),
    (&KAFKA_SERVER_BROKERTOPICMETRICS_TOTALFETCHREQUESTS_TOTAL, |sums| sums.fetch_requests),
    (&KAFKA_SERVER_BROKERTOPICMETRICS_FAILEDPRODUCEREQUESTS_TOTAL, |sums| sums.failed_produce_requests),
    (&KAFKA_SERVER_BROKERTOPICMETRICS_FAILEDFETCHREQUESTS_TOTAL, |sums| sums.failed_fetch_requests),
];

pub fn write(text: &mut Text, Sources { broker, .. }: &Sources) {
    let metrics = &broker.metrics.topics;
    let (by_topic, all) = metrics.sums();
    let published = broker.published.load_full();
    // One that is gone from the image has its name no more.
    let name = |id| published.topics.find(ottla_wire::TopicKey::Id(id)).map(|topic| Arc::clone(&topic.name));
    let rows: Vec<(Labels, Sums)> =
        by_topic.into_iter().filter_map(|(id, sums)| Some((Labels::of(&["topic"], &[&name(id)?]), sums))).collect();
    for (family, sum) in FAMILIES {
        let counted = rows.iter().map(|(labels, sums)| (labels, sum(sums))).filter(|(_, count)| *count > 0);
        text.family(family, std::iter::once((&none(), sum(&all))).chain(counted));
    }
    let invalid = &metrics.invalid;
    text.single(&KAFKA_SERVER_BROKERTOPICMETRICS_INVALIDMAGICNUMBERRECORDS_TOTAL, invalid.magic.get());
    text.single(&KAFKA_SERVER_BROKERTOPICMETRICS_INVALIDMESSAGECRCRECORDS_TOTAL, invalid.crc.get());
    let offset_or_sequence = invalid.offset_or_sequence.get();
    text.single(&KAFKA_SERVER_BROKERTOPICMETRICS_INVALIDOFFSETORSEQUENCERECORDS_TOTAL, offset_or_sequence);
    text.single(&KAFKA_SERVER_BROKERTOPICMETRICS_NOKEYCOMPACTEDTOPICRECORDS_TOTAL, invalid.no_key.get());
}
