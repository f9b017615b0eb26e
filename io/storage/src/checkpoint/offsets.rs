//! `recovery-point-offset-checkpoint` and its like: an offset for each replica of a log directory, by the name of its directory
//! (`<topic>-<partition>`).

use std::collections::BTreeMap;
use std::path::Path;

use super::{format_lines, parse_lines, read, write};
use crate::LogError;
use crate::disk::Disk;

pub const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
pub const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// Of logs that begin behind the first offset of their first segment.
pub const LOG_STARTS: &str = "log-start-offset-checkpoint";
/// Up to where logs are compacted.
pub const FIRST_DIRTY: &str = "cleaner-offset-checkpoint";

pub fn load(disk: &dyn Disk, dir: &Path, file: &str) -> Result<Option<BTreeMap<String, i64>>, LogError> {
    Ok(read(disk, &dir.join(file))?.and_then(|bytes| parse(&bytes)))
}

pub fn store(disk: &dyn Disk, dir: &Path, file: &str, offsets: &BTreeMap<String, i64>) -> Result<(), LogError> {
    write(disk, &dir.join(file), format(offsets).as_bytes())
}

fn parse(bytes: &[u8]) -> Option<BTreeMap<String, i64>> {
    if bytes.is_empty() {
        return Some(BTreeMap::new());
    }
    let lines = parse_lines(bytes, |line| {
        let (replica, offset) = line.rsplit_once(' ')?;
        let (topic, partition) = replica.split_once(' ')?;
        let partition: u32 = partition.parse().ok()?;
        Some((format!("{topic}-{partition}"), offset.parse().ok().filter(|offset: &i64| *offset >= 0)?))
    })?;
    Some(lines.into_iter().collect())
}

fn format(offsets: &BTreeMap<String, i64>) -> String {
    let line = |(replica, offset): (&String, &i64)| {
        let (topic, partition) = replica.rsplit_once('-').expect("a replica's directory is named <topic>-<partition>");
        format!("{topic} {partition} {offset}")
    };
    format_lines(offsets.iter().map(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_kafka() {
        let offsets = BTreeMap::from([("a-b-0".to_owned(), 7), ("t1-12".to_owned(), 0)]);
        assert_eq!(format(&offsets), "0\n2\na-b 0 7\nt1 12 0\n");
        assert_eq!(parse(format(&offsets).as_bytes()), Some(offsets));
        assert_eq!(format(&BTreeMap::new()), "0\n0\n");
        assert_eq!(parse(b""), Some(BTreeMap::new()), "Kafka makes the file before it writes it");
    }

    #[test]
    fn spoilt_files_say_nothing() {
        for text in
            ["1\n0\n", "0\n1\n", "0\n1\nt 0 1\nt 1 1\n", "0\n1\nt 0\n", "0\n1\nt 0 -1\n", "0\n1\nt x 1\n", "\0\0"]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
