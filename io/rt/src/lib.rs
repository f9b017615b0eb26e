//! The runtime seam: the only place that spawns, sleeps, reads a clock, throws dice or blocks a thread for others.
//!
//! Everything above asks an [`Rt`] that it was given, so the same broker runs on threads in production and, from one
//! seed, inside one thread with virtual time in simulation. There is no global runtime and nothing is kept in statics:
//! two brokers in one process have two of these.
//!
//! In production there are two runtimes. Connections run on [`Lane::Data`], as many workers as cores; timers, the control
//! plane and everything that must stay on time while a disk stalls a worker run on [`Lane::Control`], one thread.

mod dice;
mod signal;
mod stop;
mod task;
mod threads;

pub use signal::Terminate;
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
pub struct Rt(Arc<threads::Handles>);

impl Rt {
    /// Starts a task. A panic inside is logged with `name` and what the task was doing, and ends that task alone.
    pub fn spawn<F>(&self, lane: Lane, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        task::spawn(self.0.lane(lane), name, future)
    }

    /// Runs something that blocks (a sync, a cold read, a directory scan) on a thread of its own and gives its result.
    ///
    /// # Panics
    /// Where `f` does.
    pub async fn blocking<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        match self.0.lane(Lane::Data).spawn_blocking(f).await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down: whoever waits for this goes down with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    pub fn now(&self) -> Now {
        self.0.now()
    }

    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await
    }

    /// Sleeps until [`Now::mono_ms`] has reached `mono_ms`.
    pub async fn sleep_until(&self, mono_ms: i64) {
        let ms = mono_ms.saturating_sub(self.now().mono_ms);
        self.sleep(Duration::from_millis(u64::try_from(ms).unwrap_or(0))).await
    }

    /// `None` if the future is not ready in time; it is dropped then.
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        tokio::time::timeout(limit, future).await.ok()
    }

    /// Memory of the machine.
    pub fn memory_bytes(&self) -> u64 {
        threads::memory_bytes()
    }

    /// Name of the machine in the network.
    pub fn host_name(&self) -> String {
        threads::host_name()
    }

    pub fn random_u64(&self) -> u64 {
        self.0.dice.u64()
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
