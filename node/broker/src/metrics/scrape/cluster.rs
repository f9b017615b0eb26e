//! The cluster as the metadata say it is.

use ottla_metadata::Image;
use ottla_metadata::image::Broker;
use ottla_observe::{Labels, Text};

use super::Sources;
use super::families::cluster::*;

pub fn write(text: &mut Text, Sources { broker, .. }: &Sources) {
    let published = broker.published.load_full();
    let image = &published.image;
    write_brokers(text, image);
    write_topics(text, image);
}

fn write_brokers(text: &mut Text, image: &Image) {
    let count = |is: fn(&Broker) -> bool| image.brokers().iter().filter(|broker| is(broker)).count();
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_ACTIVEBROKERCOUNT, count(|broker| !broker.fenced));
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_FENCEDBROKERCOUNT, count(|broker| broker.fenced));
    let stopping = count(|broker| broker.in_controlled_shutdown);
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_CONTROLLEDSHUTDOWNBROKERCOUNT, stopping);
    let states: Vec<(Labels, u32)> = image
        .brokers()
        .iter()
        .map(|broker| (Labels::of(&["broker"], &[&broker.id.0.to_string()]), registration_state(broker)))
        .collect();
    let rows = states.iter().map(|(labels, state)| (labels, *state));
    text.family(&KAFKA_CONTROLLER_KAFKACONTROLLER_BROKERREGISTRATIONSTATE, rows);
}

/// Kafka's numbers.
fn registration_state(broker: &Broker) -> u32 {
    match (broker.fenced, broker.in_controlled_shutdown) {
        (true, _) => 10,
        (false, true) => 20,
        (false, false) => 30,
    }
}

fn write_topics(text: &mut Text, image: &Image) {
    let (mut all, mut offline, mut moved) = (0_usize, 0_usize, 0_usize);
    for (_, partition) in image.topics().iter().flat_map(|topic| topic.partitions()) {
        all += 1;
        offline += usize::from(partition.leader.0 < 0);
        moved += usize::from(Some(&partition.leader) != partition.replicas.first());
    }
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_GLOBALTOPICCOUNT, image.topics().len());
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_GLOBALPARTITIONCOUNT, all);
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_OFFLINEPARTITIONSCOUNT, offline);
    text.single(&KAFKA_CONTROLLER_KAFKACONTROLLER_PREFERREDREPLICAIMBALANCECOUNT, moved);
}
