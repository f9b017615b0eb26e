//! The task that writes down, now and then, how far the logs have come: what a start after a crash need not read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_rt::{Rt, Stop};
use ottla_storage::checkpoint::offsets::{self, HIGH_WATERMARKS, LOG_STARTS, RECOVERY_POINTS};
use ottla_storage::{Checkpointed, LogDir, LogError};

use crate::partition::Partition;
use crate::topics::Published;

/// What stands in the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    pub recovery_points: BTreeMap<String, i64>,
    pub log_starts: BTreeMap<String, i64>,
    pub high_watermarks: BTreeMap<String, i64>,
}

impl Offsets {
    pub fn load(dir: &LogDir) -> Result<Offsets, LogError> {
        let load = |file| offsets::load(dir.disk(), dir.path(), file).map(Option::unwrap_or_default);
        Ok(Offsets {
            recovery_points: load(RECOVERY_POINTS)?,
            log_starts: load(LOG_STARTS)?,
            high_watermarks: load(HIGH_WATERMARKS)?,
        })
    }

    /// Writes the files that differ from those of `before`.
    pub fn store(&self, dir: &LogDir, before: &Offsets) -> Result<(), LogError> {
        let store = |file, new: &BTreeMap<String, i64>, old| {
            if new == old { Ok(()) } else { offsets::store(dir.disk(), dir.path(), file, new) }
        };
        store(RECOVERY_POINTS, &self.recovery_points, &before.recovery_points)?;
        store(LOG_STARTS, &self.log_starts, &before.log_starts)?;
        store(HIGH_WATERMARKS, &self.high_watermarks, &before.high_watermarks)
    }

    /// What the logs need to know to be opened, by the names of their directories.
    pub fn for_opening(&self) -> BTreeMap<String, Checkpointed> {
        let of = |(name, recovery_point): (&String, &i64)| {
            let log_start = self.log_starts.get(name).copied().unwrap_or(0);
            (name.clone(), Checkpointed { recovery_point: *recovery_point, log_start })
        };
        self.recovery_points.iter().map(of).collect()
    }

    pub fn add(&mut self, partition: &Partition) {
        let name = partition.directory();
        self.recovery_points.insert(name.clone(), partition.reader.recovery_point());
        self.high_watermarks.insert(name, partition.readable_end().offset);
    }
}

fn now(published: &Published) -> Offsets {
    let mut offsets = Offsets::default();
    let open = published.topics.iter().flat_map(|topic| topic.partitions.iter().flatten());
    open.for_each(|partition| offsets.add(partition));
    offsets
}

/// Writes the files every `interval`, where something has changed. Runs until `stop`.
pub async fn run(
    rt: Rt,
    dir: Arc<LogDir>,
    published: Arc<ArcSwap<Published>>,
    interval: Duration,
    mut before: Offsets,
    mut stop: Stop,
) {
    loop {
        tokio::select! {
            biased;
            () = stop.told() => return,
            () = rt.sleep(interval) => {}
        }
        let (dir, published) = (dir.clone(), published.load_full());
        before = rt
            .blocking(move || {
                let offsets = now(&published);
                match offsets.store(&dir, &before) {
                    Ok(()) => offsets,
                    Err(error) => {
                        tracing::error!("cannot write the checkpoints: {error}");
                        before
                    }
                }
            })
            .await;
    }
}
