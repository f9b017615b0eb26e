//! The runtime in production: tokio on real threads.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ottla_base::Now;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::dice::Dice;
use crate::{Lane, Rt, Runs};

/// Cold reads, syncs and scans that may run at once; more than a disk has heads for, few enough to cost little memory.
const BLOCKING_THREADS_MAX: usize = 32;

/// Owns the threads. Dropping it ends them without waiting for what still blocks.
#[derive(Debug)]
pub struct Threads {
    data: Runtime,
    control: Runtime,
}

#[derive(Debug)]
pub(crate) struct Handles {
    data: Handle,
    control: Handle,
    start: Instant,
    pub(crate) dice: Dice,
}

impl Threads {
    pub fn start() -> std::io::Result<(Threads, Rt)> {
        let data = Builder::new_multi_thread()
            .worker_threads(cores())
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
        let handles = Handles {
            data: data.handle().clone(),
            control: control.handle().clone(),
            start: Instant::now(),
            dice: Dice::kernel()?,
        };
        Ok((Threads { data, control }, Rt(Runs::Threads(Arc::new(handles)))))
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
        self.data.block_on(tokio::time::sleep(duration));
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

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What is taken for the memory of a machine that does not tell.
const MEMORY_BYTES_UNKNOWN: u64 = 1 << 30;

pub(crate) fn memory_bytes() -> u64 {
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
