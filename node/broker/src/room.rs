//! Whether the disk has room for what producers send.
//!
//! A disk that is nearly full takes a small batch and refuses a large one, now this partition, now that. So one refusal for
//! want of space stands for all: from then on nothing is appended, until there is room again for more than a few batches.
//! What is left goes to the metadata log, without which no topic could be deleted to make room.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_storage::{LogDir, LogError};

/// So much must be free before producers are served again.
const ROOM_BYTES_MIN: u64 = 8 << 20;

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
    pub fn note(&self, dir: &Path, error: &LogError) {
        if error.is_out_of_space() && !self.is_full.swap(true, Ordering::Relaxed) {
            let (dir, least) = (dir.display(), ROOM_BYTES_MIN >> 20);
            tracing::error!("the disk of {dir} is full: produce is refused there until {least} MiB are free");
        }
    }

    /// Looks whether there is room again.
    pub fn look(&self, dir: &LogDir) {
        if !self.is_full() {
            return;
        }
        match dir.disk().free_bytes(dir.path()) {
            Ok(free) if free >= ROOM_BYTES_MIN => {
                self.is_full.store(false, Ordering::Relaxed);
                tracing::info!("the disk of {} has room again", dir.path().display());
            }
            Ok(_) => {}
            Err(error) => tracing::error!("cannot see how much room the disk of {} has: {error}", dir.path().display()),
        }
    }
}
