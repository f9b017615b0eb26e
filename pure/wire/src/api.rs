//! The APIs of Kafka 4.3.1: their keys, which of their versions a node of it serves, and where.

mod table;

use std::ops::RangeInclusive;

pub use table::{ApiKey, TABLE};

#[derive(Clone, Debug)]
pub struct Api {
    pub key: ApiKey,
    pub name: &'static str,
    /// As ApiVersions tells them. That of Produce begins at 0, though 3 is the first that works: librdkafka compresses
    /// only for brokers that say so (KAFKA-18659).
    pub versions: RangeInclusive<i16>,
    /// First version whose header and body are flexible (KIP-482); `i16::MAX` if there is none.
    pub flexible_from: i16,
    /// Whether the listeners of brokers serve it.
    pub on_broker: bool,
    /// Whether the listeners of controllers serve it.
    pub on_controller: bool,
}

/// Row of [`TABLE`] by key; the gaps are keys of APIs that Kafka 4.0 removed.
static ROWS: [Option<u8>; TABLE[TABLE.len() - 1].key as usize + 1] = {
    let mut rows = [None; _];
    let mut row = 0;
    while row < TABLE.len() {
        rows[TABLE[row].key as usize] = Some(row as u8);
        row += 1;
    }
    rows
};

/// The API of a key that somebody sent.
#[inline]
pub fn find(key: i16) -> Option<&'static Api> {
    let row = (*ROWS.get(usize::try_from(key).ok()?)?)?;
    Some(&TABLE[usize::from(row)])
}

impl ApiKey {
    /// The number on the wire.
    #[inline]
    pub fn code(self) -> i16 {
        self as i16
    }

    #[inline]
    pub fn api(self) -> &'static Api {
        find(self.code()).expect("every key has its row")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_finds_its_row() {
        for api in &TABLE {
            assert_eq!(find(api.key.code()).map(|found| found.key), Some(api.key));
            assert_eq!(api.key.api().name, format!("{:?}", api.key));
        }
        for key in [i16::MIN, -1, 4, 7, 93, i16::MAX] {
            assert!(find(key).is_none(), "{key}");
        }
    }
}
