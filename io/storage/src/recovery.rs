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
//! Nothing is cut or removed in a directory in which no file can be made: whoever cannot write must not destroy.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};

use crate::disk::{Entry, Open, Wait, missing};
use crate::error::{Doing, LogError, Named};
use crate::flush::Progress;
use crate::index::{Entries, IndexEntry};
use crate::log::{Active, LogOptions, State};
use crate::reader::Shared;
use crate::segment::{Home, Index, Indexing, Largest, Segment, UNWRITTEN_ENTRIES_MAX, path};
use crate::time_index::TimeEntry;
use crate::walk::{Found, Step, Walk};
use crate::{LogDir, Place, lock};

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
}

/// A segment that was scanned, ready to be appended to.
struct Scanned {
    active: Active,
    /// Up to where batches lie before the recovery point.
    known: Place,
    /// With what is to be cut.
    file_bytes: u64,
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
        index_interval_bytes: options.index_interval_bytes,
        deleted: AtomicBool::new(false),
        naming: Mutex::new(()),
    });
    let files = missing(dir.disk.list(&home.dir)).doing("list", &home.dir)?;
    let bases = segments_among(&home, files.as_deref().unwrap_or_default())?;
    let mut recovered = Recovered::default();
    let (segments, active, known_end) = if bases.is_empty() {
        if known.kept > 0 {
            return Err(LogError::Lost { path: path(&home, 0, "log"), position: 0, offset: 0, kept: known.kept });
        }
        dir.disk.create_dir(&home.dir).doing("create", &home.dir)?;
        let active = Active::create(&home, 0)?;
        let end = active.end();
        (vec![active.segment.clone()], active, end)
    } else {
        recover(&home, &bases, &known, &mut recovered)?
    };
    let end = active.end();
    remove_later_snapshots(&home, files.as_deref().unwrap_or_default(), end.offset)?;
    recovered.synced_offsets_lost = (known.recovery_point - end.offset).max(0);
    let start = segments[0].base_offset;
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
    let shared = Arc::new(Shared { home, segments: RwLock::new(segments), progress: Mutex::new(progress) });
    if queued {
        dir.backlog.is_dirty(&shared);
    }
    Ok((shared, active, recovered))
}

/// Base offsets of the segments, in order.
fn segments_among(home: &Home, files: &[Entry]) -> Result<Vec<i64>, LogError> {
    if let Some(swap) = files.iter().find(|file| file.name.ends_with(".swap")) {
        // The segments it takes the place of may be gone already: without Kafka to end this, data would be missing.
        let path = home.dir.join(&swap.name);
        return Err(LogError::Corrupt { path, position: 0, what: "Kafka has not finished a compaction" });
    }
    let mut bases: Vec<i64> = files.iter().filter_map(|file| offset_in_name(file, ".log")).collect();
    bases.sort_unstable();
    Ok(bases)
}

fn offset_in_name(file: &Entry, extension: &str) -> Option<i64> {
    let digits = file.name.strip_suffix(extension).filter(|digits| digits.len() == 20)?;
    digits.parse().ok().filter(|&offset: &i64| offset >= 0)
}

/// The segments, the last of them ready to be appended to, and where the recovery point lies.
fn recover(
    home: &Arc<Home>,
    bases: &[i64],
    known: &Checkpointed,
    recovered: &mut Recovered,
) -> Result<(Vec<Arc<Segment>>, Active, Place), LogError> {
    let recovery_point = known.recovery_point;
    // A segment that ends at the recovery point was active then, and its index is not to be relied on.
    let first = bases.partition_point(|&base| base < recovery_point).saturating_sub(1);
    let mut segments: Vec<_> = bases[..first].iter().map(|&base| Segment::found(home, base)).collect();
    let mut last = scan(home, bases[first], recovery_point, recovered)?;
    let known_end = last.known;
    for (i, &base) in bases.iter().enumerate().skip(first + 1) {
        if last.is_torn() || last.active.state.next_offset != base {
            last.check_kept(known.kept)?;
            remove_segments(home, &bases[i..], recovered)?;
            break;
        }
        let closed = std::mem::replace(&mut last, scan(home, base, recovery_point, recovered)?);
        segments.push(closed.active.close());
    }
    last.check_kept(known.kept)?;
    if last.is_torn() {
        check_writable(home)?;
        last.active.cut()?;
        last.active.sync()?;
        recovered.bytes_cut += last.file_bytes - last.active.state.position;
    }
    segments.push(last.active.segment.clone());
    Ok((segments, last.active, known_end))
}

impl Scanned {
    fn is_torn(&self) -> bool {
        self.active.state.position < self.file_bytes
    }

    /// Whether everything before `kept` is there, if this is the last of the log.
    fn check_kept(&self, kept: i64) -> Result<(), LogError> {
        let State { next_offset: offset, position, .. } = self.active.state;
        if offset >= kept {
            return Ok(());
        }
        Err(LogError::Lost { path: self.active.segment.path(), position, offset, kept })
    }
}

/// Goes through a segment as far as it is intact.
fn scan(home: &Arc<Home>, base: i64, recovery_point: i64, recovered: &mut Recovered) -> Result<Scanned, LogError> {
    let log_path = path(home, base, "log");
    let file = home.log_dir.disk.open(&log_path, Open::Write).doing("open", &log_path)?;
    let file_bytes = file.size().doing("stat", &log_path)?;
    let index = load_index(home, base, recovery_point)?;
    let had_entries = index.offsets.len() > 0;
    let segment = Segment::indexed(home, base, file_bytes, index);
    segment.pin(file.clone());
    let start = start_of_scan(&segment)?;
    let mut state = match start {
        Some(found) => resume(&segment, &found),
        None => {
            *lock(&segment.index) = Index::in_memory();
            State::new(Indexing::new(base, home.index_interval_bytes), base)
        }
    };
    if start.is_some()
        && let Step::Batch(first) = Walk::new(&*file, 0, file_bytes, Wait::Yes).next().doing("read", &log_path)?
    {
        state.first_timestamp = Some(first.header.max_timestamp).filter(|&time| time >= 0);
    }
    let mut walk = Walk::new(&*file, state.position, file_bytes, Wait::Yes);
    let mut known = Place { offset: state.next_offset, segment: base, position: state.position };
    let mut known_entries = 0;
    while let Step::Batch(found) = walk.next().doing("read", &log_path)? {
        let is_known = found.header.next_offset() <= recovery_point;
        let follows = found.header.base_offset >= state.next_offset && segment.may_hold(&found);
        if !follows || !(is_known || walk.is_intact(&found).doing("read", &log_path)?) {
            break;
        }
        if let Some(entries) = state.add(&found.header) {
            lock(&segment.index).add(entries);
            known_entries += usize::from(is_known);
        }
        if is_known {
            known = Place { offset: state.next_offset, segment: base, position: state.position };
        }
    }
    recovered.bytes_read += walk.bytes_read;
    recovered.indexes_rebuilt +=
        usize::from(start.is_none() && known_entries > if had_entries { 0 } else { UNWRITTEN_ENTRIES_MAX });
    lock(&segment.index).largest = Some(state.indexing.largest);
    segment.set_size(state.position);
    Ok(Scanned { active: Active::new(segment, file, state), known, file_bytes })
}

/// The entries in the files for batches before the recovery point.
fn load_index(home: &Home, base: i64, recovery_point: i64) -> Result<Index, LogError> {
    let is_known = |relative: u32| base + i64::from(relative) < recovery_point;
    let mut index = Index::in_memory();
    if recovery_point > base {
        index.offsets = load(home, base, "index")?;
        index.offsets.truncate_where(|entry| is_known(entry.relative) && entry.position > 0);
        index.times = load(home, base, "timeindex")?;
        index.times.truncate_where(|entry| is_known(entry.relative));
    }
    Ok(index)
}

fn load<E: IndexEntry>(home: &Home, base: i64, extension: &str) -> Result<Entries<E>, LogError> {
    let path = path(home, base, extension);
    match missing(home.log_dir.disk.open(&path, Open::Read)).doing("open", &path)? {
        Some(file) => Entries::load(&*file).doing("read", &path),
        None => Ok(Entries::default()),
    }
}

/// The earlier of the batches that the last entries of the two indexes name, if both are what the entries say. `None`:
/// the indexes are of no use.
fn start_of_scan(segment: &Arc<Segment>) -> Result<Option<Found>, LogError> {
    let (offset, time) = {
        let index = lock(&segment.index);
        (index.offsets.last(), index.times.last())
    };
    let (Some(offset), Some(time)) = (offset, time) else { return Ok(None) };
    let Some(by_offset) = confirmed(segment, offset.relative)? else { return Ok(None) };
    let Some(by_time) = confirmed(segment, time.relative)? else { return Ok(None) };
    let agree = by_offset.position == u64::from(offset.position) && by_time.header.max_timestamp == time.timestamp;
    let earlier = if by_time.position < by_offset.position { by_time } else { by_offset };
    Ok(Some(earlier).filter(|_| agree))
}

/// The batch with this offset. Damage that an index leads to is a reason not to use the index, no more.
fn confirmed(segment: &Arc<Segment>, relative: u32) -> Result<Option<Found>, LogError> {
    let offset = segment.base_offset + i64::from(relative);
    match segment.find(offset, segment.size()?, Wait::Yes) {
        Ok(found) => Ok(found.filter(|found| found.header.base_offset <= offset)),
        Err(LogError::Corrupt { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The state in which the appender was when it came to this batch, with the entries that it had made by then.
fn resume(segment: &Segment, at: &Found) -> State {
    let mut index = lock(&segment.index);
    index.offsets.truncate_where(|entry| u64::from(entry.position) <= at.position);
    let mut indexing = Indexing::new(segment.base_offset, segment.home.index_interval_bytes);
    indexing.since_entry = at.position - index.offsets.last().map_or(0, |entry| u64::from(entry.position));
    if let Some(TimeEntry { timestamp, relative }) = index.times.last() {
        indexing.largest = Largest { timestamp, offset: segment.base_offset + i64::from(relative) };
        indexing.indexed_timestamp = timestamp;
    }
    State {
        position: at.position,
        offset_entries: index.offsets.len() as u64,
        time_entries: index.times.len() as u64,
        ..State::new(indexing, at.header.base_offset)
    }
}

fn remove_segments(home: &Home, bases: &[i64], recovered: &mut Recovered) -> Result<(), LogError> {
    check_writable(home)?;
    let disk = &home.log_dir.disk;
    // The last one first: what is left by a crash in between is a log.
    for &base in bases.iter().rev() {
        for extension in ["index", "timeindex", "txnindex"] {
            let path = path(home, base, extension);
            missing(disk.remove_file(&path)).doing("remove", &path)?;
        }
        let path = path(home, base, "log");
        recovered.bytes_cut += disk.size_of(&path).doing("stat", &path)?;
        disk.remove_file(&path).doing("remove", &path)?;
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

fn check_writable(home: &Home) -> Result<(), LogError> {
    let probe = home.dir.join(PROBE);
    home.log_dir.disk.open(&probe, Open::Create).doing("create", &probe)?;
    home.log_dir.disk.remove_file(&probe).doing("remove", &probe)
}
