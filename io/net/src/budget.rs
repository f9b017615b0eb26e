//! The process's budget of bytes for large frames.
//!
//! Taking the whole announced size before reading lets forty idle connections that announced 100 MiB each lock everybody
//! out. Taking nothing lets them fill the memory. So a frame pays for each chunk just before it is read: memory follows
//! what has arrived.
//!
//! Half-read frames could then share the budget so that none of them can finish. One frame at a time may therefore read on
//! without paying (the *overdraft*), which is also how a frame larger than the whole budget gets in. It must make progress
//! meanwhile, or others would wait for a stalled client.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// How long a frame that reads on the overdraft may take.
pub(crate) const OVERDRAFT_LIMIT: Duration = Duration::from_secs(30);

/// Permits are counted in units of this size, so that the count fits tokio's 32 bits.
const UNIT_BYTES: usize = 1 << 10;

#[derive(Clone, Debug)]
pub struct Budget {
    units: Arc<Semaphore>,
    overdraft: Arc<Mutex<()>>,
    /// Messages that amplify when decoded go one at a time.
    large_decode: Arc<Mutex<()>>,
}

/// What a frame holds of the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Budget,
    permit: Option<OwnedSemaphorePermit>,
    overdraft: Option<OwnedMutexGuard<()>>,
}

impl Budget {
    pub fn new(bytes: usize) -> Budget {
        Budget {
            units: Arc::new(Semaphore::new((bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS))),
            overdraft: Arc::default(),
            large_decode: Arc::default(),
        }
    }

    pub(crate) fn nothing(&self) -> Held {
        Held { budget: self.clone(), permit: None, overdraft: None }
    }

    /// Held while a message that is decoded into structs, and is larger than 1 MiB, is decoded and answered: structs take
    /// up to sixty times the bytes of their frame.
    pub(crate) async fn large_decode(&self) -> OwnedMutexGuard<()> {
        self.large_decode.clone().lock_owned().await
    }
}

impl Held {
    /// Pays for `bytes` more; waits while the budget is spent and another frame has the overdraft.
    pub(crate) async fn more(&mut self, bytes: usize) {
        if self.overdraft.is_some() {
            return;
        }
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        tokio::select! {
            biased;
            Ok(more) = self.budget.units.clone().acquire_many_owned(units) => match &mut self.permit {
                Some(permit) => permit.merge(more),
                None => self.permit = Some(more),
            },
            overdraft = self.budget.overdraft.clone().lock_owned() => self.overdraft = Some(overdraft),
        }
    }

    pub(crate) fn is_on_overdraft(&self) -> bool {
        self.overdraft.is_some()
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
        let [mut a, mut b, mut c] = [(); 3].map(|()| budget.nothing());
        assert!(at_once(a.more(1 << 19)).is_some() && at_once(b.more(1 << 19)).is_some());
        assert!(at_once(a.more(1 << 19)).is_some(), "the first that needs more reads on");
        assert!(a.is_on_overdraft() && at_once(a.more(100 << 20)).is_some());
        assert!(at_once(b.more(1)).is_none() && at_once(c.more(1)).is_none());
        drop(a);
        assert!(at_once(b.more(1 << 19)).is_some() && !b.is_on_overdraft());
    }
}
