//! Stopping, and what a running broker is to its owner.
//!
//! 1. Refuse new connections; answer the fetches that wait; stop reading; let the replies leave that are owed.
//! 2. Have the controller take the leaderships away and fence this broker.
//! 3. Flush and close every log, with its producers and epochs beside it.
//! 4. In each log directory write the checkpoints, then the marker that says that all of this was done; release the locks.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ottla_base::Uuid;
use ottla_partition::Leader;
use ottla_rt::{Lane, Panicked, Stopper, Task};
use ottla_storage::checkpoint::{clean, producers};
use ottla_storage::{Log, LogError, Reader};

use crate::Broker;
use crate::checkpoints::Offsets;
use crate::control::host::Host;
use crate::control::opening;
use crate::control::replicas::store_epochs;
use crate::directory::Directory;
use crate::partition::{Gone, Partition};
use crate::snapshot;
use crate::topics::Topic;
use crate::web::Web;

/// What the controller is given to answer: a disk that does not write must not keep a broker from stopping.
const CONTROLLER_LIMIT: Duration = Duration::from_secs(5);
/// And where the disk does not stall, but fails.
const FAILING_LIMIT: Duration = Duration::from_secs(1);

/// Why a stop was not clean: the next start takes it for a crash.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    #[error(
        "{count} logs could not be closed, among them {name}, which is on the disk up to offset {flushed} of {end}: {cause}"
    )]
    Logs { count: usize, name: String, flushed: i64, end: i64, cause: LogError },
    #[error("{count} logs could not be closed, among them {name}, on which a bug had ended some work")]
    Bug { count: usize, name: String },
    #[error("{count} logs were not open, among them {name}: nobody knows what of them is on the disk")]
    Unopened { count: usize, name: String },
    #[error("the logs are closed, the checkpoints are not written: {0}")]
    Checkpoints(LogError),
}

/// Threads that close partitions.
const CLOSED_AT_ONCE: usize = 16;

/// A broker that serves.
#[derive(Debug)]
pub struct Running(Parts);

#[derive(Debug)]
pub(crate) struct Parts {
    pub broker: Arc<Broker>,
    pub host: Arc<Host>,
    pub addresses: Vec<SocketAddr>,
    pub http_address: Option<SocketAddr>,
    /// Serves to the end.
    pub web: Web,
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

    /// Where it listened when it was started.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.0.addresses
    }

    /// Where metrics and health are served.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.0.http_address
    }

    /// Until a task of the broker itself has panicked. Nobody does its work any more: the broker is to be stopped.
    pub async fn failed(&mut self) {
        poll_fn(|cx| poll_panicked(&mut self.0.running, cx)).await;
    }

    /// Stops the broker, cleanly if it can be.
    pub async fn stop(self) -> Result<(), StopError> {
        let Parts { broker, host, web, stopper, tasks, running, .. } = self.0;
        web.desk.stops();
        stopper.stop();
        if host.is_failing() {
            host.give_up();
        }
        broker.listeners.stop().await;
        if !controller_agrees(&broker, &host).await {
            tracing::warn!("the controller did not answer; the next start takes this for a crash");
        }
        tasks.stop();
        for task in running {
            let _ = task.await;
        }
        let closed = close_partitions(&broker).await;
        broker.rt.clone().blocking(move || close(&broker, &host, closed)).await?;
        drop(web);
        tracing::info!("stopped cleanly");
        Ok(())
    }
}

/// Ready when one of the tasks has panicked. Those that have ended are taken out.
fn poll_panicked(tasks: &mut Vec<Task<()>>, cx: &mut Context<'_>) -> Poll<()> {
    let mut has_panicked = false;
    tasks.retain_mut(|task| match Pin::new(task).poll(cx) {
        Poll::Pending => true,
        Poll::Ready(ended) => {
            has_panicked |= ended == Err(Panicked);
            false
        }
    });
    if has_panicked { Poll::Ready(()) } else { Poll::Pending }
}

async fn controller_agrees(broker: &Broker, host: &Host) -> bool {
    tokio::select! {
        biased;
        agreed = broker.rt.timeout(CONTROLLER_LIMIT, broker.control.shut_down()) => matches!(agreed, Some(Ok(()))),
        () = host.has_failed_for(FAILING_LIMIT) => false,
    }
}

/// A partition, and what came of closing it.
type Closed = (Arc<Partition>, Result<(), Unclosed>);

enum Unclosed {
    Log(LogError),
    /// A bug has ended something that was at work on it.
    Bug,
}

/// Closes the partitions, whatever becomes of some; many at once, because syncs that are waited for together cost a disk
/// little more than one.
async fn close_partitions(broker: &Arc<Broker>) -> Vec<Closed> {
    let published = broker.published.load_full();
    let open: Vec<_> = published.topics.iter().flat_map(|topic| topic.partitions.iter().flatten().cloned()).collect();
    let share = open.len().div_ceil(CLOSED_AT_ONCE).max(1);
    let close_some = |some: &[Arc<Partition>]| {
        let (rt, some) = (broker.rt.clone(), some.to_vec());
        broker.rt.spawn(Lane::Control, "close", async move {
            rt.blocking(move || some.iter().map(|one| close_partition(one)).collect::<Vec<_>>()).await
        })
    };
    let closing: Vec<_> = open.chunks(share).map(|some| (some, close_some(some))).collect();
    let mut all = Vec::new();
    for (some, closed) in closing {
        let closed = closed.await.unwrap_or_else(|Panicked| some.iter().map(|_| Err(Unclosed::Bug)).collect());
        all.extend(some.iter().cloned().zip(closed));
    }
    all
}

/// Closes what is left. The markers are written only if all logs are closed as they should be.
fn close(broker: &Broker, host: &Host, partitions: Vec<Closed>) -> Result<(), StopError> {
    let mut unclosed = None;
    let mut written = Ok(());
    let metadata_closed = host.close_log().map_err(Unclosed::Log);
    let online: Vec<_> = broker.directories.iter().filter(|directory| !directory.has_failed()).collect();
    for directory in &online {
        let mut offsets = Offsets::new(directory, host.reader());
        // One that could not be opened is not mentioned: all of its log will be read again.
        let here = |partition: &Partition| Arc::ptr_eq(&partition.home, directory) && !partition.has_moved();
        for (partition, _) in partitions.iter().filter(|(partition, _)| here(partition)) {
            offsets.add(partition);
        }
        written = written.and(directory.checkpoints.write(|| offsets));
    }
    for (partition, closed) in partitions {
        note(&mut unclosed, &partition.directory(), &partition.reader, closed);
    }
    note(&mut unclosed, opening::DIR, host.reader(), metadata_closed);
    unclosed.or_else(|| unopened(broker)).map_or(Ok(()), Err)?;
    let mark = |directory: &&Arc<Directory>| {
        clean::store(directory.log_dir.disk(), directory.path(), broker.control.broker_epoch())
    };
    written.and_then(|()| online.iter().try_for_each(mark)).map_err(StopError::Checkpoints)
}

/// Closes a log, and writes down beside it what the leader knows.
pub fn close_log(partition: &Partition, path: &Path, leader: &Leader, log: Log) -> Result<(), LogError> {
    let disk = partition.home.log_dir.disk();
    let end = log.close()?.offset;
    store_epochs(disk, path, partition, leader.epochs().entries(), end)?;
    let producers = leader.producer_snapshot();
    if producers.offset == partition.snapshot_at {
        // Nothing was appended since it was opened, as to most of ten thousand that nobody uses.
        return Ok(());
    }
    producers::store(disk, path, &snapshot::to_file(&producers))
}

fn close_partition(partition: &Partition) -> Result<(), Unclosed> {
    if partition.has_failed() {
        // What its state says may be ahead of the log: nothing of it is written down.
        return Err(Unclosed::Bug);
    }
    let Some((leader, log)) = partition.take_offline(Gone::Closed) else { return Ok(()) };
    let path = partition.home.path().join(partition.directory());
    close_log(partition, &path, &leader, log).map_err(Unclosed::Log)
}

/// The logs that could not be opened in this start. After a crash they may hold what was never synced.
fn unopened(broker: &Broker) -> Option<StopError> {
    let published = broker.published();
    // What is in a directory that is offline is led by nobody, and has no part in how the others are left.
    let is_offline = |topic: &Topic, index: i32| {
        let partition = published.image.topics().get_by_id(&topic.id).and_then(|topic| topic.partition(index));
        let home = partition.map_or(Uuid::ZERO, |partition| partition.directory_on(broker.identity.node_id));
        !broker.directories.may_hold(home)
    };
    // One that was on its way to another directory is not open either.
    let is_open = |open: &Option<Arc<Partition>>| open.as_ref().is_some_and(|partition| !partition.has_moved());
    let mut missing = published.topics.iter().flat_map(|topic| {
        let partitions =
            (0..).zip(&topic.partitions).filter(|(index, open)| !is_open(open) && !is_offline(topic, *index));
        partitions.map(|(index, _)| format!("{}-{index}", topic.name))
    });
    let name = missing.next()?;
    Some(StopError::Unopened { count: 1 + missing.count(), name })
}

/// Takes note of a log that could not be closed: of the first all is told, the others are counted.
fn note(unclosed: &mut Option<StopError>, name: &str, log: &Reader, closed: Result<(), Unclosed>) {
    match (closed, unclosed) {
        (Ok(()), _) => {}
        (Err(_), Some(StopError::Logs { count, .. } | StopError::Bug { count, .. })) => *count += 1,
        (Err(Unclosed::Bug), first) => *first = Some(StopError::Bug { count: 1, name: name.to_owned() }),
        (Err(Unclosed::Log(cause)), first) => {
            let (flushed, end) = (log.flushed().offset, log.end().offset);
            *first = Some(StopError::Logs { count: 1, name: name.to_owned(), flushed, end, cause });
        }
    }
}
