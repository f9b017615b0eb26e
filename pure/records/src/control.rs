//! The keys of control records: an i16 version and an i16 type (KIP-98, KIP-595).

/// What a control record says. Their values are messages of the wire crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    LeaderChange = 2,
}

const KEY_VERSION: i16 = 0;

impl ControlType {
    pub fn key(self) -> [u8; 4] {
        let [a, b] = KEY_VERSION.to_be_bytes();
        let [c, d] = (self as i16).to_be_bytes();
        [a, b, c, d]
    }
}
