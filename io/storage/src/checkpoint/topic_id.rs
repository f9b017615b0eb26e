//! `partition.metadata` of a replica: the id of the topic that the directory belongs to.

use std::path::Path;

use ottla_base::Uuid;

use super::{read, write_lazily};
use crate::LogError;
use crate::disk::Disk;

const FILE: &str = "partition.metadata";

pub fn load(disk: &dyn Disk, replica: &Path) -> Result<Option<Uuid>, LogError> {
    Ok(read(disk, &replica.join(FILE))?.and_then(|bytes| parse(&bytes)))
}

pub fn store(disk: &dyn Disk, replica: &Path, id: Uuid) -> Result<(), LogError> {
    write_lazily(disk, &replica.join(FILE), format!("version: 0\ntopic_id: {id}").as_bytes())
}

fn parse(bytes: &[u8]) -> Option<Uuid> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    lines.next().filter(|line| *line == "version: 0")?;
    lines.next()?.strip_prefix("topic_id: ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_kafka() {
        let text = b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ";
        assert_eq!(parse(text), Some(Uuid::METADATA_TOPIC));
        assert_eq!(parse(b"version: 0\n"), None);
        assert_eq!(parse(b"version: 1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"), None);
    }
}
