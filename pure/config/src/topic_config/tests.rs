//! A topic's configuration, layer by layer.

use super::*;

fn overrides(text: &str) -> Overrides {
    text.lines().map(|line| line.split_once('=').unwrap()).map(|(name, value)| (name.into(), value.into())).collect()
}

fn with_layers<T>(topic: &str, cluster: &str, server: &str, f: impl Fn(&TopicLayers<'_>) -> T) -> T {
    let (server, _) = ServerConfig::load(Some(server), &[]).unwrap();
    let (topic, broker, cluster) = (overrides(topic), Overrides::new(), overrides(cluster));
    f(&TopicLayers { topic: &topic, server: ServerLayers { broker: &broker, cluster: &cluster, server: &server } })
}

#[test]
fn the_defaults() {
    assert_eq!(
        with_layers("", "", "", |layers| layers.config()),
        TopicConfig {
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            segment_jitter_ms: 0,
            preallocate: false,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            file_delete_delay_ms: 60_000,
            max_message_bytes: 1_048_588,
            log_append_time: false,
            message_timestamp_before_max_ms: i64::MAX,
            message_timestamp_after_max_ms: 3_600_000,
            compact: false,
            delete: true,
            retention_ms: Some(604_800_000),
            retention_bytes: None,
            delete_retention_ms: 86_400_000,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_insync_replicas: 1,
            compression: Compression::Producer,
        }
    );
}

/// `key`, then what each layer says, then the value and its source.
#[test]
fn the_nearest_layer_counts() {
    for (key, topic, cluster, server, expected) in [
        ("segment.bytes", "", "", "", ("1073741824", Source::Default)),
        ("segment.bytes", "", "", "log.segment.bytes=1500000", ("1500000", Source::Static)),
        (
            "segment.bytes",
            "",
            "log.segment.bytes=1600000",
            "log.segment.bytes=1500000",
            ("1600000", Source::ClusterWide),
        ),
        ("segment.bytes", "segment.bytes=1700000", "log.segment.bytes=1600000", "", ("1700000", Source::Topic)),
        ("segment.ms", "", "", "log.roll.hours=2", ("7200000", Source::Static)),
        ("segment.ms", "", "", "log.roll.hours=2\nlog.roll.ms=5", ("5", Source::Static)),
        ("segment.ms", "", "log.roll.ms=6", "log.roll.ms=5", ("6", Source::ClusterWide)),
        ("segment.ms", "segment.ms= 7 ", "log.roll.ms=6", "", ("7", Source::Topic)),
        ("flush.ms", "", "", "log.flush.scheduler.interval.ms=8", ("8", Source::Static)),
        ("flush.ms", "", "", "log.flush.scheduler.interval.ms=8\nlog.flush.interval.ms=9", ("9", Source::Static)),
        ("retention.ms", "", "", "", ("604800000", Source::Default)),
        ("retention.ms", "", "", "log.retention.hours=1", ("3600000", Source::Static)),
        ("retention.ms", "", "", "log.retention.hours=1\nlog.retention.minutes=2", ("120000", Source::Static)),
        ("retention.ms", "", "log.retention.ms=-5", "log.retention.minutes=2", ("-1", Source::ClusterWide)),
        ("retention.ms", "", "", "log.retention.hours=-2", ("-1", Source::Static)),
        ("remote.log.copy.disable", "", "", "", ("false", Source::Default)),
    ] {
        let def = topic::find(key).unwrap();
        let effective = with_layers(topic, cluster, server, |layers| layers.effective(def));
        let (value, source) = expected;
        assert_eq!(effective, Effective { value: Some(value.to_owned()), source }, "{key} {topic} {cluster} {server}");
    }
}

#[test]
fn settings_reach_the_typed_values() {
    let topic = "cleanup.policy=delete, compact\nmessage.timestamp.type=LogAppendTime\nsegment.bytes=3000000\n\
                 internal.segment.bytes=100\nflush.messages=1\nmin.insync.replicas=2";
    let config = with_layers(topic, "", "log.segment.delete.delay.ms=1\nmessage.max.bytes=0", |layers| layers.config());
    assert!(config.compact && config.log_append_time);
    assert_eq!((config.segment_bytes, config.flush_messages, config.min_insync_replicas), (100, 1, 2));
    assert_eq!((config.file_delete_delay_ms, config.max_message_bytes), (1, 0));
}

#[test]
fn what_a_topic_may_be_given() {
    for (topic, expected) in [
        ("retention.ms=0\nretention.bytes=-5", ""),
        ("cleanup.policy=", ""),
        ("leader.replication.throttled.replicas=0:1,12:2\nfollower.replication.throttled.replicas=*", ""),
        ("remote.storage.enable=false", ""),
        ("min.compaction.lag.ms=5\nmax.compaction.lag.ms=5", ""),
        ("retention=1", "retention is not a topic config"),
        ("log.retention.ms=1", "log.retention.ms is not a topic config"),
        ("retention.ms=abc", "retention.ms = abc: not a long in [-1,...]"),
        ("retention.ms=-2", "retention.ms = -2: not a long in [-1,...]"),
        ("segment.bytes=100", "segment.bytes = 100: not an int in [1048576,...]"),
        ("preallocate=yes", "preallocate = yes: not a boolean"),
        ("cleanup.policy=COMPACT", "cleanup.policy = COMPACT: not a list in [compact, delete]"),
        ("cleanup.policy=delete,", "cleanup.policy = delete,: not a list in [compact, delete]"),
        (
            "leader.replication.throttled.replicas=x",
            "leader.replication.throttled.replicas = x: not a list in [partitionId]:[brokerId],[partitionId]:[brokerId],...",
        ),
        ("remote.storage.enable=true", "remote.storage.enable = true: Ottla does not give this yet"),
        (
            "min.compaction.lag.ms=10\nmax.compaction.lag.ms=5",
            "min.compaction.lag.ms = 10 is more than max.compaction.lag.ms = 5",
        ),
        ("min.compaction.lag.ms=10", "min.compaction.lag.ms = 10 is more than max.compaction.lag.ms = 9"),
    ] {
        let server = if expected.ends_with('9') { "log.cleaner.max.compaction.lag.ms=9" } else { "" };
        let answer = with_layers(topic, "", server, |layers| layers.check());
        assert_eq!(answer.map_or_else(|error| error.to_string(), |()| String::new()), expected, "{topic}");
    }
}

#[test]
fn what_was_requested_is_kept_as_it_came() {
    let entry = |key: &str, value: Option<&str>| (key.into(), value.map(Into::into));
    let kept = requested([entry("a", Some("1")), entry("b", Some(" x ")), entry("a", Some("2"))]);
    assert_eq!(kept, Ok(overrides("a=2\nb= x ")));
    let null = requested([entry("a", Some("1")), entry("retention.ms", None)]).unwrap_err();
    assert_eq!(null.to_string(), "retention.ms: null is not a value");
}
