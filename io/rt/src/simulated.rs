//! The runtime in simulation: one thread, a clock that jumps, dice from a seed.
//!
//! A [`World`] is tokio's current-thread runtime with paused time: as long as a task can run, no time passes; when all of
//! them wait, the clock jumps to the next timer. So an hour of timeouts takes a second, and takes the same course again
//! from the same seed.
//!
//! A [`Process`] is in it what a process is on a machine: it has a clock that starts with it, dice of its own, and it can
//! be killed, which drops each of its tasks at the await where it is. First come, first served, as tokio has it, would
//! show only one order of things that threads may do in any order, so a task that could run is now and then put back
//! behind the others, and one that is new may begin late. Blocking work is done in one go, after as long as the dice say.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use ottla_base::Now;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::dice::Seeded;
use crate::{Rt, Runs, Task, task};

/// When the world begins: 2026-01-01 UTC.
const WALL_START_MS: i64 = 1_767_225_600_000;
/// One of so many times a task that could run is put back.
const PUT_BACK_ONE_IN: u64 = 8;
/// One of so many tasks begins late, because its thread has other things to do, and at most so late.
const BEGINS_LATE_ONE_IN: u64 = 8;
const BEGINS_LATE_MS_MAX: u64 = 20;
/// Half of all blocking work takes no time, the other half at most so long, unless it stalls.
const BLOCKING_MS_MAX: u64 = 4;
const MEMORY_BYTES: u64 = 1 << 30;

/// Time and dice that all processes of one simulation share.
#[derive(Debug)]
pub struct World {
    runtime: Runtime,
    start: Instant,
    dice: Seeded,
}

/// A process of the simulation. Clones are the same process.
#[derive(Clone, Debug)]
pub struct Process(Arc<State>);

#[derive(Debug)]
struct State {
    name: String,
    handle: Handle,
    world_start: Instant,
    start: Instant,
    dice: Seeded,
    /// Apart from `dice`, so that the order of tasks does not change what is drawn by them.
    schedule: Seeded,
    stalls: Mutex<Stalls>,
    tasks: Mutex<Vec<AbortHandle>>,
    /// Tasks whose futures still exist.
    living: AtomicUsize,
    killed: AtomicBool,
    panics: AtomicUsize,
    span: tracing::Span,
}

/// How much of the blocking work takes long, because the disk does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stalls {
    pub per_mille: u64,
    pub ms_max: u64,
}

impl World {
    pub fn new(seed: u64) -> std::io::Result<World> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let start = {
            let _inside = runtime.enter();
            Instant::now()
        };
        Ok(World { runtime, start, dice: Seeded::new(seed) })
    }

    /// Starts a process, of which nothing runs yet.
    pub fn process(&self, name: &str) -> Process {
        let _inside = self.runtime.enter();
        Process(Arc::new(State {
            name: name.to_owned(),
            handle: self.runtime.handle().clone(),
            world_start: self.start,
            start: Instant::now(),
            dice: Seeded::new(self.dice.u64()),
            schedule: Seeded::new(self.dice.u64()),
            stalls: Mutex::default(),
            tasks: Mutex::default(),
            living: AtomicUsize::new(0),
            killed: AtomicBool::new(false),
            panics: AtomicUsize::new(0),
            span: tracing::error_span!("process", name),
        }))
    }

    /// Runs a future, and all processes meanwhile, to the future's end.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

impl Process {
    pub fn rt(&self) -> Rt {
        Rt(Runs::Simulated(self.clone()))
    }

    /// Kills it: no task of it runs any further. The futures are dropped before any time passes, but not within this call.
    pub fn kill(&self) {
        self.0.killed.store(true, Ordering::Relaxed);
        lock(&self.0.tasks).drain(..).for_each(|task| task.abort());
    }

    pub fn is_killed(&self) -> bool {
        self.0.killed.load(Ordering::Relaxed)
    }

    /// Whether there is nothing left of it.
    pub fn is_gone(&self) -> bool {
        self.0.living.load(Ordering::Relaxed) == 0
    }

    /// Panics of its tasks and of its blocking work so far. Each is a bug.
    pub fn panics(&self) -> usize {
        self.0.panics.load(Ordering::Relaxed)
    }

    pub fn set_stalls(&self, stalls: Stalls) {
        *lock(&self.0.stalls) = stalls;
    }

    pub(crate) fn spawn<F>(&self, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let schedule = &self.0.schedule;
        let is_late = schedule.below(BEGINS_LATE_ONE_IN) == 0;
        let late_ms = if is_late { schedule.below(BEGINS_LATE_MS_MAX) + 1 } else { 0 };
        let future = async move {
            if late_ms > 0 {
                tokio::time::sleep(Duration::from_millis(late_ms)).await;
            }
            future.await
        };
        let task = task::spawn(&self.0.handle, name, self.clone().run(future));
        self.keep(task.abort_handle());
        task
    }

    /// Done even if nobody waits for it any more, as on a thread.
    pub(crate) async fn blocking<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        let delay = Duration::from_millis(self.draw_blocking_ms());
        let work = self.0.handle.spawn(self.clone().run(async move {
            tokio::time::sleep(delay).await;
            f()
        }));
        self.keep(work.abort_handle());
        match work.await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Killed, and so is whoever waits for this.
                Err(_) => std::future::pending().await,
            },
        }
    }

    pub(crate) fn now(&self) -> Now {
        let now = Instant::now();
        let ms = |since| i64::try_from(now.duration_since(since).as_millis()).unwrap_or(i64::MAX);
        Now { mono_ms: ms(self.0.start), wall_ms: WALL_START_MS + ms(self.0.world_start) }
    }

    pub(crate) fn u64(&self) -> u64 {
        self.0.dice.u64()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        MEMORY_BYTES
    }

    pub(crate) fn host_name(&self) -> String {
        self.0.name.clone()
    }

    fn draw_blocking_ms(&self) -> u64 {
        let Stalls { per_mille, ms_max } = *lock(&self.0.stalls);
        if self.0.schedule.below(1000) < per_mille {
            return self.0.schedule.below(ms_max + 1);
        }
        self.0.schedule.below(2 * BLOCKING_MS_MAX).saturating_sub(BLOCKING_MS_MAX - 1)
    }

    fn keep(&self, task: AbortHandle) {
        if self.is_killed() {
            return task.abort();
        }
        let mut tasks = lock(&self.0.tasks);
        if tasks.len() == tasks.capacity() {
            tasks.retain(|task| !task.is_finished());
        }
        tasks.push(task);
    }

    /// The future as a task of this process.
    fn run<F: Future>(self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.0.living.fetch_add(1, Ordering::Relaxed);
        let living = Living(self);
        async move {
            let mut future = pin!(future);
            let state = &*living.0.0;
            std::future::poll_fn(|cx| {
                if state.killed.load(Ordering::Relaxed) {
                    return Poll::Pending;
                }
                if state.schedule.below(PUT_BACK_ONE_IN) == 0 {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let _named = state.span.enter();
                let _counted = CountPanic(state);
                future.as_mut().poll(cx)
            })
            .await
        }
    }
}

/// A future of a process that has not been dropped.
struct Living(Process);

impl Drop for Living {
    fn drop(&mut self) {
        self.0.0.living.fetch_sub(1, Ordering::Relaxed);
    }
}

struct CountPanic<'a>(&'a State);

impl Drop for CountPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panics.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lane;

    /// What three tasks do, and when, in an hour.
    fn story(seed: u64) -> Vec<(usize, i64)> {
        let world = World::new(seed).unwrap();
        let rt = world.process("a").rt();
        let told: Arc<Mutex<Vec<(usize, i64)>>> = Arc::default();
        world.block_on(async {
            for task in 0..3 {
                let (rt_again, told) = (rt.clone(), told.clone());
                rt.spawn(Lane::Data, "teller", async move {
                    loop {
                        let told = told.clone();
                        let now = rt_again.now().mono_ms;
                        rt_again.blocking(move || lock(&told).push((task, now))).await;
                        rt_again.sleep(Duration::from_millis(rt_again.random_u64() % 60_000)).await;
                    }
                });
            }
            rt.sleep(Duration::from_secs(3600)).await;
        });
        lock(&told).clone()
    }

    #[test]
    fn one_seed_gives_one_story() {
        assert!(story(1).len() > 100);
        assert_eq!(story(1), story(1));
        assert_ne!(story(1), story(2));
    }

    #[test]
    fn a_killed_process_is_dropped_and_another_lives_on() {
        let world = World::new(1).unwrap();
        let [victim, other] = ["victim", "other"].map(|name| world.process(name));
        let held = Arc::new(());
        world.block_on(async {
            for process in [&victim, &other] {
                let (rt, held) = (process.rt(), held.clone());
                process.rt().spawn(Lane::Control, "holder", async move {
                    let holder = held;
                    loop {
                        let held = holder.clone();
                        rt.blocking(move || drop(held)).await;
                    }
                });
            }
            other.rt().sleep(Duration::from_millis(100)).await;
            assert!(!victim.is_gone());
            victim.kill();
            victim.rt().spawn(Lane::Data, "late", std::future::pending::<()>());
            other.rt().sleep(Duration::from_millis(1)).await;
            assert!(victim.is_gone() && !other.is_gone());
            assert!((2..=3).contains(&Arc::strong_count(&held)));
        });
    }

    #[test]
    fn work_goes_on_when_nobody_waits_for_it() {
        let world = World::new(1).unwrap();
        let rt = world.process("a").rt();
        let done = Arc::new(AtomicBool::new(false));
        world.block_on(async {
            let work = done.clone();
            let waited = rt.timeout(Duration::ZERO, rt.blocking(move || work.store(true, Ordering::Relaxed))).await;
            assert!(waited.is_none());
            rt.sleep(Duration::from_secs(1)).await;
        });
        assert!(done.load(Ordering::Relaxed));
    }

    #[test]
    fn panics_end_one_task_and_are_counted() {
        let world = World::new(1).unwrap();
        let process = world.process("a");
        let rt = process.rt();
        world.block_on(async {
            let (rt_again, task) = (rt.clone(), async { panic!("a bug") });
            assert!(rt.spawn(Lane::Data, "bug", task).await.is_err());
            let blocking = async move { rt_again.blocking(|| panic!("a bug in blocking work")).await };
            assert!(rt.spawn(Lane::Data, "bug", blocking).await.is_err());
        });
        // The second one in the work and in the task that waited for it.
        assert_eq!(process.panics(), 3);
    }
}
