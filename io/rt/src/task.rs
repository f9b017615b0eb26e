//! Tasks whose panics are seen.
//!
//! tokio swallows a panic unless somebody awaits the task's handle, and nobody awaits a connection. So every task runs in
//! a frame that catches a panic where it happens and logs it once.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A spawned task. Dropping it lets the task run on.
#[derive(Debug)]
pub struct Task<T>(JoinHandle<Result<T, Panicked>>);

/// The task ended in a panic, or was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

impl<T> Task<T> {
    /// Drops the task's future at its next await.
    pub fn abort(&self) {
        self.0.abort();
    }

    /// It has ended, one way or another.
    pub fn is_over(&self) -> bool {
        self.0.is_finished()
    }

    #[cfg(feature = "sim")]
    pub(crate) fn abort_handle(&self) -> tokio::task::AbortHandle {
        self.0.abort_handle()
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        pin!(&mut self.0).poll(cx).map(|joined| joined.unwrap_or(Err(Panicked)))
    }
}

pub(crate) fn spawn<F>(on: &Handle, name: &'static str, future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Task(on.spawn(Caught { name, future: Box::pin(future) }))
}

/// A future whose panic becomes its result. It is boxed: an async block around it would hold it twice, before and after
/// its first poll, and there are thousands of connections.
struct Caught<F> {
    name: &'static str,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => {
                tracing::error!(task = self.name, "panicked: {}", message(&*panic));
                Poll::Ready(Err(Panicked))
            }
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<&str>() {
        Some(text) => text,
        None => panic.downcast_ref::<String>().map_or("a panic without a message", String::as_str),
    }
}
