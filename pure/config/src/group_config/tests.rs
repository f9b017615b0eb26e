//! A group's configuration, layer by layer, and what a server may say of groups.

use super::*;

fn overrides(text: &str) -> Overrides {
    text.lines().map(|line| line.split_once('=').unwrap()).map(|(name, value)| (name.into(), value.into())).collect()
}

fn with_layers<T>(group: &str, cluster: &str, server: &str, f: impl Fn(&GroupLayers<'_>) -> T) -> T {
    let (server, _) = ServerConfig::load(Some(server), &[]).unwrap();
    let (group, broker, cluster) = (overrides(group), Overrides::new(), overrides(cluster));
    f(&GroupLayers { group: &group, server: ServerLayers { broker: &broker, cluster: &cluster, server: &server } })
}

const WIDE: &str = "group.consumer.min.session.timeout.ms=1\ngroup.consumer.min.heartbeat.interval.ms=1\n\
                    group.consumer.max.heartbeat.interval.ms=40000";

#[test]
fn the_nearest_layer_counts() {
    let values = |group, cluster, server| {
        let config = with_layers(group, cluster, server, |layers| layers.config());
        let GroupConfig { consumer_session_timeout_ms: session, consumer_heartbeat_interval_ms: heartbeat, .. } =
            config;
        [session, heartbeat, config.consumer_assignment_interval_ms]
    };
    assert_eq!(values("", "", ""), [45_000, 5_000, 1_000]);
    assert_eq!(values("", "", "group.consumer.heartbeat.interval.ms=6000"), [45_000, 6_000, 1_000]);
    let cluster = "group.consumer.assignment.interval.ms=7";
    assert_eq!(values("", cluster, "group.consumer.assignment.interval.ms=8"), [45_000, 5_000, 7]);
    let group =
        "consumer.session.timeout.ms= 50000 \nconsumer.heartbeat.interval.ms=6000\nconsumer.assignment.interval.ms=9";
    assert_eq!(values(group, cluster, "group.consumer.heartbeat.interval.ms=7000"), [50_000, 6_000, 9]);
}

/// As after a restart with other limits.
#[test]
fn a_value_out_of_range_is_shown_and_does_not_act() {
    let server = "group.consumer.max.session.timeout.ms=46000\ngroup.consumer.min.heartbeat.interval.ms=4000";
    let group = "consumer.session.timeout.ms=50000\nconsumer.heartbeat.interval.ms=3000";
    with_layers(group, "", server, |layers| {
        let config = layers.config();
        assert_eq!((config.consumer_session_timeout_ms, config.consumer_heartbeat_interval_ms), (46_000, 4_000));
        let shown = layers.effective(group::find("consumer.session.timeout.ms").unwrap());
        assert_eq!(shown, Effective { value: Some("50000".to_owned()), source: Source::Group });
    });
}

/// The refusals are those of Kafka 4.3.1.
#[test]
fn what_a_group_may_be_given() {
    const SESSION: &str = "consumer.session.timeout.ms";
    for (group, server, expected) in [
        ("", "", ""),
        ("consumer.session.timeout.ms=45000", "", ""),
        ("consumer.session.timeout.ms=60000", "", ""),
        (
            "consumer.session.timeout.ms=44999",
            "",
            &*format!("{SESSION} = 44999 is less than group.consumer.min.session.timeout.ms = 45000"),
        ),
        (
            "consumer.session.timeout.ms=60001",
            "",
            &*format!("{SESSION} = 60001 is more than group.consumer.max.session.timeout.ms = 60000"),
        ),
        ("consumer.session.timeout.ms=0", "", "consumer.session.timeout.ms = 0: not an int in [1,...]"),
        ("consumer.session.timeout.ms=", "", "consumer.session.timeout.ms = : not an int in [1,...]"),
        ("nope=1\nconsumer.session.timeout.ms=x", "", "nope is not a group config"),
        ("group.consumer.session.timeout.ms=50000", "", "group.consumer.session.timeout.ms is not a group config"),
        (
            "consumer.session.timeout.ms=1\nstreams.session.timeout.ms=x",
            "",
            "streams.session.timeout.ms = x: not an int in [1,...]",
        ),
        (
            "consumer.heartbeat.interval.ms=15001",
            "",
            "consumer.heartbeat.interval.ms = 15001 is more than group.consumer.max.heartbeat.interval.ms = 15000",
        ),
        ("consumer.assignment.interval.ms=0", "", ""),
        (
            "consumer.assignment.interval.ms=15001",
            "",
            "consumer.assignment.interval.ms = 15001 is more than group.consumer.max.assignment.interval.ms = 15000",
        ),
        ("consumer.session.timeout.ms=5001", WIDE, ""),
        (
            "consumer.session.timeout.ms=5000",
            WIDE,
            "consumer.session.timeout.ms = 5000 is not more than consumer.heartbeat.interval.ms = 5000",
        ),
        ("consumer.session.timeout.ms=3000\nconsumer.heartbeat.interval.ms=2999", WIDE, ""),
        (
            "consumer.session.timeout.ms=30000\nconsumer.heartbeat.interval.ms=39000",
            WIDE,
            "consumer.session.timeout.ms = 30000 is not more than consumer.heartbeat.interval.ms = 39000",
        ),
        (
            "share.delivery.count.limit=11",
            "",
            "share.delivery.count.limit = 11 is more than group.share.max.delivery.count.limit = 10",
        ),
        (
            "share.partition.max.record.locks=4001",
            "",
            "share.partition.max.record.locks = 4001 is more than group.share.max.partition.max.record.locks = 4000",
        ),
        (
            "share.record.lock.duration.ms=14999",
            "",
            "share.record.lock.duration.ms = 14999 is less than group.share.min.record.lock.duration.ms = 15000",
        ),
        (
            "share.auto.offset.reset=by_duration:PT1H\nshare.isolation.level=read_committed\nshare.renew.acknowledge.enable=TRUE",
            "",
            "",
        ),
        (
            "share.auto.offset.reset=by_duration:-PT1H",
            "",
            "share.auto.offset.reset = by_duration:-PT1H: not a string in [latest, earliest, by_duration:PnDTnHnMn.nS]",
        ),
        (
            "share.auto.offset.reset=EARLIEST",
            "",
            "share.auto.offset.reset = EARLIEST: not a string in [latest, earliest, by_duration:PnDTnHnMn.nS]",
        ),
        (
            "share.isolation.level=READ_COMMITTED",
            "",
            "share.isolation.level = READ_COMMITTED: not a string in [read_committed, read_uncommitted]",
        ),
        (
            "streams.num.standby.replicas=3",
            "",
            "streams.num.standby.replicas = 3 is more than group.streams.max.standby.replicas = 2",
        ),
        ("streams.initial.rebalance.delay.ms=3000000", "", ""),
    ] {
        let answer = with_layers(group, "", server, |layers| layers.check());
        assert_eq!(answer.map_or_else(|error| error.to_string(), |()| String::new()), expected, "{group}");
    }
}

/// Kafka 4.3.1 starts with the same and refuses the same, but for assignors that are classes.
#[test]
fn what_a_server_may_say_of_groups() {
    for (file, expected) in [
        ("group.consumer.max.heartbeat.interval.ms=5000", ""),
        ("group.consumer.max.heartbeat.interval.ms=50000", ""),
        (
            "group.consumer.min.heartbeat.interval.ms=20000",
            "group.consumer.max.heartbeat.interval.ms: 15000 is less than group.consumer.min.heartbeat.interval.ms = 20000",
        ),
        (
            "group.consumer.heartbeat.interval.ms=4999",
            "group.consumer.heartbeat.interval.ms: 4999 is less than group.consumer.min.heartbeat.interval.ms = 5000",
        ),
        (
            "group.consumer.session.timeout.ms=60001",
            "group.consumer.session.timeout.ms: 60001 is more than group.consumer.max.session.timeout.ms = 60000",
        ),
        (
            "group.consumer.min.assignment.interval.ms=1001",
            "group.consumer.assignment.interval.ms: 1000 is less than group.consumer.min.assignment.interval.ms = 1001",
        ),
        ("group.consumer.max.heartbeat.interval.ms=45000\ngroup.consumer.heartbeat.interval.ms=44999", ""),
        (
            "group.consumer.max.heartbeat.interval.ms=45000\ngroup.consumer.heartbeat.interval.ms=45000",
            "group.consumer.heartbeat.interval.ms: 45000 is not less than group.consumer.session.timeout.ms = 45000",
        ),
        (
            "group.share.min.session.timeout.ms=200000",
            "group.share.max.session.timeout.ms: 60000 is less than group.share.min.session.timeout.ms = 200000",
        ),
        (
            "group.share.partition.max.record.locks=5000",
            "group.share.partition.max.record.locks: 5000 is more than group.share.max.partition.max.record.locks = 4000",
        ),
        (
            "group.streams.num.standby.replicas=3",
            "group.streams.num.standby.replicas: 3 is more than group.streams.max.standby.replicas = 2",
        ),
        ("group.min.session.timeout.ms=1800001\ngroup.initial.rebalance.delay.ms=-1\noffset.metadata.max.bytes=-1", ""),
        ("group.coordinator.rebalance.protocols=classic", ""),
        (
            "group.coordinator.rebalance.protocols=consumer,share",
            "group.coordinator.rebalance.protocols: the classic protocol cannot be left out",
        ),
        ("group.consumer.assignors=range, uniform,range", ""),
        (
            "group.consumer.assignors=Uniform",
            "group.consumer.assignors: `Uniform` is none of uniform, range; Ottla does not run classes of its own",
        ),
        (
            "group.consumer.assignors=uniform,a.b.Mine",
            "group.consumer.assignors: `a.b.Mine` is none of uniform, range; Ottla does not run classes of its own",
        ),
    ] {
        let answer = ServerConfig::load(Some(file), &[]);
        assert_eq!(answer.map_or_else(|errors| errors.to_string(), |_| String::new()), expected, "{file}");
    }
}
