//! Retention: segments that are too old, or more than a partition may have, are removed.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_partition::Why;
use ottla_rt::Stop;

use super::trimming::Trimming;
use crate::partition::Partition;
use crate::topics::Published;

/// When it is looked for segments to remove.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// `log.initial.task.delay.ms`
    pub first: Duration,
    /// `log.retention.check.interval.ms`
    pub interval: Duration,
}

/// Runs until `stop`.
pub async fn run(trimming: Trimming, published: Arc<ArcSwap<Published>>, times: Times, mut stop: Stop) {
    let mut pause = times.first;
    loop {
        tokio::select! {
            biased;
            () = stop.told() => return,
            () = trimming.rt.sleep(pause) => {}
        }
        pause = times.interval;
        let (of_all, published) = (trimming.clone(), published.load_full());
        trimming.rt.blocking(move || look(&of_all, &published)).await;
    }
}

fn look(trimming: &Trimming, published: &Published) {
    let mut has_moved = false;
    for partition in published.topics.iter().flat_map(|topic| topic.partitions.iter().flatten()) {
        has_moved |= retain(trimming, partition);
    }
    if has_moved && let Err(error) = trimming.checkpoint(published) {
        tracing::error!("cannot write down where logs begin: {error}");
    }
}

/// Says whether the log begins later than before.
fn retain(trimming: &Trimming, partition: &Partition) -> bool {
    let mut has_moved = false;
    let now_wall_ms = trimming.rt.now().wall_ms;
    loop {
        match partition.retain(now_wall_ms) {
            Ok(None) => return has_moved,
            Ok(Some((trimmed, why))) => {
                let (segments, start) = (trimmed.removed.segments(), trimmed.start);
                has_moved |= trimmed.has_moved;
                trimming.follow_up(partition, trimmed);
                let why = match why {
                    Why::LogStart => "below the start of the log",
                    Why::Size => "retention.bytes",
                    Why::Time => "retention.ms",
                };
                tracing::info!(
                    topic = %partition.topic, partition = partition.index, segments, start, "old segments go: {why}"
                );
                if segments == 0 {
                    return has_moved;
                }
            }
            Err(error) => {
                partition.home.note(&error);
                if !partition.home.has_failed() {
                    tracing::error!(topic = %partition.topic, partition = partition.index, "retention failed: {error}");
                }
                return has_moved;
            }
        }
    }
}
