//! Requests whose batches are packed anew: how many at once, and how many bytes of them may wait.
//!
//! To pack takes a processor for long, so there are no more at once than processors, and few enough that flushes and metadata
//! find a thread. A request that waits for its turn has been copied out of its connection's buffer; beyond a limit,
//! connections that produce are not read from.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ottla_net::BoxFuture;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// At once, however many processors there are.
const TURNS_MAX: usize = 8;
/// Of requests that wait or are packed.
const BYTES_MAX: usize = 64 << 20;

#[derive(Debug)]
pub struct Repacking {
    turns: Semaphore,
    bytes: AtomicUsize,
    /// Told when there are fewer bytes.
    fewer: Notify,
}

/// A request, until it is done.
#[derive(Debug)]
pub struct Waiting {
    repacking: Arc<Repacking>,
    bytes: usize,
}

impl Repacking {
    pub fn new(cores: usize) -> Repacking {
        let turns = Semaphore::new(cores.clamp(1, TURNS_MAX));
        Repacking { turns, bytes: AtomicUsize::new(0), fewer: Notify::new() }
    }

    pub fn enter(self: &Arc<Self>, bytes: usize) -> Waiting {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Waiting { repacking: self.clone(), bytes }
    }

    /// Waits for as long as too much is waiting.
    pub fn hold_back(self: &Arc<Self>) -> Option<BoxFuture<()>> {
        if !self.is_full() {
            return None;
        }
        let repacking = self.clone();
        Some(Box::pin(async move {
            loop {
                // On the list before it looks.
                let fewer = repacking.fewer.notified();
                if !repacking.is_full() {
                    return;
                }
                fewer.await;
            }
        }))
    }

    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > BYTES_MAX
    }
}

impl Waiting {
    /// Waits until it may be packed.
    pub async fn turn(&self) -> SemaphorePermit<'_> {
        self.repacking.turns.acquire().await.expect("this semaphore is never closed")
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.repacking.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.repacking.fewer.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_may_wait() {
        let repacking = Arc::new(Repacking::new(2));
        let first = repacking.enter(BYTES_MAX);
        assert!(repacking.hold_back().is_none());
        let second = repacking.enter(1);
        assert!(repacking.hold_back().is_some());
        drop((first, second));
        assert!(repacking.hold_back().is_none());
    }
}
