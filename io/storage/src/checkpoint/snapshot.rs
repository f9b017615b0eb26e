//! `<end offset>-<epoch>.checkpoint` of the metadata log: the state of everything before an offset (KIP-630).
//!
//! A snapshot that is there is whole: it is written under another name, synced, and renamed. What it holds is for others to
//! say; here are names and files.

use std::path::{Path, PathBuf};

use crate::LogError;
use crate::disk::{Disk, Open, missing, read_file, write_all_at};
use crate::error::Doing;

const COMPLETE: &str = ".checkpoint";
/// Of one that is being written; Kafka has a random number before it.
const PART: &str = ".checkpoint.part";
/// Kafka's, of one that is to be removed.
const DELETED: &str = ".checkpoint.deleted";

/// What a snapshot is named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// First offset that is not in it.
    pub end_offset: i64,
    /// Of the record before.
    pub epoch: i32,
}

/// The snapshots in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// In order.
    pub complete: Vec<Name>,
    /// Files of those that were never finished, or were to go.
    pub leftovers: Vec<String>,
}

impl Name {
    pub fn path(&self, replica: &Path) -> PathBuf {
        replica.join(format!("{self}{COMPLETE}"))
    }

    fn parse(file: &str) -> Option<Name> {
        let (end_offset, epoch) = file.strip_suffix(COMPLETE)?.split_once('-')?;
        let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        (digits(end_offset, 20) && digits(epoch, 10))
            .then(|| Some(Name { end_offset: end_offset.parse().ok()?, epoch: epoch.parse().ok()? }))?
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:020}-{:010}", self.end_offset, self.epoch)
    }
}

pub fn list(disk: &dyn Disk, replica: &Path) -> Result<Listed, LogError> {
    let mut listed = Listed::default();
    for entry in missing(disk.list(replica)).doing("list", replica)?.unwrap_or_default() {
        if let Some(name) = Name::parse(&entry.name) {
            listed.complete.push(name);
        } else if entry.name.ends_with(PART) || entry.name.ends_with(DELETED) {
            listed.leftovers.push(entry.name);
        }
    }
    listed.complete.sort_unstable();
    Ok(listed)
}

/// The bytes of a snapshot, or of another file of this kind.
pub fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, LogError> {
    missing(read_file(disk, path)).doing("read", path)
}

/// Writes a snapshot, piece by piece; when this returns it survives a loss of power. Gives its bytes.
///
/// # Errors
/// It is not there, or may not be after a loss of power.
pub fn store(
    disk: &dyn Disk,
    replica: &Path,
    name: Name,
    pieces: impl Iterator<Item = Vec<u8>>,
) -> Result<u64, LogError> {
    let (path, draft) = (name.path(replica), replica.join(format!("{name}{PART}")));
    let file = disk.open(&draft, Open::Create).doing("create", &draft)?;
    file.set_size(0).doing("write", &draft)?;
    let mut position = 0;
    for piece in pieces {
        write_all_at(&*file, &piece, position).doing("write", &draft)?;
        position += piece.len() as u64;
    }
    file.sync_data().doing("sync", &draft)?;
    disk.rename(&draft, &path).doing("rename", &draft)?;
    sync(disk, replica)?;
    Ok(position)
}

/// Makes the names of the snapshots that are there survive a loss of power: the process may have ended between the renaming of one
/// and that.
pub fn sync(disk: &dyn Disk, replica: &Path) -> Result<(), LogError> {
    disk.sync_dir(replica).doing("sync", replica)
}

pub fn remove(disk: &dyn Disk, replica: &Path, name: Name) -> Result<(), LogError> {
    remove_file(disk, &name.path(replica))
}

/// Removes [`Listed::leftovers`].
pub fn remove_leftovers(disk: &dyn Disk, replica: &Path, leftovers: &[String]) -> Result<(), LogError> {
    leftovers.iter().try_for_each(|file| remove_file(disk, &replica.join(file)))
}

fn remove_file(disk: &dyn Disk, path: &Path) -> Result<(), LogError> {
    missing(disk.remove_file(path)).doing("remove", path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FaultyDisk;

    #[test]
    fn names_are_those_of_kafka() {
        let name = Name { end_offset: 73, epoch: 4 };
        let file = "00000000000000000073-0000000004.checkpoint";
        assert_eq!(name.path(Path::new("/m")), Path::new("/m").join(file));
        assert_eq!(Name::parse(file), Some(name));
        for file in [
            "bootstrap.checkpoint",
            "00000000000000000073-0000000004.checkpoint.part",
            "00000000000000000073-000000004.checkpoint",
            "+0000000000000000073-0000000004.checkpoint",
            "99999999999999999999-0000000004.checkpoint",
            "00000000000000000073.checkpoint",
        ] {
            assert_eq!(Name::parse(file), None, "{file}");
        }
    }

    #[test]
    fn a_snapshot_is_there_as_a_whole_or_not_at_all() {
        let replica = Path::new("/m");
        let (old, new) = (Name { end_offset: 5, epoch: 1 }, Name { end_offset: 10, epoch: 1 });
        let pieces = || [vec![1; 1000], vec![2; 5000]].into_iter();
        let mut finished = 0;
        for operation in 1..12 {
            let disk = FaultyDisk::new(operation);
            disk.create_dir(replica).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            store(&disk, replica, old, pieces()).unwrap();
            disk.stop_at(disk.operations() + operation);
            let stored = store(&disk, replica, new, pieces());
            disk.power_loss();
            let Listed { complete, leftovers } = list(&disk, replica).unwrap();
            finished += usize::from(stored.is_ok());
            assert!(complete == [old] && stored.is_err() || complete == [old, new], "{complete:?}");
            for name in complete {
                let bytes = read(&disk, &name.path(replica)).unwrap().unwrap();
                assert_eq!(bytes, pieces().collect::<Vec<_>>().concat());
            }
            remove_leftovers(&disk, replica, &leftovers).unwrap();
            remove(&disk, replica, old).unwrap();
            assert!(list(&disk, replica).unwrap().complete.iter().all(|name| *name == new));
        }
        assert!((1..11).contains(&finished), "{finished}");
    }
}
