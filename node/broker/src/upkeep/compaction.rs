//! Compaction: of topics with `cleanup.policy=compact` the newest record of each key stays.
//!
//! As many tasks as `log.cleaner.threads` says each take the log of which most is dirty, compact it on a blocking thread, and
//! look again; with nothing to do they pause for `log.cleaner.backoff.ms`. Memory is taken for one compaction and given back.
//! A log with a damaged batch is compacted no more until it is opened again. Of one with a batch that unpacks to too much, all
//! else is compacted. What is configured has limits here that Kafka's keys do not have.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_config::{ServerConfig, keys};
use ottla_partition::Cleanable;
use ottla_rt::{Lane, Stop, Stopper, Task};
use ottla_storage::{CleanError, Cleaned, Cleaner, CleanerOptions, Job, LogError};

use super::trimming::Trimming;
use crate::metrics::Metrics;
use crate::partition::{Dirty, Partition};
use crate::topics::Published;

/// What the records of one batch may unpack to at the least and at the most, whatever memory there is, and what all threads
/// together may take of it for that. (While a batch is copied it is there twice.)
const UNPACKED_BYTES_MIN: usize = 1 << 20;
const UNPACKED_BYTES_MAX: usize = 1 << 30;
const UNPACKED_MEMORY_SHARE: u64 = 16;
/// More threads than that would leave none for flushes and metadata.
const THREADS_MAX: usize = 4;
/// The least and the most of what a compaction gets, whatever is configured.
const MAP_BYTES_MIN: usize = 1 << 20;
const MAP_MEMORY_SHARE: u64 = 4;
const LOAD_FACTOR_MIN: f64 = 0.1;
const BUFFER_BYTES_MIN: usize = 16 << 10;
const BUFFER_BYTES_MAX: usize = 64 << 20;
const BYTES_PER_SECOND_MIN: f64 = 1024.0;
/// A throttled thread looks so often whether it is to stop, or to go faster.
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// How often it is looked whether there are to be more threads, or fewer.
const THREADS_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Compaction {
    pub trimming: Trimming,
    pub published: Arc<ArcSwap<Published>>,
    pub config: Arc<ServerConfig>,
    pub metrics: Arc<Metrics>,
    /// Logs that somebody is at work on, by the names of their directories.
    pub taken: Mutex<BTreeSet<String>>,
}

/// A log that is compacted, until it is dropped, by a panic too.
#[derive(Debug)]
pub struct Taken<'a> {
    compaction: &'a Compaction,
    name: String,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.compaction.taken().remove(&self.name);
    }
}

/// The settings that act, as they are now.
#[derive(Clone, Copy, Debug)]
struct Settings {
    threads: usize,
    backoff: Duration,
    cleaner: CleanerOptions,
    bytes_per_second: f64,
}

/// Runs until `stop`.
pub async fn run(compaction: Arc<Compaction>, mut stop: Stop) {
    let rt = compaction.trimming.rt.clone();
    let mut threads: Vec<(Stopper, Task<()>)> = Vec::new();
    loop {
        let wanted = compaction.settings().threads;
        while threads.len() < wanted {
            let stopper = Stopper::default();
            let task = rt.spawn(Lane::Control, "compact", compact(compaction.clone(), stopper.listener()));
            threads.push((stopper, task));
        }
        // One that is at work stops where it is.
        threads.truncate(wanted);
        tokio::select! {
            biased;
            () = stop.told() => break,
            () = rt.sleep(THREADS_INTERVAL) => {}
        }
    }
    for (stopper, task) in threads {
        stopper.stop();
        let _ = task.await;
    }
}

async fn compact(compaction: Arc<Compaction>, mut stop: Stop) {
    let rt = compaction.trimming.rt.clone();
    let mut has_worked = false;
    loop {
        let pause = if has_worked { Duration::ZERO } else { compaction.settings().backoff };
        tokio::select! {
            biased;
            () = stop.told() => return,
            () = rt.sleep(pause) => {}
        }
        let (blocking, hears, inside) = (compaction.clone(), stop.again(), rt.clone());
        // In a task of its own: a bug that one log brings out must not end the compaction of all.
        let work = async move { inside.blocking(move || blocking.compact_one(&hears)).await };
        has_worked = rt.spawn(Lane::Control, "compact one", work).await.unwrap_or(false);
    }
}

impl Compaction {
    fn settings(&self) -> Settings {
        let published = self.published.load();
        let layers = published.image.configs().layers(&self.config);
        let count = |count: i32| usize::try_from(count).unwrap_or(0);
        let asked = if layers.get(keys::LOG_CLEANER_ENABLE) { count(layers.get(keys::LOG_CLEANER_THREADS)) } else { 0 };
        let threads = asked.min(THREADS_MAX);
        let share = |bytes: usize| bytes / threads.max(1);
        let dedupe_bytes = usize::try_from(layers.get(keys::LOG_CLEANER_DEDUPE_BUFFER_SIZE)).unwrap_or(0);
        let memory = usize::try_from(self.trimming.rt.memory_bytes() / MAP_MEMORY_SHARE).unwrap_or(usize::MAX);
        let buffer_bytes = share(count(layers.get(keys::LOG_CLEANER_IO_BUFFER_SIZE)) / 2);
        Settings {
            threads,
            backoff: Duration::from_millis(layers.get(keys::LOG_CLEANER_BACKOFF_MS).unsigned_abs()),
            cleaner: CleanerOptions {
                map_bytes: share(dedupe_bytes.min(memory)).max(MAP_BYTES_MIN),
                load_factor: layers.get(keys::LOG_CLEANER_IO_BUFFER_LOAD_FACTOR).clamp(LOAD_FACTOR_MIN, 1.0),
                buffer_bytes: buffer_bytes.clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX),
                unpacked_bytes_max: unpacked_bytes_max(self.trimming.rt.memory_bytes(), threads),
            },
            bytes_per_second: layers.get(keys::LOG_CLEANER_IO_MAX_BYTES_PER_SECOND).max(BYTES_PER_SECOND_MIN),
        }
    }

    /// Compacts the log that needs it most. Says whether there was one, and all went well.
    fn compact_one(&self, stop: &Stop) -> bool {
        let Some((partition, found, _taken)) = self.take() else { return false };
        let (topic, index) = (&partition.topic, partition.index);
        match self.clean(&partition, found, stop) {
            Ok(cleaned) => {
                let Cleaned { records_read, records_kept, bytes_read, bytes_kept, first_dirty, .. } = cleaned;
                tracing::info!(
                    %topic, partition = index, records_read, records_kept, bytes_read, bytes_kept, first_dirty, "compacted"
                );
                if let Some(offset) = cleaned.too_large
                    && partition.is_first_told_too_large()
                {
                    let most = self.settings().cleaner.unpacked_bytes_max;
                    tracing::warn!(
                        %topic, partition = index, offset,
                        "the records of a batch unpack to more than {most} bytes: it is not compacted, and tombstones \
                         behind it stay"
                    );
                }
                true
            }
            Err(CleanError::Stopped) => false,
            Err(CleanError::Log(error @ LogError::Corrupt { .. })) => {
                tracing::error!(%topic, partition = index, "the log is not compacted any more: {error}");
                partition.set_uncleanable();
                true
            }
            Err(CleanError::Log(error)) => {
                tracing::error!(%topic, partition = index, "compaction failed, and is tried again: {error}");
                false
            }
        }
    }

    /// Takes the log of which most is dirty, of those that are due.
    fn take(&self) -> Option<(Arc<Partition>, Cleanable, Taken<'_>)> {
        let published = self.published.load();
        let now_wall_ms = self.trimming.rt.now().wall_ms;
        let mut taken = self.taken();
        let mut uncleanable = BTreeMap::new();
        let mut best: Option<(Arc<Partition>, Cleanable)> = None;
        let mut overdue_ms = 0;
        for partition in published.topics.iter().flat_map(|topic| topic.partitions.iter().flatten()) {
            if !partition.settings().config.compact || taken.contains(&partition.directory()) {
                continue;
            }
            if partition.is_uncleanable() {
                *uncleanable.entry(partition.home.shown()).or_default() += 1;
                continue;
            }
            match partition.cleanable(now_wall_ms) {
                Ok(Some(found)) if found.is_due => {
                    overdue_ms = found.overdue_ms.max(overdue_ms);
                    if best.as_ref().is_none_or(|(_, other)| found.ratio() > other.ratio()) {
                        best = Some((partition.clone(), found));
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(
                        topic = %partition.topic, partition = partition.index, "it cannot be seen what to compact: {error}"
                    );
                }
            }
        }
        self.metrics.compaction.note(|last| {
            last.dirty = best.as_ref().map_or(0.0, |(_, found)| found.ratio());
            if best.is_some() {
                last.overdue_ms = overdue_ms;
            }
            last.looked_ms = Some(self.trimming.rt.mono_ms());
            last.uncleanable = uncleanable;
        });
        let (partition, found) = best?;
        let name = partition.directory();
        taken.insert(name.clone());
        Some((partition, found, Taken { compaction: self, name }))
    }

    fn clean(&self, partition: &Arc<Partition>, found: Cleanable, stop: &Stop) -> Result<Cleaned, CleanError> {
        let Dirty { found, last_stable, last_batches } = partition.dirty(found).ok_or(CleanError::Stopped)?;
        let settings = self.settings();
        let topic = partition.settings();
        let options = topic.log_options(0);
        let job = Job {
            log: partition.reader.clone(),
            first_dirty: found.first_dirty,
            bound: found.bound,
            last_stable,
            now_wall_ms: self.trimming.rt.now().wall_ms,
            delete_retention_ms: topic.config.delete_retention_ms,
            segment_bytes: options.segment_bytes,
            index_bytes: options.index_bytes,
            last_batches: &last_batches,
        };
        let (rt, began_ms, mut spent) = (&self.trimming.rt, self.trimming.rt.mono_ms(), 0.0);
        let mut pace = |bytes: u64| {
            spent += bytes as f64;
            self.metrics.compaction.bytes.add(bytes);
            let mut rate = settings.bytes_per_second;
            let mut ahead_ms = spent / rate * 1_000.0 - (rt.mono_ms() - began_ms) as f64;
            while ahead_ms >= 1.0 && !stop.is_told() {
                let pause = Duration::from_millis(ahead_ms as u64).min(PAUSE_MAX);
                rt.pause(pause);
                // It may be another by now.
                let rate_now = self.settings().bytes_per_second;
                ahead_ms = (ahead_ms - pause.as_millis() as f64) * rate / rate_now;
                rate = rate_now;
            }
            if stop.is_told() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let cleaning = Cleaner::new(settings.cleaner).clean(&job, &mut pace);
        self.trimming.remove_later(partition, cleaning.removed);
        let cleaned = cleaning.outcome?;
        self.metrics.compaction.note(|last| {
            last.recopied = cleaned.bytes_kept as f64 / cleaned.bytes_read.max(1) as f64;
            last.map_use = cleaned.map_use;
            last.took_ms = rt.mono_ms() - began_ms;
        });
        partition.set_first_dirty(cleaned.first_dirty);
        if let Err(error) = self.trimming.checkpoint(&self.published.load()) {
            tracing::error!("cannot write down how far logs are compacted: {error}");
        }
        Ok(cleaned)
    }

    /// Keeps a log from being compacted until what is returned is dropped. `None` while it is being compacted.
    pub fn hold(&self, partition: &Partition) -> Option<Taken<'_>> {
        let name = partition.directory();
        self.taken().insert(name.clone()).then(|| Taken { compaction: self, name })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the records of one batch may unpack to, where so many threads compact.
fn unpacked_bytes_max(memory_bytes: u64, threads: usize) -> usize {
    let all = usize::try_from(memory_bytes / UNPACKED_MEMORY_SHARE).unwrap_or(usize::MAX);
    (all / threads.max(1)).clamp(UNPACKED_BYTES_MIN, UNPACKED_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_batch_may_unpack_to_follows_the_memory() {
        for (memory_bytes, threads, most) in [
            (0, 1, UNPACKED_BYTES_MIN),
            (2 << 30, 1, 128 << 20),
            (2 << 30, 4, 32 << 20),
            (2 << 30, 0, 128 << 20),
            (64 << 30, 4, 1 << 30),
            (u64::MAX, 1, UNPACKED_BYTES_MAX),
        ] {
            assert_eq!(unpacked_bytes_max(memory_bytes, threads), most, "{memory_bytes} bytes, {threads} threads");
        }
    }
}
