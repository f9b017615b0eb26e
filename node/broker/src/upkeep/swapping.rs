//! The last step of a move: a copy that has nearly all takes the place of the replica.
//!
//! The partition is offline meanwhile. The rest is copied, everything is synced and written down, the copy gets the replica's
//! name, the old one that of what is to be removed. At each point one of the two is whole, and the next start finds it
//! (`control/whereabouts.rs`). What goes wrong before the old one has another name is undone, and the partition opened where
//! it was; where it cannot be undone nobody opens it before the next start, for there must not be two that are written to.

use std::sync::{Arc, PoisonError};

use ottla_partition::Leader;
use ottla_storage::checkpoint::{epochs, producers, topic_id};
use ottla_storage::{Checkpointed, Log, LogDir, LogError};

use super::moving::{Move, Moving};
use crate::control::publisher::Removal;
use crate::control::replicas::Meanwhile;
use crate::partition::{Gone, Partition};
use crate::snapshot;

/// Why there was no swap.
enum Unswapped {
    /// All is as it was.
    Undone(LogError),
    /// There may be two replicas of the name.
    Stuck(LogError),
}

impl From<LogError> for Unswapped {
    fn from(error: LogError) -> Unswapped {
        Unswapped::Undone(error)
    }
}

impl Moving {
    /// Puts the copy in the replica's place. If that does not survive a loss of power, there may be two then, of which the next
    /// start takes the one that has more.
    ///
    /// # Errors
    /// What was copied is gone. The publisher opens the partition where it was.
    pub fn swap(&self, one: &Move, partition: &Arc<Partition>, log: Log) -> Result<(), LogError> {
        self.replicas.hold(one.replica, Meanwhile::Nothing);
        // What a bug has left of a leader may be ahead of the log.
        let state = if partition.has_failed() { None } else { partition.take_offline(Gone::Moved) };
        let swapped = match state {
            Some((leader, old)) => self.swap_offline(one, partition, &leader, old, log),
            // It is deleted, or opened anew, or the broker stops.
            None => {
                log.let_go();
                Err(Unswapped::Undone(LogError::Deleted))
            }
        };
        let swapped = match swapped {
            Err(Unswapped::Stuck(error)) => {
                tracing::error!("{} is not served until the next start: {error}", partition.directory());
                self.leave_stuck(one);
                return Err(error);
            }
            Err(Unswapped::Undone(error)) => {
                one.empty_future();
                Err(error)
            }
            Ok(()) => Ok(()),
        };
        let removals = self.replicas.let_go(one.replica, &partition.directory());
        removals.into_iter().for_each(|removal| self.remove_later(removal));
        self.replicas.directories.signals.mend.notify_one();
        swapped
    }

    fn swap_offline(
        &self,
        one: &Move,
        partition: &Arc<Partition>,
        leader: &Leader,
        old: Log,
        log: Log,
    ) -> Result<(), Unswapped> {
        let (from, name, dir) = (&partition.home, partition.directory(), &one.to.log_dir);
        let completed = match self.complete(one, partition, leader, &old, log) {
            // From here on it is too late to call the move off: whoever has asked for it is to see that the partition is offline.
            Ok(_) if one.is_off() => Err(LogError::Deleted),
            completed => completed,
        };
        let known = completed?;
        dir.rename_replica(&one.future, &name)?;
        let renamed = dir.sync().and_then(|()| old.delete(self.rt.random_uuid()));
        let removed = match renamed {
            Ok(removed) => removed,
            Err(error) => {
                let undone = dir.rename_replica(&name, &one.future).and_then(|()| dir.sync());
                return Err(if undone.is_ok() { Unswapped::Undone(error) } else { Unswapped::Stuck(error) });
            }
        };
        self.replicas.adopted.lock().unwrap_or_else(PoisonError::into_inner).insert(one.replica, known);
        from.checkpoints.is_gone(&name);
        let delay = partition.settings().file_delete_delay();
        self.remove_later(Removal { home: from.clone(), name: removed, delay });
        let synced = from.log_dir.sync();
        if let Err(error) = &synced {
            from.note(error);
            tracing::error!("{name} may be in {} too after a loss of power: {error}", from.path().display());
        }
        Ok(())
    }

    /// Copies the rest, and writes down in the other directory what is known of the log.
    fn complete(
        &self,
        one: &Move,
        partition: &Partition,
        leader: &Leader,
        old: &Log,
        mut log: Log,
    ) -> Result<Checkpointed, LogError> {
        let marks = leader.marks();
        if let Err(error) = copy_rest(partition, old, &mut log, marks.start) {
            log.let_go();
            return Err(error);
        }
        let recovery_point = log.close()?.offset;
        let cleaned = partition.first_dirty().unwrap_or(0);
        let known = Checkpointed { recovery_point, kept: 0, log_start: marks.start, cleaned };
        write_beside(&one.to.log_dir, &one.future, leader, recovery_point)?;
        one.to.checkpoints.adopt(&partition.directory(), &known, marks.high_watermark)?;
        Ok(known)
    }
}

fn copy_rest(partition: &Partition, old: &Log, log: &mut Log, start: i64) -> Result<(), LogError> {
    let mut buffer = Vec::new();
    while log.copy(&partition.reader, old.end(), &mut buffer)?.bytes > 0 {}
    if log.end().offset.max(start) != old.end().offset {
        let path = partition.home.path().join(partition.directory());
        let what = "not all that is before its end can be found";
        return Err(LogError::Corrupt { path, position: old.end().position, what });
    }
    log.copy_aborted(&partition.reader)
}

/// Writes what the leader knows beside a copy of its log, and whose it is, also where it is empty.
fn write_beside(dir: &LogDir, future: &str, leader: &Leader, end: i64) -> Result<(), LogError> {
    let (disk, replica) = (dir.disk(), dir.path().join(future));
    let all = leader.epochs().entries();
    let used = &all[..all.partition_point(|epoch| epoch.start_offset < end)];
    let used: Vec<_> = used.iter().map(|entry| (entry.epoch.0, entry.start_offset)).collect();
    epochs::store(disk, &replica, &used)?;
    producers::store(disk, &replica, &snapshot::to_file(&leader.producer_snapshot()))?;
    topic_id::settle(disk, &replica)
}
