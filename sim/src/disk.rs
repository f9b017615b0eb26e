//! The disk of a simulated process: the faulty one, which takes the process with it when it stops.
//!
//! A killed process does nothing any more, not even find out that it was killed. So the operation at which it is to die
//! ends it here, and not the next time somebody looks.

use std::sync::Arc;

use ottla_rt::Process;
use ottla_storage::disk::{Disk, FaultyDisk, Operation, Watch, WatchedDisk};

#[derive(Debug)]
struct Mortality {
    disk: FaultyDisk,
    process: Process,
}

impl Watch for Mortality {
    fn after(&self, _: Operation) {
        if self.disk.has_stopped() {
            self.process.kill();
        }
    }
}

pub fn mortal(disk: FaultyDisk, process: Process) -> Arc<dyn Disk> {
    Arc::new(WatchedDisk::new(disk.clone(), Arc::new(Mortality { disk, process })))
}
