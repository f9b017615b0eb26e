//! `.kafka_cleanshutdown` of a log directory: every log was closed, and the broker had this epoch.

use std::path::Path;

use super::{read, write};
use crate::LogError;
use crate::disk::{Disk, missing};
use crate::error::Doing;

const FILE: &str = ".kafka_cleanshutdown";

/// The broker epoch of the stop, if it was clean. The file is removed, durably: from now on no stop is clean until it is.
pub fn take(disk: &dyn Disk, dir: &Path) -> Result<Option<i64>, LogError> {
    let path = dir.join(FILE);
    let Some(bytes) = read(disk, &path)? else { return Ok(None) };
    missing(disk.remove_file(&path)).doing("remove", &path)?;
    disk.sync_dir(dir).doing("sync", dir)?;
    Ok(parse(&bytes))
}

pub fn store(disk: &dyn Disk, dir: &Path, broker_epoch: i64) -> Result<(), LogError> {
    write(disk, &dir.join(FILE), format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}").as_bytes())
}

fn parse(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.strip_prefix("{\"version\":0,\"brokerEpoch\":")?.strip_suffix('}')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_kafka() {
        assert_eq!(parse(b"{\"version\":0,\"brokerEpoch\":19}"), Some(19));
        assert_eq!(parse(b"{}"), None);
    }
}
