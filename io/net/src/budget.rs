//! The process's budget of bytes for large frames.
//!
//! Taking the whole announced size before reading lets forty idle connections that announced 100 MiB each lock everybody
//! out. Taking nothing lets them fill the memory. So a frame pays for each chunk just before it is read: memory follows
//! what has arrived.
//!
//! Half-read frames could then share the budget so that none of them can finish. One frame at a time may therefore read on
//! without paying (the *overdraft*), which is also how a frame larger than the whole budget gets in.
//!
//! A client that stalls would keep what it has paid for, so where the budget is short there are times to keep: see
//! [`crate::incoming`] and ADR 2.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// Permits are counted in units of this size, so that the count fits tokio's 32 bits.
const UNIT_BYTES: usize = 1 << 10;

#[derive(Debug)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    units_max: usize,
    overdraft: Arc<Mutex<()>>,
    /// Frames that wait to pay.
    waiting: AtomicUsize,
    /// Messages that amplify when decoded go one at a time.
    large_decode: Arc<Mutex<()>>,
}

/// What a frame holds of the budget; given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Held {
    permit: Option<OwnedSemaphorePermit>,
    overdraft: Option<OwnedMutexGuard<()>>,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Budget {
        let units_max = (bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Budget {
            units: Arc::new(Semaphore::new(units_max)),
            units_max,
            overdraft: Arc::default(),
            waiting: AtomicUsize::new(0),
            large_decode: Arc::default(),
        }
    }

    /// Has `held` pay for `bytes` more; waits while the budget is spent and another frame has the overdraft.
    pub(crate) async fn more(&self, held: &mut Held, bytes: usize) {
        if held.overdraft.is_some() {
            return;
        }
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        if let Ok(more) = self.units.clone().try_acquire_many_owned(units) {
            return held.add(more);
        }
        let _waits = Waits::begin(&self.waiting);
        tokio::select! {
            biased;
            Ok(more) = self.units.clone().acquire_many_owned(units) => held.add(more),
            overdraft = self.overdraft.clone().lock_owned() => held.overdraft = Some(overdraft),
        }
    }

    /// Bytes that are taken, and those that are free.
    pub(crate) fn taken_and_free(&self) -> (usize, usize) {
        let free = self.units.available_permits();
        ((self.units_max - free) * UNIT_BYTES, free * UNIT_BYTES)
    }

    /// Less than half of it is free.
    pub(crate) fn is_short(&self) -> bool {
        self.units.available_permits() < self.units_max.div_ceil(2)
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Held while a message that is decoded into structs, and is larger than 1 MiB, is decoded and answered: structs take
    /// up to sixty times the bytes of their frame.
    pub(crate) async fn large_decode(&self) -> OwnedMutexGuard<()> {
        self.large_decode.clone().lock_owned().await
    }
}

impl Held {
    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
    }

    pub(crate) fn is_on_overdraft(&self) -> bool {
        self.overdraft.is_some()
    }
}

/// Counts one who waits.
struct Waits<'a>(&'a AtomicUsize);

impl Waits<'_> {
    fn begin(count: &AtomicUsize) -> Waits<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        Waits(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn at_once<F: Future>(future: F) -> Option<F::Output> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn half_read_frames_cannot_lock_one_another_out() {
        let budget = Budget::new(1 << 20);
        let [mut a, mut b, mut c] = [(); 3].map(|()| Held::default());
        assert!(at_once(budget.more(&mut a, 1 << 19)).is_some() && !budget.is_short());
        assert!(at_once(budget.more(&mut b, 1 << 19)).is_some() && budget.is_short());
        assert!(at_once(budget.more(&mut a, 1 << 19)).is_some(), "the first that needs more reads on");
        assert!(a.is_on_overdraft() && at_once(budget.more(&mut a, 100 << 20)).is_some());
        assert!(at_once(budget.more(&mut b, 1)).is_none() && at_once(budget.more(&mut c, 1)).is_none());
        drop(a);
        assert!(at_once(budget.more(&mut b, 1 << 19)).is_some() && !b.is_on_overdraft());
        assert!(!budget.is_waited_for());
    }
}
