//! The task that flushes: one for the log directory.
//!
//! Whoever needs a flush puts itself on the list, wakes the task and goes on; what gathers while the disk works shares the
//! next sync. Nobody awaits a flush here: those it is for are told what is on the disk now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_net::BoxFuture;
use ottla_rt::{Rt, Stop};
use ottla_storage::{Flushed, Flusher, LogDir};
use tokio::sync::Notify;

use crate::control::host::Host;
use crate::partition::Partition;
use crate::room::Room;

/// How often the task looks for what has been dirty for too long.
const TICK_MS: i64 = 1000;
/// The pause after a flush that failed.
const RETRY: Duration = Duration::from_millis(100);

/// Where a flush is asked for.
#[derive(Debug)]
pub struct Flushing {
    dir: Arc<LogDir>,
    /// Producers are held back while the directory has more dirty bytes than this.
    dirty_bytes_max: u64,
    asked: Mutex<Vec<Asked>>,
    pub wake: Arc<Notify>,
    pub room: Arc<Room>,
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
            room: Arc::default(),
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

    /// While too much is dirty: until a flush has made it less.
    pub fn hold_back(self: &Arc<Self>) -> Option<BoxFuture<()>> {
        if !self.is_too_dirty() {
            return None;
        }
        let flushing = self.clone();
        Some(Box::pin(async move {
            flushing.wake.notify_one();
            loop {
                let flushed = flushing.flushed.notified();
                if !flushing.is_too_dirty() {
                    return;
                }
                flushed.await;
            }
        }))
    }

    fn is_too_dirty(&self) -> bool {
        self.dir.dirty_bytes() > self.dirty_bytes_max
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

/// Runs until `stop`.
pub async fn run(rt: Rt, flushing: Arc<Flushing>, metadata: Arc<Host>, mut flusher: Flusher, mut stop: Stop) {
    loop {
        let next_ms = flushing.next_due_ms().min(rt.now().mono_ms + TICK_MS);
        tokio::select! {
            biased;
            () = stop.told() => return,
            () = flushing.wake.notified() => {}
            () = rt.sleep_until(next_ms) => {}
        }
        let now = rt.now();
        let due = flushing.take_due(now.mono_ms);
        due.iter().for_each(|partition| partition.ask_flush());
        if metadata.reader().flushed() != metadata.reader().end() {
            metadata.reader().ask_flush();
        }
        let flushed;
        let look_at = flushing.clone();
        (flusher, flushed) = rt
            .blocking(move || {
                look_at.room.look(&look_at.dir);
                let flushed = flusher.run_once(now);
                (flusher, flushed)
            })
            .await;
        let failed = report(&flushed);
        metadata.flushed(metadata.reader().flushed().offset);
        for partition in due {
            partition.flushed(partition.reader.flushed());
            if failed.iter().any(|failed| failed.log.is_same(&partition.reader)) {
                flushing.ask(&partition, now.mono_ms);
            }
        }
        flushing.flushed.notify_waiters();
        if !failed.is_empty() {
            rt.sleep(RETRY).await;
        }
    }
}

/// The flushes that failed, logged.
fn report(flushed: &[Flushed]) -> Vec<&Flushed> {
    let failed: Vec<_> = flushed.iter().filter(|flushed| flushed.outcome.is_err()).collect();
    for Flushed { outcome, .. } in &failed {
        if let Err(error) = outcome {
            tracing::error!("a flush failed, and is tried again: {error}");
        }
    }
    failed
}
