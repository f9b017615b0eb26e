//! Signals that end the process.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, each time one arrives.
#[derive(Debug)]
pub struct Terminate {
    term: Signal,
    int: Signal,
}

impl Terminate {
    /// Must be called inside a runtime.
    pub fn listen() -> std::io::Result<Terminate> {
        Ok(Terminate { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }

    /// Runs `future` to its end; `None` if a signal comes first.
    pub async fn or<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.next() => None,
            output = future => Some(output),
        }
    }
}
