//! Room on the disk that is kept for the time when there is no other.
//!
//! What makes room on a full disk takes some itself: where logs begin must be written down before their files may go. So a
//! log directory holds a file of which nothing is ever read, and which goes when an append has found the disk full.

use std::path::PathBuf;

use crate::LogDir;
use crate::disk::{Open, missing};
use crate::error::{Doing, LogError};

const FILE: &str = "ottla.reserve";
/// Enough for the checkpoints of some ten thousand logs.
const BYTES: u64 = 1 << 20;

impl LogDir {
    /// Takes the reserve, if it is not taken.
    pub fn take_reserve(&self) -> Result<(), LogError> {
        let path = self.reserve();
        let file = self.disk.open(&path, Open::Create).doing("create", &path)?;
        file.allocate(0..BYTES).doing("allocate", &path)
    }

    /// Gives it up.
    pub fn release_reserve(&self) -> Result<(), LogError> {
        let path = self.reserve();
        missing(self.disk.remove_file(&path)).doing("remove", &path).map(drop)
    }

    fn reserve(&self) -> PathBuf {
        self.path.join(FILE)
    }
}
