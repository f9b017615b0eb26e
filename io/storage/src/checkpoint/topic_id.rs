//! `partition.metadata` of a replica: the id of the topic that the directory belongs to.

use std::path::Path;

use ottla_base::Uuid;

use super::{read, write, write_lazily};
use crate::LogError;
use crate::disk::Disk;

pub(crate) const FILE: &str = "partition.metadata";

pub fn load(disk: &dyn Disk, replica: &Path) -> Result<Option<Uuid>, LogError> {
    Ok(read(disk, &replica.join(FILE))?.and_then(|bytes| parse(&bytes)))
}

pub fn store(disk: &dyn Disk, replica: &Path, id: Uuid) -> Result<(), LogError> {
    write_lazily(disk, &replica.join(FILE), format!("version: 0\ntopic_id: {id}").as_bytes())
}

/// Makes what [`store`] wrote survive a power loss: before the first records do, or nobody knows whose they are.
pub fn settle(disk: &dyn Disk, replica: &Path) -> Result<(), LogError> {
    let path = replica.join(FILE);
    // Written again, and not only synced: an earlier sync of it may have failed.
    read(disk, &path)?.map_or(Ok(()), |bytes| write(disk, &path, &bytes))
}

fn parse(bytes: &[u8]) -> Option<Uuid> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    lines.next().filter(|line| *line == "version: 0")?;
    lines.next()?.strip_prefix("topic_id: ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FaultyDisk;

    /// Whether the id is there after each of many losses of power.
    fn survives(before: impl Fn(&FaultyDisk, &Path)) -> bool {
        let replica = Path::new("/t-0");
        let outlives = |seed| {
            let disk = FaultyDisk::new(seed);
            disk.create_dir(replica).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            store(&disk, replica, Uuid::METADATA_TOPIC).unwrap();
            before(&disk, replica);
            disk.power_loss();
            load(&disk, replica).unwrap() == Some(Uuid::METADATA_TOPIC)
        };
        (0..50).all(outlives)
    }

    #[test]
    fn it_survives_a_power_loss_once_it_is_settled() {
        assert!(!survives(|_, _| {}));
        assert!(survives(|disk, replica| settle(disk, replica).unwrap()));
    }

    #[test]
    fn bytes_are_those_of_kafka() {
        let text = b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ";
        assert_eq!(parse(text), Some(Uuid::METADATA_TOPIC));
        assert_eq!(parse(b"version: 0\n"), None);
        assert_eq!(parse(b"version: 1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"), None);
    }
}
