//! The keys of control records: an i16 version and an i16 type (KIP-98, KIP-595).

use crate::codec::Scratch;
use crate::read::{ReadError, records};

/// What a batch of control records may unpack to. They are a few, and small.
const CONTROL_BYTES_MAX: usize = 64 << 10;

/// What a control record says. Their values are messages of the wire crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    /// Ends a transaction.
    Abort = 0,
    /// Ends a transaction.
    Commit = 1,
    LeaderChange = 2,
}

const KEY_VERSION: i16 = 0;

/// What the first record of a batch of control records says. `None` if there is none, or it is of another type.
pub fn control_type(batch: &[u8], scratch: &mut Scratch) -> Result<Option<ControlType>, ReadError> {
    let first = records(batch, CONTROL_BYTES_MAX, scratch)?.next().transpose()?;
    Ok(first.and_then(|record| record.key).and_then(ControlType::from_key))
}

impl ControlType {
    pub fn key(self) -> [u8; 4] {
        let [a, b] = KEY_VERSION.to_be_bytes();
        let [c, d] = (self as i16).to_be_bytes();
        [a, b, c, d]
    }

    /// What the key of a control record says; `None` for a type that is none of these.
    pub fn from_key(key: &[u8]) -> Option<ControlType> {
        let (_, kind) = key.split_first_chunk::<2>()?;
        Some(match i16::from_be_bytes(*kind.first_chunk()?) {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            2 => ControlType::LeaderChange,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_their_type() {
        for kind in [ControlType::Abort, ControlType::Commit, ControlType::LeaderChange] {
            assert_eq!(ControlType::from_key(&kind.key()), Some(kind));
        }
        for key in [&[0, 0, 0, 9][..], &[0, 0, 0], &[]] {
            assert_eq!(ControlType::from_key(key), None);
        }
    }
}
