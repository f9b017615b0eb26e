//! Kafka's error codes. They are outcomes, and stand in answers; what goes wrong in reading bytes is a
//! [`DecodeError`](crate::DecodeError).

mod table;

use std::fmt;

pub use table::ErrorCode;
use table::TABLE;

impl ErrorCode {
    /// `None` of a code that Kafka 4.3.1 does not have.
    pub fn from_code(code: i16) -> Option<ErrorCode> {
        Some(TABLE.get(usize::try_from(i32::from(code) + 1).ok()?)?.0)
    }

    /// The number on the wire.
    #[inline]
    pub fn code(self) -> i16 {
        self as i16
    }

    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> &'static (ErrorCode, &'static str) {
        // The codes are dense from -1 on.
        &TABLE[(self.code() + 1) as usize]
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_finds_its_row() {
        for (row, (error, ..)) in TABLE.iter().enumerate() {
            assert_eq!(error.code(), row as i16 - 1);
            assert_eq!(ErrorCode::from_code(error.code()), Some(*error));
        }
        for code in [i16::MIN, -2, 134, i16::MAX] {
            assert_eq!(ErrorCode::from_code(code), None);
        }
        let error = ErrorCode::NotLeaderOrFollower;
        assert_eq!((error.code(), error.name()), (6, "NOT_LEADER_OR_FOLLOWER"));
    }
}
