//! Receive buffers, shared by all connections of a process: a connection holds one only while it has bytes in it.

use std::sync::{Mutex, PoisonError};

/// Size of a pooled buffer, and so of the largest turn.
pub(crate) const BUFFER_BYTES: usize = 64 << 10;
/// Buffers kept for later; as many as connections can be busy on two cores' sockets at once.
const KEPT_MAX: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Vec<u8>>>);

impl Pool {
    /// An empty buffer with room for [`BUFFER_BYTES`].
    pub(crate) fn take(&self) -> Vec<u8> {
        self.kept().pop().unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut kept = self.kept();
        if kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
