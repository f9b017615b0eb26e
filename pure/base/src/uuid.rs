//! Kafka's uuid: sixteen bytes on the wire, 22 characters of URL-safe base64 without padding in text.

use std::fmt;
use std::str::FromStr;

/// Id of a topic, a directory, an incarnation or a cluster. All zeros means "none".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    pub const ZERO: Uuid = Uuid([0; 16]);
    /// Topic id of `__cluster_metadata` (KIP-595).
    pub const METADATA_TOPIC: Uuid = Uuid(1u128.to_be_bytes());

    /// A version 4 uuid from 128 random bits. `None` where Kafka draws again: the text would begin with a dash, which
    /// command lines take for an option.
    pub fn random_from(bits: u128) -> Option<Uuid> {
        let mut bytes = bits.to_be_bytes();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        (bytes[0] >> 2 != 62).then_some(Uuid(bytes))
    }

    pub fn is_zero(&self) -> bool {
        *self == Uuid::ZERO
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        let mut text = [0u8; 22];
        for (i, c) in text.iter_mut().enumerate() {
            // 21 characters of six bits, and a last one that holds two bits in its upper end.
            let index = if i < 21 { bits >> (122 - 6 * i) } else { bits << 4 };
            *c = ALPHABET[(index & 63) as usize];
        }
        f.write_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseUuidError;

impl fmt::Display for ParseUuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a uuid is 22 characters of URL-safe base64 without padding")
    }
}

impl std::error::Error for ParseUuidError {}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Uuid, ParseUuidError> {
        let text = text.as_bytes();
        if text.len() != 22 {
            return Err(ParseUuidError);
        }
        let mut bits = 0u128;
        for (i, c) in text.iter().enumerate() {
            let value = ALPHABET.iter().position(|a| a == c).ok_or(ParseUuidError)? as u128;
            bits = if i < 21 { bits << 6 | value } else { bits << 2 | value >> 4 };
        }
        Ok(Uuid(bits.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_that_of_kafka() {
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Uuid::METADATA_TOPIC.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        for text in ["MkU3OEVBNTcwNTJENDM2Qg", "_-8AAAAAAAAAAAAAAAAA_w"] {
            assert_eq!(text.parse::<Uuid>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAAA", "+AAAAAAAAAAAAAAAAAAAAA"] {
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_random_uuid_is_version_4_and_no_option() {
        let id = Uuid::random_from(u128::MAX >> 8).unwrap();
        assert_eq!(id.0[6] >> 4, 4);
        assert_eq!(id.0[8] >> 6, 2);
        assert!(Uuid::random_from(u128::MAX - (1 << 123)).is_some());
        assert!(Uuid::random_from(0b111110 << 122).is_none());
    }
}
