//! From files to the image: the newest snapshot that is whole, and the log behind it.
//!
//! There is one way to load, for the start and for a controller that was dropped: whatever a directory went through, both
//! find the same. The log is checked batch by batch, a snapshot before any of it is used; one that is damaged is passed
//! over for an older one, as long as the log reaches back to that.

use ottla_machine::At;
use ottla_metadata::snapshot::SnapshotId;
use ottla_metadata::{ApplyError, Image, Record, RecordError};
use ottla_storage::checkpoint::snapshot::{self as files, Name};
use ottla_storage::{LogDir, LogError, Reader};
use ottla_wire::DecodeError;
use ottla_wire::records::ControlRecord;

use super::opening::DIR;
use super::quorum::Quorum;
use super::snapshot::{self, SnapshotError};
use crate::reading::{ReadingError, each_record_from};

/// Why the metadata cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Reading(#[from] ReadingError),
    #[error("at offset {offset}: {cause}")]
    Record { offset: i64, cause: RecordError },
    #[error("the control record at offset {offset} cannot be read: {cause}")]
    Control { offset: i64, cause: DecodeError },
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("{file}: {cause}")]
    Snapshot { file: String, cause: SnapshotError },
    #[error("{file}: {cause}")]
    SnapshotApply { file: String, cause: ApplyError },
    #[error("the log begins at offset {start}, and no snapshot that is whole reaches it")]
    NoSnapshot { start: i64 },
}

/// Where loading begins: a snapshot, or nothing.
#[derive(Debug, Default)]
pub struct Base {
    pub snapshot: Option<SnapshotId>,
    image: Image,
    quorum: Quorum,
}

/// What a directory holds.
#[derive(Debug)]
pub struct Loaded {
    pub image: Image,
    pub quorum: Quorum,
    /// The one that it was loaded from.
    pub snapshot: Option<SnapshotId>,
    /// Of the log behind that.
    pub bytes_behind: u64,
    /// The last that there is of the quorum, as far as batches tell.
    pub last_epoch: i32,
}

/// Reads the newest snapshot that is whole.
pub fn base(dir: &LogDir) -> Result<Base, LoadError> {
    let path = dir.path().join(DIR);
    for name in files::list(dir.disk(), &path)?.complete.into_iter().rev() {
        let Some(bytes) = files::read(dir.disk(), &name.path(&path))? else { continue };
        let file = format!("{name}.checkpoint");
        match snapshot::read(&bytes) {
            Ok(contents) => {
                let mut image = Image::default();
                let at = At { offset: name.end_offset - 1 };
                for record in contents.records {
                    let applied = image.apply(at, &record);
                    applied.map_err(|cause| LoadError::SnapshotApply { file: file.clone(), cause })?;
                }
                return Ok(Base { snapshot: Some(id(name)), image, quorum: contents.quorum });
            }
            Err(error @ SnapshotError::Damaged { .. }) => {
                tracing::warn!("the metadata snapshot {file} is not used: {error}");
            }
            Err(cause) => return Err(LoadError::Snapshot { file, cause }),
        }
    }
    Ok(Base::default())
}

/// Reads the log behind a snapshot, which ends where a batch does.
pub fn load(base: Base, reader: &Reader) -> Result<Loaded, LoadError> {
    let Base { snapshot, image, quorum } = base;
    let (start, from) = (reader.start(), snapshot.map_or(0, |id| id.end_offset));
    if start > from {
        return Err(LoadError::NoSnapshot { start });
    }
    let last_epoch = snapshot.map_or(0, |id| id.epoch);
    let mut loaded = Loaded { image, quorum, snapshot, bytes_behind: 0, last_epoch };
    each_record_from(reader, from, |header, record| {
        let (offset, value) = (record.offset, record.value.unwrap_or_default());
        if offset == header.base_offset {
            loaded.bytes_behind += header.size_bytes() as u64;
            loaded.last_epoch = loaded.last_epoch.max(header.leader_epoch);
        }
        if header.attributes.is_control() {
            let control = ControlRecord::decode(record.key.unwrap_or_default(), value);
            loaded.quorum.note(control.map_err(|cause| LoadError::Control { offset, cause })?);
            return Ok(());
        }
        let record = Record::decode(value).map_err(|cause| LoadError::Record { offset, cause })?;
        loaded.image.apply(At { offset }, &record).map_err(LoadError::from)
    })?;
    Ok(loaded)
}

pub fn id(name: Name) -> SnapshotId {
    let Name { end_offset, epoch } = name;
    SnapshotId { end_offset, epoch }
}

pub fn name(id: SnapshotId) -> Name {
    let SnapshotId { end_offset, epoch } = id;
    Name { end_offset, epoch }
}

impl From<LogError> for LoadError {
    fn from(error: LogError) -> LoadError {
        LoadError::Reading(ReadingError::Log(error))
    }
}
