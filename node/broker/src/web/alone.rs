//! Answers that are made one at a time.
//!
//! They read from disks, on the threads that may block, of which there are so many and which flushes need. A hundred scrapes of
//! a slow disk must not have them all. So each kind of answer has one thread at most, and who asks meanwhile waits for it.

use std::sync::Arc;

use ottla_rt::Rt;
use tokio::sync::Mutex;

#[derive(Debug, Default)]
pub struct Alone(Arc<Mutex<()>>);

impl Alone {
    /// Makes something on a thread that may block, when it is its turn. Who asked for it may go meanwhile, but the thread does
    /// not: the turn lasts until it is made.
    pub async fn make<T: Send + 'static>(&self, rt: &Rt, make: impl FnOnce() -> T + Send + 'static) -> T {
        let turn = self.0.clone().lock_owned().await;
        let make = move || {
            let made = make();
            drop(turn);
            made
        };
        rt.blocking(make).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use ottla_rt::{Stalls, World};

    use super::*;

    #[test]
    fn who_has_asked_and_gone_is_in_the_way_until_the_thread_is_free() {
        let world = World::new(7).unwrap();
        let process = world.process("broker");
        process.set_stalls(Stalls { per_mille: 1000, ms_max: 1 << 20 });
        let (rt, alone, made) = (process.rt(), Alone::default(), Arc::new(AtomicUsize::new(0)));
        let make = || {
            let made = made.clone();
            alone.make(&rt, move || made.fetch_add(1, Ordering::Relaxed))
        };
        world.block_on(async {
            let soon = Duration::from_millis(1);
            for _ in 0..5 {
                assert_eq!(rt.timeout(soon, make()).await, None);
                assert!(alone.0.try_lock().is_err(), "a thread is at work");
            }
            rt.sleep(Duration::from_millis(1 << 20)).await;
            assert_eq!(made.load(Ordering::Relaxed), 1, "the others had no turn before they went");
            assert_eq!(make().await, 1);
        });
    }
}
