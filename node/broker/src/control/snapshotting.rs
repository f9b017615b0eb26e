//! Writes snapshots of the metadata, and lets go what they make superfluous.
//!
//! A task of its own: an image that is published does not change, so nobody waits while it is written. When it is time, and
//! what may go, is decided in [`ottla_metadata::snapshot`].
//!
//! The log never loses what is in no snapshot that is whole and on the disk. So snapshots that were found at the start are
//! read before they count. The log's new start is on the disk before its old segments get other names: what is left of
//! them after a power loss is known to be old.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_base::Now;
use ottla_config::{ServerConfig, keys};
use ottla_metadata::snapshot::{Retention, Schedule, Since, SnapshotId, Stored, oldest_to_keep};
use ottla_rt::{Lane, Stop};
use ottla_storage::checkpoint::snapshot as files;
use ottla_storage::{LogDir, LogError, Removed};

use super::host::Host;
use super::loading::{id, name};
use super::opening::DIR;
use super::snapshot::{self, Head};
use crate::topics::Published;
use crate::upkeep::trimming::Trimming;

/// How often it is looked for what may go, as by Kafka.
const CLEAN_MS: i64 = 60_000;
/// The pause after a snapshot that could not be written, or not yet.
const RETRY_MS: i64 = 5_000;

#[derive(Clone, Copy, Debug)]
pub struct Rules {
    schedule: Schedule,
    retention: Retention,
    /// Between the removal of a segment and that of its files.
    delete_delay: Duration,
}

impl Rules {
    pub fn of(config: &ServerConfig) -> Rules {
        let some = |value: i64| u64::try_from(value).ok();
        let interval_ms = config.get(keys::METADATA_LOG_MAX_SNAPSHOT_INTERVAL_MS);
        let retention_ms = config.get(keys::METADATA_MAX_RETENTION_MS);
        Rules {
            schedule: Schedule {
                bytes_max: some(config.get(keys::METADATA_LOG_MAX_RECORD_BYTES_BETWEEN_SNAPSHOTS)).unwrap_or(u64::MAX),
                interval_ms: (interval_ms > 0).then_some(interval_ms),
            },
            retention: Retention {
                bytes: some(config.get(keys::METADATA_MAX_RETENTION_BYTES)),
                ms: (retention_ms >= 0).then_some(retention_ms),
            },
            delete_delay: Duration::from_millis(
                some(config.get(keys::INTERNAL_METADATA_DELETE_DELAY_MILLIS)).unwrap_or(0),
            ),
        }
    }
}

/// Clones share everything.
#[derive(Clone, Debug)]
pub struct Snapshotting {
    pub host: Arc<Host>,
    pub published: Arc<ArcSwap<Published>>,
    pub trimming: Trimming,
    pub rules: Rules,
}

/// What the task knows.
#[derive(Debug)]
struct Desk {
    newest: Option<SnapshotId>,
    /// When that was made here, or else the start.
    made_ms: i64,
    /// [`Host::bytes_behind`] then.
    bytes_before: u64,
    /// Snapshots that are whole; `None` until they were looked for.
    stored: Option<Vec<Stored>>,
    retry_ms: i64,
    clean_ms: i64,
    is_failing: bool,
}

/// Runs until `stop`.
pub async fn run(snapshotting: Snapshotting, mut stop: Stop) {
    let rt = snapshotting.trimming.rt.clone();
    let mut released = snapshotting.host.watch_released();
    let (now_ms, newest) = (rt.now().mono_ms, snapshotting.host.base());
    let mut desk = Desk {
        newest,
        made_ms: now_ms,
        bytes_before: 0,
        stored: None,
        retry_ms: now_ms,
        clean_ms: now_ms + CLEAN_MS,
        is_failing: false,
    };
    loop {
        let next_ms = snapshotting.due_ms(&desk, rt.now().mono_ms).min(desk.clean_ms);
        tokio::select! {
            biased;
            () = stop.told() => return,
            Ok(()) = released.changed() => {}
            () = rt.sleep_until(next_ms) => {}
        }
        let now = rt.now();
        if snapshotting.due_ms(&desk, now.mono_ms).min(desk.clean_ms) <= now.mono_ms {
            let working = snapshotting.clone();
            desk = rt.blocking(move || working.work(desk, now)).await;
        }
    }
}

impl Snapshotting {
    fn dir(&self) -> &LogDir {
        &self.trimming.directories.metadata().log_dir
    }

    /// When the next snapshot is due, as far as is known at `now_ms`.
    fn due_ms(&self, desk: &Desk, now_ms: i64) -> i64 {
        let end_offset = self.published.load().image.offset() + 1;
        if desk.newest.map_or(0, |id| id.end_offset) >= end_offset {
            return i64::MAX;
        }
        // What is published is counted when it is appended.
        let bytes = (self.host.bytes_behind() - desk.bytes_before).max(1);
        let Rules { schedule, .. } = self.rules;
        match schedule.is_due(&Since { bytes, ms: now_ms - desk.made_ms }) {
            true => desk.retry_ms,
            false => schedule.interval_ms.map_or(i64::MAX, |interval_ms| desk.made_ms.saturating_add(interval_ms)),
        }
    }

    /// Does what is due. Blocks.
    fn work(&self, mut desk: Desk, now: Now) -> Desk {
        let outcome = self.try_to_work(&mut desk, now);
        match &outcome {
            Err(error) if !desk.is_failing => {
                tracing::error!("cannot write or remove snapshots of the metadata, which is tried again: {error}");
            }
            Ok(()) if desk.is_failing => tracing::info!("snapshots of the metadata can be written again"),
            _ => {}
        }
        desk.is_failing = outcome.is_err();
        if desk.is_failing {
            desk.retry_ms = now.mono_ms + RETRY_MS;
            desk.clean_ms = desk.clean_ms.max(desk.retry_ms);
        }
        desk
    }

    fn try_to_work(&self, desk: &mut Desk, now: Now) -> Result<(), LogError> {
        let mut stored = match desk.stored.take() {
            Some(stored) => stored,
            None => self.find_whole()?,
        };
        let is_due = self.due_ms(desk, now.mono_ms) <= now.mono_ms;
        let written = if is_due { self.write(desk, now) } else { Ok(None) };
        if is_due && matches!(written, Ok(None)) {
            desk.retry_ms = now.mono_ms + RETRY_MS;
        }
        stored.extend(written.as_ref().ok().copied().flatten());
        let cleaned = match written {
            Ok(None) if now.mono_ms < desk.clean_ms => Ok(()),
            Ok(_) => self.clean(&mut stored, now.wall_ms),
            Err(error) => Err(error),
        };
        desk.stored = Some(stored);
        if cleaned.is_ok() {
            desk.clean_ms = now.mono_ms + CLEAN_MS;
        }
        cleaned
    }

    /// Writes the image that is published. Gives nothing where nobody knows yet what will be true of it.
    fn write(&self, desk: &mut Desk, now: Now) -> Result<Option<Stored>, LogError> {
        let bytes_before = self.host.bytes_behind();
        let image = &self.published.load().image;
        let (dir, metadata) = (self.dir(), &self.trimming.metadata);
        let last = metadata.header_of(image.offset(), metadata.end())?;
        let Some(last) = last.filter(|_| !image.is_in_transaction()) else { return Ok(None) };
        let made = SnapshotId { end_offset: image.offset() + 1, epoch: last.leader_epoch };
        let head = Head { quorum: self.host.quorum().clone(), epoch: made.epoch, timestamp: last.max_timestamp };
        let path = dir.path().join(DIR);
        let bytes = files::store(dir.disk(), &path, name(made), snapshot::batches(image, head));
        let bytes = bytes.inspect_err(|_| self.remove_drafts())?;
        (desk.newest, desk.made_ms, desk.bytes_before) = (Some(made), now.mono_ms, bytes_before);
        self.host.note_snapshot(bytes, now.mono_ms);
        tracing::info!(end_offset = made.end_offset, epoch = made.epoch, bytes, "wrote a snapshot of the metadata");
        Ok(Some(Stored { id: made, bytes, timestamp: last.max_timestamp }))
    }

    /// So that a disk that is full is not filled with them.
    fn remove_drafts(&self) {
        let dir = self.dir();
        let path = dir.path().join(DIR);
        if let Ok(listed) = files::list(dir.disk(), &path) {
            // What is left of them goes with the next start.
            let _ = files::remove_leftovers(dir.disk(), &path, &listed.leftovers);
        }
    }

    /// Lets go what is not to be kept: first of the log, then snapshots.
    fn clean(&self, stored: &mut Vec<Stored>, now_wall_ms: i64) -> Result<(), LogError> {
        let (dir, metadata) = (self.dir(), &self.trimming.metadata);
        let segments = metadata.segments()?;
        let log_bytes = |start: i64| {
            let left = segments.iter().filter(|segment| segment.next_offset > start);
            left.map(|segment| segment.bytes).sum()
        };
        let Some(oldest) = oldest_to_keep(stored, &self.rules.retention, now_wall_ms, log_bytes) else { return Ok(()) };
        let removed = self.host.trim_log(oldest.end_offset);
        self.trimming.checkpoint_in(self.trimming.directories.metadata(), &self.published.load())?;
        removed.set_aside()?;
        let path = dir.path().join(DIR);
        let old = files::list(dir.disk(), &path)?.complete.into_iter().filter(|name| id(*name) < oldest);
        for name in old {
            files::remove(dir.disk(), &path, name)?;
        }
        stored.retain(|snapshot| snapshot.id >= oldest);
        let segments = removed.segments();
        tracing::info!(start = oldest.end_offset, segments, "the metadata before a snapshot goes");
        self.remove_later(removed);
        Ok(())
    }

    fn remove_later(&self, removed: Removed) {
        if removed.is_empty() {
            return;
        }
        let (rt, delay) = (self.trimming.rt.clone(), self.rules.delete_delay);
        self.trimming.rt.spawn(Lane::Control, "trim metadata", async move {
            rt.sleep(delay).await;
            if let Err(error) = rt.blocking(move || removed.remove()).await {
                tracing::error!("files of old metadata stay: {error}");
            }
        });
    }

    /// The snapshots that were there at the start, and will be there after a power loss.
    fn find_whole(&self) -> Result<Vec<Stored>, LogError> {
        let dir = self.dir();
        let path = dir.path().join(DIR);
        files::sync(dir.disk(), &path)?;
        let mut whole = Vec::new();
        for name in files::list(dir.disk(), &path)?.complete {
            let bytes = files::read(dir.disk(), &name.path(&path))?.unwrap_or_default();
            if let Ok(contents) = snapshot::read(&bytes) {
                let (id, bytes) = (id(name), bytes.len() as u64);
                whole.push(Stored { id, bytes, timestamp: contents.timestamp });
            }
        }
        Ok(whole)
    }
}
