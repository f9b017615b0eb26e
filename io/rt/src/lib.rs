//! The runtime seam: the only place that spawns, sleeps, reads a clock, throws dice or blocks a thread for others.
//!
//! Everything above asks an [`Rt`] that it was given, so the same broker runs on threads in production and, from one
//! seed, inside one thread with virtual time in simulation. There is no global runtime and nothing is kept in statics:
//! two brokers in one process have two of these.
//!
//! In production there are two runtimes. Connections run on [`Lane::Data`], as many workers as cores and two at least; timers,
//! the control plane and everything that must stay on time while a disk stalls a worker run on [`Lane::Control`], one thread.
//! Another thread sees to it that a stalled worker does not take the sockets of the others with it. The feature `sim` adds the
//! other runtime, [`World`].

mod dice;
mod signal;
#[cfg(feature = "sim")]
mod simulated;
mod stop;
mod task;
mod threads;

pub use signal::Terminate;
#[cfg(feature = "sim")]
pub use simulated::{Process, Stalls, World};
pub use stop::{Stop, Stopper};
pub use task::{Panicked, Task};
pub use threads::Threads;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ottla_base::{Now, Uuid};

/// Which threads a task runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Connections. A task may block for as long as a write to the page cache takes, no longer.
    Data,
    /// Timers, control plane. Never blocks.
    Control,
}

/// The runtime that a component was given. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rt(Runs);

/// What runs us.
#[derive(Clone, Debug)]
enum Runs {
    Threads(Arc<threads::Handles>),
    #[cfg(feature = "sim")]
    Simulated(Process),
}

impl Rt {
    /// Starts a task. A panic inside is logged with `name` and what the task was doing, and ends that task alone.
    pub fn spawn<F>(&self, lane: Lane, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match &self.0 {
            Runs::Threads(handles) => task::spawn(handles.lane(lane), name, future),
            #[cfg(feature = "sim")]
            Runs::Simulated(process) => process.spawn(name, future),
        }
    }

    /// Runs something that blocks (a sync, a cold read, a directory scan) on a thread of its own and gives its result.
    ///
    /// # Panics
    /// Where `f` does.
    pub async fn blocking<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        match &self.0 {
            Runs::Threads(handles) => handles.blocking(f).await,
            #[cfg(feature = "sim")]
            Runs::Simulated(process) => process.blocking(f).await,
        }
    }

    /// Holds up the thread: within [`Rt::blocking`] only. In simulation blocking work takes no time, and neither does this.
    pub fn pause(&self, duration: Duration) {
        match &self.0 {
            Runs::Threads(handles) => handles.pause(duration),
            #[cfg(feature = "sim")]
            Runs::Simulated(_) => {}
        }
    }

    /// Runs something that keeps a processor busy for long, here and now; the worker's other tasks go elsewhere meanwhile.
    /// On [`Lane::Data`] only.
    pub fn in_place<T>(&self, f: impl FnOnce() -> T) -> T {
        match &self.0 {
            Runs::Threads(_) => tokio::task::block_in_place(f),
            #[cfg(feature = "sim")]
            Runs::Simulated(_) => f(),
        }
    }

    pub fn now(&self) -> Now {
        match &self.0 {
            Runs::Threads(handles) => handles.now(),
            #[cfg(feature = "sim")]
            Runs::Simulated(process) => process.now(),
        }
    }

    /// [`Now::wall_ms`] alone, at half the price.
    pub fn wall_ms(&self) -> i64 {
        match &self.0 {
            Runs::Threads(_) => threads::wall_ms(),
            #[cfg(feature = "sim")]
            Runs::Simulated(process) => process.now().wall_ms,
        }
    }

    /// [`Now::mono_ms`] alone, at half the price.
    pub fn mono_ms(&self) -> i64 {
        match &self.0 {
            Runs::Threads(handles) => handles.mono_ms(),
            #[cfg(feature = "sim")]
            Runs::Simulated(process) => process.now().mono_ms,
        }
    }

    /// The clock of [`Now::mono_ms`] in microseconds.
    pub fn mono_us(&self) -> i64 {
        match &self.0 {
            Runs::Threads(handles) => handles.mono_us(),
            #[cfg(feature = "sim")]
            Runs::Simulated(process) => process.now().mono_ms.saturating_mul(1000),
        }
    }

    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await
    }

    /// Sleeps until [`Now::mono_ms`] has reached `mono_ms`.
    pub async fn sleep_until(&self, mono_ms: i64) {
        let ms = mono_ms.saturating_sub(self.mono_ms());
        self.sleep(Duration::from_millis(u64::try_from(ms).unwrap_or(0))).await
    }

    /// `None` if the future is not ready in time; it is dropped then.
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        tokio::time::timeout(limit, future).await.ok()
    }

    /// How much can run at once.
    pub fn cores(&self) -> usize {
        match &self.0 {
            Runs::Threads(handles) => handles.cores,
            #[cfg(feature = "sim")]
            Runs::Simulated(_) => 2,
        }
    }

    /// Memory of the machine.
    pub fn memory_bytes(&self) -> u64 {
        match &self.0 {
            Runs::Threads(handles) => handles.memory_bytes,
            #[cfg(feature = "sim")]
            Runs::Simulated(process) => process.memory_bytes(),
        }
    }

    /// Name of the machine in the network.
    pub fn host_name(&self) -> String {
        match &self.0 {
            Runs::Threads(_) => threads::host_name(),
            #[cfg(feature = "sim")]
            Runs::Simulated(process) => process.host_name(),
        }
    }

    pub fn random_u64(&self) -> u64 {
        match &self.0 {
            Runs::Threads(handles) => handles.dice.u64(),
            #[cfg(feature = "sim")]
            Runs::Simulated(process) => process.u64(),
        }
    }

    /// A random uuid, drawn as Kafka draws them.
    pub fn random_uuid(&self) -> Uuid {
        loop {
            let bits = u128::from(self.random_u64()) << 64 | u128::from(self.random_u64());
            if let Some(id) = Uuid::random_from(bits) {
                return id;
            }
        }
    }
}
