//! Stopping, and what a running broker is to its owner.
//!
//! 1. Refuse new connections; answer the fetches that wait; stop reading; let the replies leave that are owed.
//! 2. Have the controller take the leaderships away and fence this broker.
//! 3. Flush and close every log, with its producers and epochs beside it.
//! 4. Write the checkpoints, then the marker that says that all of this was done; release the lock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_net::Listening;
use ottla_rt::{Stopper, Task};
use ottla_storage::checkpoint::{clean, producers};
use ottla_storage::{LogDir, LogError};

use crate::Broker;
use crate::checkpoints::Offsets;
use crate::control::host::Host;
use crate::control::replicas::store_epochs;
use crate::partition::{Gone, Partition};
use crate::snapshot;

/// What the controller is given to answer: a disk that does not write must not keep a broker from stopping.
const CONTROLLER_LIMIT: Duration = Duration::from_secs(5);

/// A broker that serves.
#[derive(Debug)]
pub struct Running(Parts);

#[derive(Debug)]
pub(crate) struct Parts {
    pub broker: Arc<Broker>,
    pub host: Arc<Host>,
    pub addresses: Vec<SocketAddr>,
    pub listening: Vec<Listening>,
    /// Tells requests that wait.
    pub stopper: Stopper,
    /// Tells the broker's own tasks.
    pub tasks: Stopper,
    pub running: Vec<Task<()>>,
}

impl Running {
    pub(crate) fn new(parts: Parts) -> Running {
        Running(parts)
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.0.addresses
    }

    /// Stops the broker cleanly.
    pub async fn stop(self) {
        let Parts { broker, host, listening, stopper, tasks, running, .. } = self.0;
        stopper.stop();
        for listening in listening {
            listening.stop().await;
        }
        let rt = broker.rt.clone();
        if !matches!(rt.timeout(CONTROLLER_LIMIT, broker.control.shut_down()).await, Some(Ok(()))) {
            tracing::warn!("the controller did not answer; the next start takes this for a crash");
        }
        tasks.stop();
        for task in running {
            let _ = task.await;
        }
        rt.blocking(move || match close(&broker, &host) {
            Ok(()) => tracing::info!("stopped cleanly"),
            Err(error) => tracing::error!("not stopped cleanly: {error}"),
        })
        .await;
    }
}

/// Closes all logs. The marker is written only if all of them are closed as they should be.
fn close(broker: &Broker, host: &Host) -> Result<(), LogError> {
    let published = broker.published.load_full();
    let mut offsets = Offsets::default();
    // One that could not be opened is not mentioned: all of its log will be read again.
    for partition in published.topics.iter().flat_map(|topic| topic.partitions.iter().flatten()) {
        close_partition(&broker.dir, partition)?;
        offsets.add(partition);
    }
    broker.checkpoints.write(|| offsets)?;
    host.close_log()?;
    clean::store(broker.dir.disk(), broker.dir.path(), broker.control.broker_epoch())?;
    Ok(())
}

fn close_partition(dir: &LogDir, partition: &Partition) -> Result<(), LogError> {
    let Some((leader, log)) = partition.take_offline(Gone::Closed) else { return Ok(()) };
    let path = dir.path().join(partition.directory());
    log.close()?;
    producers::store(dir.disk(), &path, &snapshot::to_file(&leader.producer_snapshot()))?;
    store_epochs(dir, &path, &leader)
}
