//! The task that flushes: one for each log directory.
//!
//! Whoever needs a flush puts itself on the list, wakes the task and goes on; what gathers while the disk works shares the
//! next sync. Nobody awaits a flush here: those it is for are told what is on the disk now.
//!
//! A log whose sync fails takes no more until one succeeds, which is tried again and again; what was not asked for counts
//! like what was. The metadata log has no partition, and is told through its host.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_rt::{Lane, Rt, Stop};
use ottla_storage::{Flushed, Flusher, LogDir, LogError, Reader, WriteBack};
use tokio::sync::{Notify, mpsc};

use crate::control::host::Host;
use crate::directory::Directory;
use crate::metrics::Metrics;
use crate::partition::Partition;
use crate::topics::Published;

/// How often the task looks for what has been dirty for too long.
const TICK_MS: i64 = 1000;
/// The pause after a flush that failed, and after each one that failed after it.
const RETRY_MS: i64 = 100;
const RETRY_AGAIN_MS: i64 = 1000;

/// Where a flush is asked for.
#[derive(Debug)]
pub struct Flushing {
    dir: Arc<LogDir>,
    /// Producers are held back while the directory has more dirty bytes than this.
    dirty_bytes_max: u64,
    asked: Mutex<Vec<Asked>>,
    pub wake: Arc<Notify>,
    /// Some partition's log cannot be synced.
    is_failing: AtomicBool,
    /// Told after each flush.
    flushed: Notify,
}

#[derive(Debug)]
struct Asked {
    partition: Arc<Partition>,
    due_ms: i64,
}

impl Flushing {
    pub fn new(dir: Arc<LogDir>, dirty_bytes_max: u64) -> Flushing {
        Flushing {
            dir,
            dirty_bytes_max,
            asked: Mutex::default(),
            wake: Arc::default(),
            is_failing: AtomicBool::new(false),
            flushed: Notify::new(),
        }
    }

    /// Asks for everything that the partition has appended by `due_ms` ([`ottla_base::Now::mono_ms`]) to be flushed then,
    /// and the partition to be told.
    pub fn ask(&self, partition: &Arc<Partition>, due_ms: i64) {
        let mut asked = self.asked();
        match asked.iter_mut().find(|asked| Arc::ptr_eq(&asked.partition, partition)) {
            Some(asked) if asked.due_ms <= due_ms => return,
            Some(asked) => asked.due_ms = due_ms,
            None => asked.push(Asked { partition: partition.clone(), due_ms }),
        }
        drop(asked);
        self.wake.notify_one();
    }

    /// Until no more is dirty than may be.
    pub async fn clean_enough(&self) {
        self.wake.notify_one();
        loop {
            let flushed = self.flushed.notified();
            if !self.is_too_dirty() {
                return;
            }
            flushed.await;
        }
    }

    /// Bytes that are not synced, and with how many more producers are held back.
    pub fn dirty_bytes_and_max(&self) -> (u64, u64) {
        (self.dir.dirty_bytes(), self.dirty_bytes_max)
    }

    /// Not where flushes fail: whoever waits for one would not hear of it.
    pub fn is_too_dirty(&self) -> bool {
        self.dir.dirty_bytes() > self.dirty_bytes_max && !self.is_failing.load(Ordering::Relaxed)
    }

    /// Nobody flushes any more: those who wait for it go on.
    fn give_up(&self) {
        self.is_failing.store(true, Ordering::Relaxed);
        self.flushed.notify_waiters();
    }

    fn look_for_failing(&self) {
        let is_failing = self.asked().iter().any(|asked| asked.partition.cannot_be_synced());
        self.is_failing.store(is_failing, Ordering::Relaxed);
    }

    fn take_due(&self, now_ms: i64) -> Vec<Arc<Partition>> {
        self.asked().extract_if(.., |asked| asked.due_ms <= now_ms).map(|asked| asked.partition).collect()
    }

    fn next_due_ms(&self) -> i64 {
        self.asked().iter().map(|asked| asked.due_ms).min().unwrap_or(i64::MAX)
    }

    fn asked(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose logs the task flushes.
#[derive(Debug)]
pub struct Logs {
    pub directory: Arc<Directory>,
    /// Where this is the directory of the metadata log.
    pub metadata: Option<Arc<Host>>,
    pub published: Arc<ArcSwap<Published>>,
    pub metrics: Arc<Metrics>,
}

impl Logs {
    /// Tells whose log could not be synced. Gives when to try again.
    fn failed(&self, due: &[Arc<Partition>], log: &Reader, error: &LogError, now_ms: i64) -> Retry {
        let after = |is_first| now_ms + if is_first { RETRY_MS } else { RETRY_AGAIN_MS };
        if let Some(metadata) = self.metadata.as_ref().filter(|host| log.is_same(host.reader())) {
            return Retry::Metadata { due_ms: after(metadata.sync_failed(error)) };
        }
        self.directory.note(error);
        let published = self.published.load();
        let mut all = due.iter().chain(published.topics.iter().flat_map(|topic| topic.partitions.iter().flatten()));
        match all.find(|partition| partition.reader.is_same(log)) {
            Some(partition) => {
                Retry::Partition { due_ms: after(partition.sync_failed(error)), partition: partition.clone() }
            }
            None => Retry::ByItself,
        }
    }
}

enum Retry {
    Metadata {
        due_ms: i64,
    },
    Partition {
        partition: Arc<Partition>,
        due_ms: i64,
    },
    /// It is not served yet. It stays dirty, and so its turn comes again.
    ByItself,
}

/// One step of writing back: less makes more extents of a file than an ext4 joins in passing, more takes a processor for long.
pub const WRITE_BACK_BYTES: NonZeroU64 = NonZeroU64::new(4 << 20).expect("it is not 0");
/// How long producers have the disk for themselves between two steps: at most 250 MiB are written back in a second.
const WRITE_BACK_REST: Duration = Duration::from_millis(16);
/// And so many steps are taken before it is seen whether to stop.
const WRITE_BACK_STEPS: usize = 4;

/// Writes back what it is sent. A flush waits for none of it.
async fn write_back_all(rt: Rt, mut sent: mpsc::UnboundedReceiver<WriteBack>) {
    while let Some(mut one) = sent.recv().await {
        let mut goes_on = true;
        while goes_on && !sent.is_closed() {
            let clock = rt.clone();
            let steps = move || {
                let goes_on = (0..WRITE_BACK_STEPS).all(|_| {
                    clock.pause(WRITE_BACK_REST);
                    one.step()
                });
                (one, goes_on)
            };
            (one, goes_on) = rt.blocking(steps).await;
        }
    }
}

/// Runs until `stop`.
pub async fn run(rt: Rt, logs: Logs, mut flusher: Flusher, mut stop: Stop) {
    let Logs { directory, metadata, .. } = &logs;
    let flushing = &directory.flushing;
    let (write_back, to_write_back) = mpsc::unbounded_channel();
    // It ends with the channel.
    let _ends_by_itself = rt.spawn(Lane::Control, "write back", write_back_all(rt.clone(), to_write_back));
    // Before then the metadata log is not tried again.
    let mut metadata_due_ms = i64::MIN;
    // What has failed is not written to any more.
    while !directory.has_failed() {
        let is_failing = metadata.as_ref().is_some_and(|host| host.is_failing());
        let retry_ms = if is_failing { metadata_due_ms } else { i64::MAX };
        let next_ms = flushing.next_due_ms().min(rt.now().mono_ms + TICK_MS).min(retry_ms);
        tokio::select! {
            biased;
            () = stop.told() => return,
            () = flushing.wake.notified() => {}
            () = rt.sleep_until(next_ms) => {}
        }
        let now = rt.now();
        let due = flushing.take_due(now.mono_ms);
        due.iter().for_each(|partition| partition.ask_flush());
        if let Some(host) = metadata {
            let is_dirty = host.is_failing() || host.reader().flushed() != host.reader().end();
            if is_dirty && now.mono_ms >= metadata_due_ms {
                host.reader().ask_flush();
            }
        }
        let flushed;
        let (look_at, clock) = (directory.clone(), rt.clone());
        (flusher, flushed) = rt
            .blocking(move || {
                look_at.room.look(&look_at.log_dir);
                let flushed = flusher.run_once(now, &|| clock.mono_us());
                (flusher, flushed)
            })
            .await;
        for one in flusher.take_write_backs() {
            // It is there for as long as we are.
            let _ = write_back.send(one);
        }
        let now_ms = rt.now().mono_ms;
        for Flushed { log, outcome, had_more, began_us, ended_us } in flushed {
            if had_more && !matches!(outcome, Err(LogError::Deleted)) {
                logs.metrics.flushes_us.took(began_us, ended_us);
            }
            match outcome {
                Ok(_) if metadata.as_ref().is_some_and(|host| log.is_same(host.reader())) => {
                    metadata_due_ms = i64::MIN;
                    metadata.iter().for_each(|host| host.sync_succeeded());
                }
                Ok(to) => {
                    due.iter().filter(|partition| partition.reader.is_same(&log)).for_each(|one| one.flushed(to));
                }
                // Whoever waits has been told that it is gone.
                Err(LogError::Deleted) => {}
                Err(error) => match logs.failed(&due, &log, &error, now_ms) {
                    Retry::Metadata { due_ms } => metadata_due_ms = due_ms,
                    Retry::Partition { partition, due_ms } => flushing.ask(&partition, due_ms),
                    Retry::ByItself => {}
                },
            }
        }
        metadata.iter().for_each(|host| host.flushed(host.reader().flushed().offset));
        directory.checkpoints.flushed();
        flushing.look_for_failing();
        flushing.flushed.notify_waiters();
    }
    flushing.give_up();
}
