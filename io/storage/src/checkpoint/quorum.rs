//! `quorum-state` of the metadata log: who leads the quorum in which epoch (KIP-595, in the form of KIP-853).

use std::path::Path;

use ottla_base::Uuid;

use super::{read, write};
use crate::LogError;
use crate::disk::Disk;

pub const FILE: &str = "quorum-state";

/// An epoch, and what this node knows and has promised in it. Ids are -1 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumState {
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub voted_id: i32,
    pub voted_directory_id: Uuid,
}

/// # Errors
/// Also if the file is there and cannot be read: an epoch that was promised must not be forgotten.
pub fn load(disk: &dyn Disk, replica: &Path) -> Result<Option<QuorumState>, LogError> {
    let path = replica.join(FILE);
    let Some(bytes) = read(disk, &path)? else { return Ok(None) };
    let what = "it is no quorum state";
    parse(&bytes).map(Some).ok_or(LogError::Corrupt { path, position: 0, what })
}

pub fn store(disk: &dyn Disk, replica: &Path, state: &QuorumState) -> Result<(), LogError> {
    write(disk, &replica.join(FILE), format(state).as_bytes())
}

fn format(state: &QuorumState) -> String {
    let QuorumState { leader_id, leader_epoch, voted_id, voted_directory_id } = state;
    format!(
        "{{\"leaderId\":{leader_id},\"leaderEpoch\":{leader_epoch},\"votedId\":{voted_id},\
         \"votedDirectoryId\":\"{voted_directory_id}\",\"data_version\":1}}"
    )
}

fn parse(bytes: &[u8]) -> Option<QuorumState> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let (mut leader_id, mut leader_epoch, mut voted_id, mut voted_directory_id) = (-1, None, -1, Uuid::ZERO);
    // A flat object of numbers and one text without commas or escapes: all that Kafka writes here.
    for field in text.strip_prefix('{')?.strip_suffix('}')?.split(',') {
        let (name, value) = field.split_once(':')?;
        let value = value.trim().trim_matches('"');
        match name.trim().trim_matches('"') {
            "leaderId" => leader_id = value.parse().ok()?,
            "leaderEpoch" => leader_epoch = Some(value.parse().ok()?),
            "votedId" => voted_id = value.parse().ok()?,
            "votedDirectoryId" => voted_directory_id = value.parse().ok()?,
            _ => {}
        }
    }
    Some(QuorumState { leader_id, leader_epoch: leader_epoch?, voted_id, voted_directory_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_kafka() {
        let text = "{\"leaderId\":1,\"leaderEpoch\":1,\"votedId\":-1,\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}";
        let state = QuorumState { leader_id: 1, leader_epoch: 1, voted_id: -1, voted_directory_id: Uuid::ZERO };
        assert_eq!(format(&state), text);
        assert_eq!(parse(text.as_bytes()), Some(state));
        for text in ["", "{}", "{\"leaderEpoch\":x}", "{\"leaderEpoch\":1"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
