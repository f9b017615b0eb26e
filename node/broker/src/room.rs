//! Whether a log directory's disk has room for what producers send.
//!
//! A disk that is nearly full takes a small batch and refuses a large one, now this partition, now that. So one refusal for
//! want of space stands for all: from then on nothing is appended, until there is room again for more than a few batches.
//! What is left goes to the metadata log, without which no topic could be deleted to make room, and to the checkpoints,
//! without which no records could be: for these a reserve was kept.

use std::sync::atomic::{AtomicBool, Ordering};

use ottla_storage::{LogDir, LogError};

/// So much must be free before producers are served again.
pub const ROOM_BYTES_MIN: u64 = 8 << 20;

#[derive(Debug, Default)]
pub struct Room {
    is_full: AtomicBool,
}

impl Room {
    #[inline]
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Takes note of a write in this directory that failed.
    pub fn note(&self, dir: &LogDir, error: &LogError) {
        if error.is_out_of_space() && !self.is_full.swap(true, Ordering::Relaxed) {
            let (path, least) = (dir.path().display(), ROOM_BYTES_MIN >> 20);
            tracing::error!("the disk of {path} is full: produce is refused there until {least} MiB are free");
            if let Err(error) = dir.release_reserve() {
                tracing::error!("the reserve is not to be had: {error}");
            }
        }
    }

    /// Looks whether there is room again.
    pub fn look(&self, dir: &LogDir) {
        if !self.is_full() {
            return;
        }
        let path = dir.path().display();
        match dir.disk().free_bytes(dir.path()) {
            Ok(free) if free >= ROOM_BYTES_MIN => {
                self.keep_reserve(dir);
                self.is_full.store(false, Ordering::Relaxed);
                tracing::info!("the disk of {path} has room again");
            }
            Ok(_) => {}
            Err(error) => tracing::error!("cannot see how much room the disk of {path} has: {error}"),
        }
    }

    /// Keeps a reserve, if there is room for one.
    pub fn keep_reserve(&self, dir: &LogDir) {
        match dir.take_reserve() {
            Ok(()) => {}
            Err(error) if error.is_out_of_space() => {}
            Err(error) => tracing::warn!("no room is kept for when the disk is full: {error}"),
        }
    }
}
