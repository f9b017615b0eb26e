//! Random numbers: the kernel's in production, a seed's in simulation.

use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

/// Draws from a buffer that is filled from `/dev/urandom`, so that a topic of a thousand partitions costs few reads.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<Kernel>);

#[derive(Debug)]
struct Kernel {
    urandom: File,
    buffer: [u8; 256],
    used: usize,
}

impl Dice {
    pub(crate) fn kernel() -> std::io::Result<Dice> {
        Ok(Dice(Mutex::new(Kernel { urandom: File::open("/dev/urandom")?, buffer: [0; 256], used: 256 })))
    }

    pub(crate) fn u64(&self) -> u64 {
        let mut kernel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kernel.used == kernel.buffer.len() {
            let Kernel { urandom, buffer, .. } = &mut *kernel;
            urandom.read_exact(buffer).expect("/dev/urandom, once open, never fails");
            kernel.used = 0;
        }
        let at = kernel.used;
        kernel.used += 8;
        u64::from_le_bytes(kernel.buffer[at..at + 8].try_into().expect("eight bytes"))
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[cfg(feature = "sim")]
#[derive(Debug)]
pub(crate) struct Seeded(Mutex<u64>);

#[cfg(feature = "sim")]
impl Seeded {
    pub(crate) fn new(seed: u64) -> Seeded {
        Seeded(Mutex::new(seed))
    }

    pub(crate) fn u64(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Less than `n`.
    pub(crate) fn below(&self, n: u64) -> u64 {
        self.u64() % n
    }
}
