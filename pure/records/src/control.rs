//! The keys of control records: an i16 version and an i16 type (KIP-98, KIP-595, KIP-630, KIP-853).

/// What a control record says. Their values are messages of the wire crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    Abort = 0,
    Commit = 1,
    LeaderChange = 2,
    SnapshotHeader = 3,
    SnapshotFooter = 4,
    KraftVersion = 5,
    KraftVoters = 6,
}

const KEY_VERSION: i16 = 0;

impl ControlType {
    /// `None` for a type of a later Kafka, which readers pass over, and for bytes that are no such key.
    pub fn from_key(key: &[u8]) -> Option<ControlType> {
        let (version, rest) = key.split_first_chunk()?;
        if i16::from_be_bytes(*version) < KEY_VERSION {
            return None;
        }
        Some(match i16::from_be_bytes(*rest.first_chunk()?) {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            2 => ControlType::LeaderChange,
            3 => ControlType::SnapshotHeader,
            4 => ControlType::SnapshotFooter,
            5 => ControlType::KraftVersion,
            6 => ControlType::KraftVoters,
            _ => return None,
        })
    }

    pub fn key(self) -> [u8; 4] {
        let [a, b] = KEY_VERSION.to_be_bytes();
        let [c, d] = (self as i16).to_be_bytes();
        [a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_kafka() {
        assert_eq!(ControlType::Commit.key(), [0, 0, 0, 1]);
        for id in 0..7 {
            let kind = ControlType::from_key(&[0, 0, 0, id]).unwrap();
            assert_eq!(kind.key(), [0, 0, 0, id]);
        }
        for key in [&[][..], &[0, 0, 0], &[0, 0, 0, 7], &[0xff, 0xff, 0, 1]] {
            assert_eq!(ControlType::from_key(key), None, "{key:?}");
        }
    }
}
