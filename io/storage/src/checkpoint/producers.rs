//! `<offset>.snapshot` of a replica: the idempotent producers as the batches below that offset leave them.
//!
//! ```text
//! version i16 = 1 · crc u32 of what follows · count i32 · per batch: producer id i64 · epoch i16 · last sequence i32
//!         · last offset i64 · offset delta i32 · timestamp i64 · coordinator epoch i32 · transaction's first offset i64
//! ```

use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, checksum};

use super::{read, write};
use crate::LogError;
use crate::disk::{Disk, missing};
use crate::error::Doing;

const VERSION: i16 = 1;
const HEAD_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;

/// A batch of a producer; -1 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub last_sequence: i32,
    pub last_offset: i64,
    pub offset_delta: i32,
    pub timestamp: i64,
    pub coordinator_epoch: i32,
    pub transaction_first_offset: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub offset: i64,
    pub producers: Vec<Entry>,
}

/// The newest snapshot not above `offset` that can be read.
pub fn newest(disk: &dyn Disk, replica: &Path, offset: i64) -> Result<Option<Snapshot>, LogError> {
    let mut offsets = offsets(disk, replica)?;
    offsets.retain(|other| *other <= offset);
    for offset in offsets.into_iter().rev() {
        if let Some(producers) = read(disk, &path(replica, offset))?.and_then(|bytes| parse(&bytes)) {
            return Ok(Some(Snapshot { offset, producers }));
        }
    }
    Ok(None)
}

/// Writes a snapshot, and removes those before it, but for one in reserve.
pub fn store(disk: &dyn Disk, replica: &Path, snapshot: &Snapshot) -> Result<(), LogError> {
    write(disk, &path(replica, snapshot.offset), &format(&snapshot.producers))?;
    let mut older = offsets(disk, replica)?;
    older.retain(|other| *other < snapshot.offset);
    older.pop();
    for offset in older {
        let path = path(replica, offset);
        missing(disk.remove_file(&path)).doing("remove", &path)?;
    }
    Ok(())
}

fn path(replica: &Path, offset: i64) -> PathBuf {
    replica.join(format!("{offset:020}.snapshot"))
}

/// Offsets of all snapshots, rising.
pub(crate) fn offsets(disk: &dyn Disk, replica: &Path) -> Result<Vec<i64>, LogError> {
    let files = disk.list(replica).doing("list", replica)?;
    let of = |name: &str| name.strip_suffix(".snapshot").filter(|digits| digits.len() == 20)?.parse().ok();
    let mut offsets: Vec<i64> = files.iter().filter_map(|file| of(&file.name)).collect();
    offsets.sort_unstable();
    Ok(offsets)
}

fn format(producers: &[Entry]) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES];
    for entry in producers {
        bytes.extend_from_slice(&entry.producer_id.to_be_bytes());
        bytes.extend_from_slice(&entry.producer_epoch.to_be_bytes());
        bytes.extend_from_slice(&entry.last_sequence.to_be_bytes());
        bytes.extend_from_slice(&entry.last_offset.to_be_bytes());
        bytes.extend_from_slice(&entry.offset_delta.to_be_bytes());
        bytes.extend_from_slice(&entry.timestamp.to_be_bytes());
        bytes.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        bytes.extend_from_slice(&entry.transaction_first_offset.to_be_bytes());
    }
    let count = i32::try_from(producers.len()).expect("a partition knows fewer producers than 2^31");
    bytes[6..HEAD_BYTES].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c(&bytes[6..]);
    bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
    bytes[2..6].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (version, rest) = bytes.split_first_chunk()?;
    let (crc, covered) = rest.split_first_chunk()?;
    if i16::from_be_bytes(*version) != VERSION || u32::from_be_bytes(*crc) != crc32c(covered) {
        return None;
    }
    let (count, entries) = covered.split_first_chunk()?;
    let entries = entries.chunks_exact(ENTRY_BYTES);
    if !entries.remainder().is_empty() || usize::try_from(i32::from_be_bytes(*count)) != Ok(entries.len()) {
        return None;
    }
    entries.map(entry).collect()
}

fn crc32c(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

fn entry(bytes: &[u8]) -> Option<Entry> {
    let (producer_id, rest) = bytes.split_first_chunk()?;
    let (producer_epoch, rest) = rest.split_first_chunk()?;
    let (last_sequence, rest) = rest.split_first_chunk()?;
    let (last_offset, rest) = rest.split_first_chunk()?;
    let (offset_delta, rest) = rest.split_first_chunk()?;
    let (timestamp, rest) = rest.split_first_chunk()?;
    let (coordinator_epoch, rest) = rest.split_first_chunk()?;
    let transaction_first_offset = rest.first_chunk()?;
    Some(Entry {
        producer_id: i64::from_be_bytes(*producer_id),
        producer_epoch: i16::from_be_bytes(*producer_epoch),
        last_sequence: i32::from_be_bytes(*last_sequence),
        last_offset: i64::from_be_bytes(*last_offset),
        offset_delta: i32::from_be_bytes(*offset_delta),
        timestamp: i64::from_be_bytes(*timestamp),
        coordinator_epoch: i32::from_be_bytes(*coordinator_epoch),
        transaction_first_offset: i64::from_be_bytes(*transaction_first_offset),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn bytes_are_those_of_kafka() {
        assert_eq!(hex(&format(&[])), "000148674bc700000000");
        let entry = Entry {
            producer_id: 1,
            producer_epoch: 0,
            last_sequence: 5,
            last_offset: 5,
            offset_delta: 1,
            timestamp: 0x0000_01a2_03de_1e25,
            coordinator_epoch: -1,
            transaction_first_offset: -1,
        };
        let bytes = format(&[entry]);
        assert_eq!(
            hex(&bytes),
            "0001054957ee000000010000000000000001000000000005000000000000000500000001000001a203de1e25ffffffffffffffffffffffff"
        );
        assert_eq!(parse(&bytes), Some(vec![entry]));
    }

    #[test]
    fn spoilt_bytes_say_nothing() {
        let good = format(&[]);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(parse(&bad), None, "byte {at}");
            assert_eq!(parse(&good[..at]), None, "{at} bytes");
        }
    }
}
