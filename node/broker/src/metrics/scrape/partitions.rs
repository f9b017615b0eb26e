//! Partitions: their logs, their replicas, and how many of them there are of which kind.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_metadata::image;
use ottla_observe::{Family, Labels, Text};
use ottla_storage::Reader;
use ottla_wire::TopicKey;

use super::Sources;
use super::families::partitions::*;
use crate::partition::Partition;
use crate::topics::Published;
use crate::upkeep::moving::Move;

/// One log of this broker.
struct Log {
    labels: Labels,
    start: i64,
    end: i64,
    /// Segments and bytes, if their sizes can be told.
    size: Option<(usize, u64)>,
    /// `retention.bytes`, where that acts.
    retention_bytes: Option<u64>,
}

/// One partition that is led here.
struct Led {
    labels: Labels,
    replicas: usize,
    in_sync: usize,
    min_in_sync: usize,
    last_stable_lag: i64,
}

/// Those of the broker altogether.
#[derive(Default)]
struct Counts {
    all: usize,
    offline: usize,
    unsyncable: usize,
    producers: usize,
}

pub fn write(text: &mut Text, sources: &Sources) {
    let published = sources.broker.published.load_full();
    let (mut logs, led, counts) = look(&published);
    logs.push(Log::of(
        Labels::of(KAFKA_LOG_LOG_SIZE.labels, &["__cluster_metadata", "0"]),
        sources.controller.reader(),
        None,
    ));
    write_logs(text, &logs);
    write_led(text, &led);
    let count = |is: fn(&Led) -> bool| led.iter().filter(|led| is(led)).count();
    text.single(&KAFKA_SERVER_REPLICAMANAGER_PARTITIONCOUNT, counts.all);
    text.single(&KAFKA_SERVER_REPLICAMANAGER_LEADERCOUNT, led.len());
    text.single(&KAFKA_SERVER_REPLICAMANAGER_OFFLINEREPLICACOUNT, counts.offline);
    text.single(&KAFKA_SERVER_REPLICAMANAGER_UNDERREPLICATEDPARTITIONS, count(Led::is_under_replicated));
    text.single(&KAFKA_SERVER_REPLICAMANAGER_UNDERMINISRPARTITIONCOUNT, count(Led::is_under_min));
    text.single(&KAFKA_SERVER_REPLICAMANAGER_ATMINISRPARTITIONCOUNT, count(Led::is_at_min));
    text.single(&KAFKA_SERVER_REPLICAMANAGER_PRODUCERIDCOUNT, counts.producers);
    text.single(&OTTLA_LOGS_UNSYNCABLE, counts.unsyncable);
    let mover = Labels::of(KAFKA_SERVER_REPLICAALTERLOGDIRSMANAGER_MAXLAG.labels, &["ReplicaAlterLogDirs"]);
    let lag = move_lag(&published, &sources.broker.moving.all());
    text.family(&KAFKA_SERVER_REPLICAALTERLOGDIRSMANAGER_MAXLAG, [(&mover, lag)]);
    let failed = sources.broker.moving.failed_count();
    text.family(&KAFKA_SERVER_REPLICAALTERLOGDIRSMANAGER_FAILEDPARTITIONSCOUNT, [(&mover, failed)]);
}

/// The most offsets that a copy on its way to another log directory is behind.
fn move_lag(published: &Published, moves: &[Arc<Move>]) -> i64 {
    let of_move = |one: &Arc<Move>| {
        let topic = published.topics.find(TopicKey::Id(one.replica.topic))?;
        let partition = topic.partition(one.replica.index).ok()?;
        Some(partition.reader.end().offset - one.copied_to.load(Ordering::Relaxed))
    };
    moves.iter().filter_map(of_move).max().unwrap_or(0).max(0)
}

fn look(published: &Published) -> (Vec<Log>, Vec<Led>, Counts) {
    let (mut logs, mut led, mut counts) = (Vec::new(), Vec::new(), Counts::default());
    for topic in published.topics.iter() {
        let in_image = published.image.topics().get_by_id(&topic.id);
        for (index, partition) in (0..).zip(&topic.partitions) {
            counts.all += 1;
            let Some(partition) = partition.as_ref().filter(|partition| !partition.has_failed()) else {
                counts.offline += 1;
                continue;
            };
            let labels = Labels::of(KAFKA_LOG_LOG_SIZE.labels, &[&topic.name, &index.to_string()]);
            counts.unsyncable += usize::from(partition.cannot_be_synced());
            counts.producers += partition.producer_count();
            logs.push(Log::of(labels.clone(), &partition.reader, partition.retention_bytes()));
            led.extend(
                in_image.and_then(|topic| topic.partition(index)).map(|image| Led::of(labels, partition, image)),
            );
        }
    }
    (logs, led, counts)
}

fn write_logs(text: &mut Text, logs: &[Log]) {
    text.family(&KAFKA_LOG_LOG_LOGSTARTOFFSET, logs.iter().map(|log| (&log.labels, log.start)));
    text.family(&KAFKA_LOG_LOG_LOGENDOFFSET, logs.iter().map(|log| (&log.labels, log.end)));
    let sizes = || logs.iter().filter_map(|log| Some((&log.labels, log.size?)));
    text.family(&KAFKA_LOG_LOG_NUMLOGSEGMENTS, sizes().map(|(labels, (segments, _))| (labels, segments)));
    text.family(&KAFKA_LOG_LOG_SIZE, sizes().map(|(labels, (_, bytes))| (labels, bytes)));
    let used =
        logs.iter().filter_map(|log| Some((&log.labels, log.size?.1, log.retention_bytes.filter(|most| *most > 0)?)));
    let percent = used.map(|(labels, bytes, most)| (labels, bytes.saturating_mul(100) / most));
    text.family(&KAFKA_LOG_LOG_RETENTIONSIZEINPERCENT, percent);
}

type OfLed = (&'static Family, fn(&Led) -> i64);

fn write_led(text: &mut Text, all: &[Led]) {
    let families: [OfLed; 6] = [
        (&KAFKA_CLUSTER_PARTITION_REPLICASCOUNT, |led| led.replicas as i64),
        (&KAFKA_CLUSTER_PARTITION_INSYNCREPLICASCOUNT, |led| led.in_sync as i64),
        (&KAFKA_CLUSTER_PARTITION_UNDERREPLICATED, |led| led.is_under_replicated().into()),
        (&KAFKA_CLUSTER_PARTITION_UNDERMINISR, |led| led.is_under_min().into()),
        (&KAFKA_CLUSTER_PARTITION_ATMINISR, |led| led.is_at_min().into()),
        (&KAFKA_CLUSTER_PARTITION_LASTSTABLEOFFSETLAG, |led| led.last_stable_lag),
    ];
    for (family, value) in families {
        text.family(family, all.iter().map(|led| (&led.labels, value(led))));
    }
}

impl Log {
    fn of(labels: Labels, reader: &Reader, retention_bytes: Option<u64>) -> Log {
        let (start, end, size) = (reader.start(), reader.end().offset, reader.segments_and_bytes().ok());
        Log { labels, start, end, size, retention_bytes }
    }
}

impl Led {
    fn of(labels: Labels, partition: &Partition, image: &image::Partition) -> Led {
        let marks = partition.last_marks();
        Led {
            labels,
            replicas: image.replicas.len(),
            in_sync: image.isr.len(),
            // A topic cannot ask for more than it has (KIP-966).
            min_in_sync: partition.min_insync_replicas().min(image.replicas.len()),
            last_stable_lag: marks.high_watermark - marks.last_stable,
        }
    }

    fn is_under_replicated(&self) -> bool {
        self.in_sync < self.replicas
    }

    fn is_under_min(&self) -> bool {
        self.in_sync < self.min_in_sync
    }

    fn is_at_min(&self) -> bool {
        self.in_sync == self.min_in_sync
    }
}
