//! Fetches that wait for records.
//!
//! A fetch that finds less than it asked for hangs one [`Missing`] on each of its partitions. An append takes what it made
//! visible off each of them, and the one that brings a wait to zero wakes it: a hundred small appends cost one wake-up, not
//! a hundred. With nobody waiting an append pays one relaxed load.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What one fetch that waits still lacks.
#[derive(Debug)]
pub struct Missing {
    bytes: AtomicI64,
    wake: Notify,
}

impl Missing {
    pub fn bytes(bytes: i64) -> Arc<Missing> {
        Arc::new(Missing { bytes: AtomicI64::new(bytes), wake: Notify::new() })
    }

    /// So many bytes are there. The one who takes the last of them wakes the fetch.
    pub fn less(&self, bytes: i64) {
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if before > 0 && before <= bytes {
            self.wake.notify_one();
        }
    }

    /// Until enough bytes have become visible, or something else happened that the fetch should look at.
    pub async fn arrived(&self) {
        self.wake.notified().await
    }
}

/// The fetches that wait on one partition.
#[derive(Debug, Default)]
pub struct Waits {
    count: AtomicUsize,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    next_id: u64,
    waits: BTreeMap<u64, Arc<Missing>>,
}

impl Waits {
    /// Hangs up a wait until the guard is dropped. The caller looks at the partition's tail *after* this: an append either
    /// is in the tail it sees, or sees this wait (the tail's lock orders the two).
    pub fn hang(&self, wait: Arc<Missing>) -> Hung<'_> {
        let mut list = self.list();
        let id = list.next_id;
        list.next_id += 1;
        list.waits.insert(id, wait);
        self.count.store(list.waits.len(), Ordering::Relaxed);
        Hung { waits: self, id }
    }

    /// An append has made so many bytes visible. Called after the tail's lock is released.
    #[inline]
    pub fn arrived(&self, bytes: i64) {
        if self.count.load(Ordering::Relaxed) > 0 {
            self.list().waits.values().for_each(|missing| missing.less(bytes));
        }
    }

    /// The partition has changed in another way: every fetch looks again.
    pub fn wake_all(&self) {
        self.list().waits.values().for_each(|wait| wait.wake.notify_one());
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait that hangs on a partition; taken off when dropped.
#[derive(Debug)]
pub struct Hung<'a> {
    waits: &'a Waits,
    id: u64,
}

impl Drop for Hung<'_> {
    fn drop(&mut self) {
        let mut list = self.waits.list();
        list.waits.remove(&self.id);
        self.waits.count.store(list.waits.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn is_woken(missing: &Missing) -> bool {
        pin!(missing.arrived()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_append_that_completes_it_wakes_once() {
        let (first, second) = (Waits::default(), Waits::default());
        let wait = Missing::bytes(100);
        let _hung = [first.hang(wait.clone()), second.hang(wait.clone())];
        first.arrived(60);
        assert!(!is_woken(&wait));
        second.arrived(40);
        assert!(is_woken(&wait));
        first.arrived(500);
        assert!(!is_woken(&wait), "it was woken already");
    }

    #[test]
    fn a_wait_that_is_dropped_is_taken_off() {
        let waits = Waits::default();
        let wait = Missing::bytes(1);
        drop(waits.hang(wait.clone()));
        waits.arrived(1);
        waits.wake_all();
        assert!(!is_woken(&wait));
        assert_eq!(waits.count.load(Ordering::Relaxed), 0);
    }
}
