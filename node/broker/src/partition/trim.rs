//! A log gets shorter at its beginning: clients delete records, and retention removes what is too old or too much.
//!
//! The log begins later at once, for every reader. What that takes away of the directory is renamed after the lock is let go,
//! and removed after `file.delete.delay.ms`.

use ottla_partition::{LogAt, ProducerSnapshot, Retention, Why, expired};
use ottla_storage::{LogError, Removed, SegmentInfo};
use ottla_wire::ErrorCode;

use super::cleaning::log_segments;
use super::{Partition, State};
use crate::api::outcome;

/// What is left to be done when a log has got shorter.
#[derive(Debug, Default)]
#[must_use]
pub struct Trimmed {
    /// The files that are to go.
    pub removed: Removed,
    /// A segment was begun: the producers as of its first offset, to be written before anything is removed.
    pub snapshot: Option<ProducerSnapshot>,
    /// Where the log begins now.
    pub start: i64,
    /// Whether it begins later than before.
    pub has_moved: bool,
}

impl Partition {
    /// DeleteRecords: nothing before `offset` is to be read again; without an offset, nothing that can be read now.
    ///
    /// On a full disk the segment that is written to goes as well, if it holds nothing else.
    pub fn delete_records(&self, offset: Option<i64>) -> Result<Trimmed, ErrorCode> {
        let marks = self.marks()?;
        let to = offset.unwrap_or(marks.high_watermark);
        if to > marks.high_watermark {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let has_all_gone = self.home.room.is_full() && to == marks.end;
        // A disk that has no room for another segment frees what it can.
        let snapshot = if has_all_gone { self.with_state(|state| state.roll().unwrap_or(None))? } else { None };
        self.flush_to_remove(to).map_err(|error| outcome::of_storage(&error))?;
        let trimmed = self.with_state(|state| self.begin_at(state, to))?;
        Ok(Trimmed { snapshot, ..trimmed })
    }

    /// Removes the oldest segments if retention says so, for the first reason there is: it is to be asked again until there
    /// is none. Says what it did.
    pub fn retain(&self, now_wall_ms: i64) -> Result<Option<(Trimmed, Why)>, LogError> {
        let settings = self.settings();
        let config = &settings.config;
        let retention = match config.delete {
            true => Retention { ms: config.retention_ms, bytes: config.retention_bytes },
            false => Retention::default(),
        };
        let Ok(marks) = self.marks() else { return Ok(None) };
        let infos = self.reader.segments()?;
        let segments = log_segments(&infos);
        let at = LogAt { now_wall_ms, log_start: marks.start, high_watermark: marks.high_watermark };
        let Some(expired) = expired(&segments, &retention, &at, |i| infos[i].largest_timestamp())? else {
            return Ok(None);
        };
        self.flush_to_remove(expired.start)?;
        let mut guard = self.state.lock();
        let Some(state) = guard.as_deref_mut().ok().and_then(Option::as_mut) else { return Ok(None) };
        // What was appended since it was looked at stays: the segment that would be begun for it is begun another time.
        let is_as_before = state.log.end().offset == segments[segments.len() - 1].next_offset;
        if expired.takes_active && !is_as_before {
            return Ok(None);
        }
        let snapshot = if expired.takes_active { state.roll()? } else { None };
        let trimmed = self.begin_at(state, expired.start.max(marks.start));
        Ok(Some((Trimmed { snapshot, ..trimmed }, expired.why)))
    }

    /// Segments leave the log only once they are on the disk. Where the flusher has not come so far yet, it is done here.
    fn flush_to_remove(&self, start: i64) -> Result<(), LogError> {
        let flushed = self.reader.flushed().offset;
        let infos = self.reader.segments()?;
        let waits = |info: &SegmentInfo| info.next_offset > flushed && info.next_offset <= start;
        if infos[..infos.len() - 1].iter().any(waits) {
            self.reader.flush()?;
        }
        Ok(())
    }

    fn with_state<T>(&self, f: impl FnOnce(&mut State) -> T) -> Result<T, ErrorCode> {
        let mut guard = self.state.lock();
        let state = guard.as_deref_mut().ok().and_then(Option::as_mut).ok_or_else(|| self.gone())?;
        Ok(f(state))
    }

    /// Called with the state held.
    fn begin_at(&self, state: &mut State, offset: i64) -> Trimmed {
        let before = state.leader.marks().start;
        let removed = state.log.advance_start(offset);
        // The checkpoint of the epochs is written when one that it does not have is needed.
        let _ = state.leader.start_moved(offset);
        let start = self.publish(&state.leader, None).start;
        Trimmed { removed, snapshot: None, start, has_moved: start > before }
    }
}

impl State {
    /// Ends the active segment, if there is anything in it.
    fn roll(&mut self) -> Result<Option<ProducerSnapshot>, LogError> {
        let before = self.log.end().segment;
        let rolled = self.log.roll()?.segment != before;
        Ok(rolled.then(|| self.leader.producer_snapshot()))
    }
}
