//! The runtime in production: tokio on real threads.

use std::future::Future;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ottla_base::Now;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::dice::Dice;
use crate::{Lane, Rt, Runs};

/// Cold reads, syncs and scans that may run at once; more than a disk has heads for, few enough to cost little memory.
const BLOCKING_THREADS_MAX: usize = 32;

/// One that a disk holds up must not be the only one.
const WORKERS_MIN: usize = 2;
/// How often it is looked whether a worker is held up, while there is something to do.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// After which it is looked again where one was at work while another slept.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// When there has been nothing to do for long.
const LOOK_EVERY_IDLE: Duration = Duration::from_millis(640);

/// Owns the threads. Dropping it ends them without waiting for what still blocks.
#[derive(Debug)]
pub struct Threads {
    data: Runtime,
    control: Runtime,
    /// The thread that relieves workers ends with it.
    _goes_on: mpsc::Sender<()>,
}

#[derive(Debug)]
pub(crate) struct Handles {
    data: Handle,
    control: Handle,
    start: Instant,
    /// Read once: who asks each second shall not read files of the kernel each second.
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) dice: Dice,
}

impl Threads {
    pub fn start() -> std::io::Result<(Threads, Rt)> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let data = Builder::new_multi_thread()
            .worker_threads(cores.max(WORKERS_MIN))
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_name("data")
            .enable_all()
            .build()?;
        let control = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .thread_name("control")
            .enable_all()
            .build()?;
        let ((goes_on, is_over), workers) = (mpsc::channel(), data.handle().clone());
        thread::Builder::new().name("relief".into()).spawn(move || relieve(&workers, &is_over))?;
        let handles = Handles {
            data: data.handle().clone(),
            control: control.handle().clone(),
            start: Instant::now(),
            cores,
            memory_bytes: memory_bytes(),
            dice: Dice::kernel()?,
        };
        Ok((Threads { data, control, _goes_on: goes_on }, Rt(Runs::Threads(Arc::new(handles)))))
    }

    /// Runs a future on the control lane from outside, to its end.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.control.block_on(future)
    }

    /// Ends all tasks; gives what still blocks `limit`.
    pub fn stop(self, limit: Duration) {
        self.data.shutdown_timeout(limit);
        self.control.shutdown_background();
    }
}

/// Wakes another worker when one is held up by what it runs, until the other end of `over` is dropped. It has a thread of its
/// own, for the same disk may hold up any other.
///
/// In tokio the worker that finds sockets ready takes what follows from it itself, and wakes no other for a single task. When
/// that task blocks, in a write whose disk does not answer, the others sleep on: nobody looks at the sockets any more. A task
/// from outside wakes one of them, and with nothing else to do it looks. One that merely has much to do looks the same, and
/// to wake another does no harm then.
fn relieve(data: &Handle, over: &mpsc::Receiver<()>) {
    let metrics = data.metrics();
    // How often each of them has gone to sleep or woken up: odd while it sleeps.
    let mut before = vec![0; metrics.num_workers()];
    let mut rest = LOOK_EVERY;
    while over.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
        let (mut is_held_up, mut works, mut sleeps, mut is_idle) = (false, false, false, true);
        for (worker, before) in before.iter_mut().enumerate() {
            let count = metrics.worker_park_unpark_count(worker);
            let (is_asleep, has_moved) = (count % 2 == 1, count != std::mem::replace(before, count));
            is_held_up |= !is_asleep && !has_moved;
            works |= !is_asleep;
            sleeps |= is_asleep;
            is_idle &= is_asleep && !has_moved;
        }
        if is_held_up && sleeps {
            data.spawn(async {});
        }
        rest = if is_idle {
            (rest * 2).min(LOOK_EVERY_IDLE)
        } else if works && sleeps {
            LOOK_AGAIN
        } else {
            LOOK_EVERY
        };
    }
}

impl Handles {
    pub(crate) fn lane(&self, lane: Lane) -> &Handle {
        match lane {
            Lane::Data => &self.data,
            Lane::Control => &self.control,
        }
    }

    pub(crate) async fn blocking<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        match self.data.spawn_blocking(f).await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down: whoever waits for this goes down with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    pub(crate) fn pause(&self, duration: Duration) {
        // Not by a timer of the data lane: whoever looks after those may be held up, or have ended.
        let end = Instant::now() + duration;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            thread::park_timeout(left);
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono_ms: self.mono_ms(), wall_ms: wall_ms() }
    }

    pub(crate) fn mono_ms(&self) -> i64 {
        ms(self.start.elapsed())
    }

    pub(crate) fn mono_us(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

pub(crate) fn wall_ms() -> i64 {
    ms(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What is taken for the memory of a machine that does not tell.
const MEMORY_BYTES_UNKNOWN: u64 = 1 << 30;

fn memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    total.map_or(MEMORY_BYTES_UNKNOWN, |kib| kib << 10)
}

pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_held_up_leaves_the_sockets_and_timers_to_the_others() {
        let (threads, rt) = Threads::start().unwrap();
        let (release, held) = mpsc::channel();
        // Timers are looked after by the worker that looks at the sockets: it is the one that runs, and is held up by, the
        // first of these.
        let clock = rt.clone();
        let first = rt.spawn(Lane::Data, "held up", async move {
            clock.sleep(Duration::from_millis(5)).await;
            held.recv_timeout(Duration::from_secs(20))
        });
        let clock = rt.clone();
        let _second = rt.spawn(Lane::Data, "releases", async move {
            clock.sleep(Duration::from_millis(50)).await;
            release.send(())
        });
        assert_eq!(threads.block_on(first).unwrap(), Ok(()));
    }
}
