//! What is left to do when a log has got shorter: its files go.

use std::sync::Arc;

use ottla_partition::ProducerSnapshot;
use ottla_rt::{Lane, Rt};
use ottla_storage::{LogError, Reader, Removed};

use crate::checkpoints::Offsets;
use crate::control::replicas::store_snapshot;
use crate::directory::{Directories, Directory};
use crate::partition::{Partition, Trimmed};
use crate::topics::Published;

/// Clones share everything.
#[derive(Clone, Debug)]
pub struct Trimming {
    pub rt: Rt,
    pub directories: Arc<Directories>,
    pub metadata: Reader,
}

impl Trimming {
    /// Gets the files out of the way, and has them removed after `file.delete.delay.ms`. Blocks for as long as the disk takes.
    pub fn follow_up(&self, partition: &Partition, trimmed: Trimmed) {
        let Trimmed { removed, snapshot, .. } = trimmed;
        let (topic, index) = (&partition.topic, partition.index);
        let store = |snapshot: &ProducerSnapshot| store_snapshot(partition, snapshot);
        let unsaved = snapshot.filter(|snapshot| store(snapshot).is_err());
        if let Err(error) = removed.set_aside() {
            // They are not of the log any more. What is left of them is removed when it is opened again.
            tracing::error!(%topic, partition = index, "old segments stay: {error}");
            return;
        }
        let Some(snapshot) = unsaved else { return self.remove_later(partition, removed) };
        // A full disk has no room for it: first what fills it must go. A crash in between forgets producers of which nothing
        // is left in the log.
        if let Err(error) = removed.remove().and_then(|()| store(&snapshot)) {
            tracing::error!(%topic, partition = index, "no producer snapshot: {error}");
        }
    }

    /// Removes files that have the names of what is to be removed already.
    pub fn remove_later(&self, partition: &Partition, removed: Removed) {
        if removed.is_empty() {
            return;
        }
        let delay = partition.settings().file_delete_delay();
        let (rt, topic, index) = (self.rt.clone(), partition.topic.clone(), partition.index);
        self.rt.spawn(Lane::Control, "trim", async move {
            rt.sleep(delay).await;
            if let Err(error) = rt.blocking(move || removed.remove()).await {
                tracing::error!(%topic, partition = index, "files of old segments stay: {error}");
            }
        });
    }

    /// Writes down where the logs begin, and up to where they are compacted. Blocks.
    pub fn checkpoint(&self, published: &Published) -> Result<(), LogError> {
        let online = self.directories.iter().filter(|directory| !directory.has_failed());
        // Each is tried, whatever becomes of the others.
        online.map(|directory| self.checkpoint_in(directory, published)).fold(Ok(()), Result::and)
    }

    /// The same for the logs of one directory.
    pub fn checkpoint_in(&self, directory: &Arc<Directory>, published: &Published) -> Result<(), LogError> {
        let written = directory.checkpoints.write(|| Offsets::now(directory, published, &self.metadata));
        written.inspect_err(|error| directory.note(error))
    }
}
