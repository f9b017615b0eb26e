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

use std::sync::{self, Arc, MutexGuard, PoisonError};

use ottla_rt::Rt;
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// Permits are counted in units of this size, so that the count fits tokio's 32 bits.
const UNIT_BYTES: usize = 1 << 10;

#[derive(Debug)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    units_max: usize,
    overdraft: Arc<Mutex<()>>,
    waiting: sync::Mutex<Waiting>,
    /// Messages that amplify when decoded go one at a time.
    large_decode: Arc<Mutex<()>>,
}

/// Frames that wait to pay, and how long there were any.
#[derive(Debug, Default)]
struct Waiting {
    count: usize,
    since_ms: i64,
    total_ms: i64,
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
            waiting: sync::Mutex::default(),
            large_decode: Arc::default(),
        }
    }

    /// Has `held` pay for `bytes` more; waits while the budget is spent and another frame has the overdraft.
    pub(crate) async fn more(&self, rt: &Rt, held: &mut Held, bytes: usize) {
        if held.overdraft.is_some() {
            return;
        }
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        if let Ok(more) = self.units.clone().try_acquire_many_owned(units) {
            return held.add(more);
        }
        let _waits = self.begin_to_wait(rt);
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
        self.waiting().count > 0
    }

    /// Milliseconds in which somebody has waited to pay.
    pub(crate) fn depleted_ms(&self, rt: &Rt) -> i64 {
        let waiting = self.waiting();
        // The clock is looked at after that, or they could have begun to wait later than now.
        waiting.total_ms + if waiting.count > 0 { rt.mono_ms() - waiting.since_ms } else { 0 }
    }

    fn begin_to_wait<'a>(&'a self, rt: &'a Rt) -> Waits<'a> {
        let mut waiting = self.waiting();
        if waiting.count == 0 {
            waiting.since_ms = rt.mono_ms();
        }
        waiting.count += 1;
        Waits { budget: self, rt }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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

/// One who waits.
struct Waits<'a> {
    budget: &'a Budget,
    rt: &'a Rt,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut waiting = self.budget.waiting();
        waiting.count -= 1;
        if waiting.count == 0 {
            waiting.total_ms += self.rt.mono_ms() - waiting.since_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use ottla_rt::World;

    use super::*;

    fn at_once<F: Future>(future: F) -> Option<F::Output> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn half_read_frames_cannot_lock_one_another_out() {
        let world = World::new(1).unwrap();
        let rt = world.process("a").rt();
        world.block_on(async {
            let budget = Budget::new(1 << 20);
            let more = |held: &mut Held, bytes| at_once(budget.more(&rt, held, bytes)).is_some();
            let [mut a, mut b, mut c] = [(); 3].map(|()| Held::default());
            assert!(more(&mut a, 1 << 19) && !budget.is_short());
            assert!(more(&mut b, 1 << 19) && budget.is_short());
            assert!(more(&mut a, 1 << 19), "the first that needs more reads on");
            assert!(a.is_on_overdraft() && more(&mut a, 100 << 20));
            assert!(!more(&mut b, 1) && !more(&mut c, 1));
            drop(a);
            assert!(more(&mut b, 1 << 19) && !b.is_on_overdraft());
            assert!(!budget.is_waited_for());
        });
    }

    #[test]
    fn it_is_known_for_how_long_somebody_has_waited() {
        let world = World::new(1).unwrap();
        let rt = world.process("a").rt();
        world.block_on(async {
            let budget = Budget::new(1 << 10);
            let [mut all, mut over, mut first, mut second] = [(); 4].map(|()| Held::default());
            budget.more(&rt, &mut all, 1 << 10).await;
            budget.more(&rt, &mut over, 1).await;
            let second = rt.timeout(Duration::from_secs(3), budget.more(&rt, &mut second, 1));
            let (first, second) =
                tokio::join!(rt.timeout(Duration::from_secs(2), budget.more(&rt, &mut first, 1)), second);
            assert!(first.is_none() && second.is_none() && budget.depleted_ms(&rt) == 3_000);
            rt.sleep(Duration::from_secs(1)).await;
            assert_eq!(budget.depleted_ms(&rt), 3_000);
            let _waits = budget.begin_to_wait(&rt);
            rt.sleep(Duration::from_secs(1)).await;
            assert_eq!(budget.depleted_ms(&rt), 4_000);
        });
    }
}
