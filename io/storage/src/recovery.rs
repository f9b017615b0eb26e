//! Opening a log, and repairing it.
//!
//! After a crash the end of a log may be anything: half a batch, zeros, pages of one write but not of another. What lies
//! before the recovery point was synced and need not be looked at. So the scan starts at the last index entry before the
//! recovery point, which the log must confirm, goes from batch to batch, compares the CRC of every batch that reaches
//! past the recovery point, and cuts the log where the first one fails: no batch less, none more. Segments behind the cut
//! go as well, and so does one that does not begin where the one before it ends, for then a tail is missing.
//!
//! There is no other way to open a log: after a clean stop the recovery point is the end, and the same scan reads the
//! last index interval, which tells the end offset.
//!
//! The entries of a scanned segment are rebuilt where the scan goes; those before it come from the files. The files are
//! not synced while a segment is active, so both may have lost entries at their ends, each its own: the scan starts at
//! the earlier of the two.
//!
//! The log begins where its first segment does, or later, if the checkpoint says so; segments wholly below that start were to
//! go, and go now. A log that has lost its end up to its start is empty, and goes on there: offsets are not given twice.
//!
//! Nothing is cut or removed in a directory in which no file can be made: whoever cannot write must not destroy.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};

use crate::aborted;
use crate::active::Active;
use crate::disk::{Entry, Open, missing};
use crate::error::{Doing, LogError};
use crate::flush::Progress;
use crate::leftovers;
use crate::log::LogOptions;
use crate::reader::Shared;
use crate::scan::scan;
use crate::segment::{EXTENSIONS, Home, Segment, path};
use crate::{LogDir, Place};

/// Name of the file that is made, and removed, to see whether a directory can be written.
const PROBE: &str = "recovery.tmp";

/// What the checkpoint files of the log directory say of a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checkpointed {
    /// Everything before it has been synced. 0 if it is not known: all of the log is checked.
    pub recovery_point: i64,
    /// Where not everything before it is there, the log is left as it is found and not opened. 0 if it is to be repaired
    /// whatever is lost.
    pub kept: i64,
    /// `log-start-offset-checkpoint`: nothing below it is in the log. 0 if it says nothing. Segments leave a log unsynced, and may
    /// be there again after a power loss; so it should know every start but 0.
    pub log_start: i64,
    /// Below it, segments need not begin where the one before ends: compaction by Kafka leaves such gaps. The first dirty
    /// offset of `cleaner-offset-checkpoint`, or 0; `i64::MAX` if that is not known. (Compaction by Ottla leaves none.)
    pub cleaned: i64,
}

/// What opening a log took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub bytes_read: u64,
    /// Bytes cut from the end, those of removed segments among them.
    pub bytes_cut: u64,
    pub segments_removed: usize,
    /// Segments whose index was missing or did not agree with the log.
    pub indexes_rebuilt: usize,
    /// Offsets that were missing before the recovery point: the disk has lost what it had synced.
    pub synced_offsets_lost: i64,
    /// Behind the recovery point there are segments that do not begin where the ones before end.
    pub has_gaps: bool,
    /// Markers from this offset on may have aborted transactions that the files do not tell of, or not have aborted those that
    /// they do: [`Log::set_aborted`](crate::Log::set_aborted) is to be called. `None` if all is well, as in most logs.
    pub aborted_from: Option<i64>,
}

pub(crate) fn open(
    dir: &Arc<LogDir>,
    name: &str,
    options: &LogOptions,
    known: Checkpointed,
) -> Result<(Arc<Shared>, Active, Recovered), LogError> {
    let home = Arc::new(Home {
        log_dir: dir.clone(),
        dir: dir.path.join(name),
        index_interval_bytes: options.index_interval_bytes.into(),
        deleted: AtomicBool::new(false),
        naming: Mutex::new(()),
        is_half_swapped: AtomicBool::new(false),
    });
    let files = missing(dir.disk.list(&home.dir)).doing("list", &home.dir)?.unwrap_or_default();
    let files = leftovers::settle(&home, files)?;
    let mut bases = segments_among(&files);
    remove_below(&home, &mut bases, known.log_start)?;
    let mut recovered = Recovered::default();
    let (segments, active, known_end) = if bases.is_empty() {
        if known.kept > 0 {
            return Err(LogError::Lost { path: path(&home, 0, "log"), position: 0, offset: 0, kept: known.kept });
        }
        dir.disk.create_dir(&home.dir).doing("create", &home.dir)?;
        begin(&home, known.log_start, options)?
    } else {
        let (segments, active, known_end) = recover(&home, &bases, &known, &mut recovered)?;
        if active.end().offset >= known.log_start {
            (segments, active, known_end)
        } else {
            remove_segments(&home, &bases[..segments.len()], &mut recovered)?;
            begin(&home, known.log_start, options)?
        }
    };
    let end = active.end();
    remove_later_snapshots(&home, &files, end.offset)?;
    let found = aborted::Found {
        files: &files,
        end: end.offset,
        recovery_point: known.recovery_point,
        first_marker: recovered.aborted_from,
    };
    recovered.aborted_from = aborted::look_through(&segments, &found)?;
    recovered.synced_offsets_lost = (known.recovery_point - end.offset).max(0);
    let start = segments[0].base_offset.max(known.log_start);
    let recovery_point = known.recovery_point.clamp(segments[0].base_offset, end.offset);
    let queued = recovery_point < end.offset;
    let flushed = if queued { known_end } else { end };
    // Whoever flushed something of the active segment has synced its name. Otherwise nobody may have.
    let dir_is_new = recovery_point <= end.segment;
    let names_changed = dir_is_new;
    let progress = Progress {
        start,
        end,
        dirty_bytes: 0,
        flushed,
        recovery_point,
        queued,
        names_changed,
        dir_is_new,
        // A sync may have failed in the process before: since then its pages pass for clean, and were never written.
        in_doubt: queued,
    };
    let (segments, list_changes, progress) = (RwLock::new(segments), AtomicU64::new(0), Mutex::new(progress));
    let shared = Arc::new(Shared { home, segments, list_changes, has_aborted: AtomicBool::new(false), progress });
    shared.note_aborted();
    if queued {
        dir.backlog.is_dirty(&shared);
    }
    Ok((shared, active, recovered))
}

/// The segments of a log, the active one, and where the recovery point lies.
type Opened = (Vec<Arc<Segment>>, Active, Place);

/// A log without records.
fn begin(home: &Arc<Home>, start: i64, options: &LogOptions) -> Result<Opened, LogError> {
    let active = Active::create(home, start, options)?;
    let end = active.end();
    Ok((vec![active.segment.clone()], active, end))
}

/// Base offsets of the segments, in order.
fn segments_among(files: &[Entry]) -> Vec<i64> {
    let mut bases: Vec<i64> = files.iter().filter_map(|file| offset_in_name(file, ".log")).collect();
    bases.sort_unstable();
    bases
}

/// Removes the segments that lie wholly below the log's start, the oldest first: what a crash leaves is a log.
fn remove_below(home: &Home, bases: &mut Vec<i64>, log_start: i64) -> Result<(), LogError> {
    let gone = bases.iter().skip(1).take_while(|&&next| next <= log_start).count();
    if gone > 0 {
        check_writable(home)?;
    }
    for base in bases.drain(..gone) {
        for extension in EXTENSIONS {
            let path = path(home, base, extension);
            missing(home.log_dir.disk.remove_file(&path)).doing("remove", &path)?;
        }
    }
    Ok(())
}

pub(crate) fn offset_in_name(file: &Entry, extension: &str) -> Option<i64> {
    let digits = file.name.strip_suffix(extension).filter(|digits| digits.len() == 20)?;
    digits.parse().ok().filter(|&offset: &i64| offset >= 0)
}

/// The segments, the last of them ready to be appended to, and where the recovery point lies.
fn recover(
    home: &Arc<Home>,
    bases: &[i64],
    known: &Checkpointed,
    recovered: &mut Recovered,
) -> Result<Opened, LogError> {
    let recovery_point = known.recovery_point;
    // A segment that ends at the recovery point was active then, and its index is not to be relied on.
    let first = bases.partition_point(|&base| base < recovery_point).saturating_sub(1);
    let mut segments: Vec<_> = bases[..first].iter().map(|&base| Segment::found(home, base)).collect();
    let mut last = scan(home, bases[first], recovery_point, recovered)?;
    let known_end = last.known;
    for (i, &base) in bases.iter().enumerate().skip(first + 1) {
        if !last.reaches(base, known.cleaned) {
            last.check_kept(known.kept)?;
            remove_segments(home, &bases[i..], recovered)?;
            break;
        }
        recovered.has_gaps |= last.active.end().offset < base;
        last.cut(home, recovered)?;
        let closed = std::mem::replace(&mut last, scan(home, base, recovery_point, recovered)?);
        segments.push(closed.active.close());
    }
    last.check_kept(known.kept)?;
    last.cut(home, recovered)?;
    segments.push(last.active.segment.clone());
    Ok((segments, last.active, known_end))
}

fn remove_segments(home: &Home, bases: &[i64], recovered: &mut Recovered) -> Result<(), LogError> {
    check_writable(home)?;
    let disk = &home.log_dir.disk;
    // The last one first: what is left by a crash in between is a log.
    for &base in bases.iter().rev() {
        recovered.bytes_cut += disk.size_of(&path(home, base, "log")).doing("stat", &path(home, base, "log"))?;
        for extension in EXTENSIONS.iter().rev() {
            let path = path(home, base, extension);
            missing(disk.remove_file(&path)).doing("remove", &path)?;
        }
        recovered.segments_removed += 1;
    }
    // Or they could come back with a power loss, behind what is appended next.
    disk.sync_dir(&home.dir).doing("sync", &home.dir)
}

/// A snapshot of the producers at an offset that is no longer in the log would pass for one of what is appended there.
fn remove_later_snapshots(home: &Home, files: &[Entry], end: i64) -> Result<(), LogError> {
    for file in files.iter().filter(|file| offset_in_name(file, ".snapshot").is_some_and(|offset| offset > end)) {
        let path = home.dir.join(&file.name);
        home.log_dir.disk.remove_file(&path).doing("remove", &path)?;
    }
    Ok(())
}

pub(crate) fn check_writable(home: &Home) -> Result<(), LogError> {
    let probe = home.dir.join(PROBE);
    home.log_dir.disk.open(&probe, Open::Create).doing("create", &probe)?;
    home.log_dir.disk.remove_file(&probe).doing("remove", &probe)
}
