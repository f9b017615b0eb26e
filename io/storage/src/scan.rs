//! Going through a segment that a crash may have torn, as far as it is intact.

use std::io;
use std::sync::Arc;

use ottla_records::HEADER_BYTES;

use crate::active::{Active, State};
use crate::disk::{DiskFile, Open, Wait, missing, read_full_at};
use crate::error::{Doing, LogError, Named};
use crate::index::{Entries, IndexEntry};
use crate::indexing::{Index, Indexing, Largest};
use crate::recovery::{Recovered, check_writable};
use crate::segment::{Home, Segment, UNWRITTEN_ENTRIES_MAX, path};
use crate::time_index::TimeEntry;
use crate::walk::{Found, Step, Walk};
use crate::{Place, lock};

/// A segment that was scanned, ready to be appended to.
pub(crate) struct Scanned {
    pub active: Active,
    /// Up to where batches lie before the recovery point.
    pub known: Place,
    /// With what is to be cut.
    file_bytes: u64,
    /// What is to be cut begins with zeros.
    ends_in_zeros: bool,
}

impl Scanned {
    /// Whether a segment that begins at `base` goes on where this one ends. One with a torn end does not; but Kafka, where it
    /// preallocates, may leave zeros behind the end.
    pub fn reaches(&self, base: i64, cleaned: i64) -> bool {
        let next_offset = self.active.state.next_offset;
        let is_whole = self.active.state.position == self.file_bytes;
        (next_offset == base && (is_whole || self.ends_in_zeros)) || (next_offset < base && is_whole && base <= cleaned)
    }

    /// Cuts what is no batch, if there is anything.
    pub fn cut(&mut self, home: &Home, recovered: &mut Recovered) -> Result<(), LogError> {
        let behind = self.file_bytes - self.active.state.position;
        if behind > 0 {
            check_writable(home)?;
            self.active.cut()?;
            self.active.sync()?;
            self.file_bytes = self.active.state.position;
            recovered.bytes_cut += behind;
        }
        Ok(())
    }

    /// Whether everything before `kept` is there, if this is the last of the log.
    pub fn check_kept(&self, kept: i64) -> Result<(), LogError> {
        let State { next_offset: offset, position, .. } = self.active.state;
        if offset >= kept {
            return Ok(());
        }
        Err(LogError::Lost { path: self.active.segment.path(), position, offset, kept })
    }
}

/// Goes through a segment as far as it is intact.
pub(crate) fn scan(
    home: &Arc<Home>,
    base: i64,
    recovery_point: i64,
    recovered: &mut Recovered,
) -> Result<Scanned, LogError> {
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
            State::new(Indexing::new(base, home.index_interval_bytes()), base)
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
        if found.header.attributes.is_control() && !is_known {
            recovered.aborted_from.get_or_insert(found.header.base_offset);
        }
        if let Some(entries) = state.add(&found.header) {
            lock(&segment.index).add(entries);
            known_entries += usize::from(is_known);
        }
        if is_known {
            known = Place { offset: state.next_offset, segment: base, position: state.position };
        }
    }
    let ends_in_zeros = is_zeros(&*file, state.position).doing("read", &log_path)?;
    recovered.bytes_read += walk.bytes_read;
    recovered.indexes_rebuilt +=
        usize::from(start.is_none() && known_entries > if had_entries { 0 } else { UNWRITTEN_ENTRIES_MAX });
    lock(&segment.index).largest = Some(state.indexing.largest);
    segment.set_size(state.position);
    Ok(Scanned { active: Active::new(segment, file, state), known, file_bytes, ends_in_zeros })
}

/// Whether zeros stand where a batch would begin.
fn is_zeros(file: &dyn DiskFile, position: u64) -> io::Result<bool> {
    let mut head = [0; HEADER_BYTES];
    let read = read_full_at(file, &mut head, position, Wait::Yes)?;
    Ok(read > 0 && head[..read].iter().all(|&byte| byte == 0))
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
    let mut indexing = Indexing::new(segment.base_offset, segment.home.index_interval_bytes());
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
