//! How large an answer may become that repeats what others have stored.
//!
//! A few bytes of a request can ask for megabytes, and can ask again and again. Beyond the limit the rest is refused, and can
//! be asked for in another request.

use ottla_wire::ErrorCode;

/// Bytes of such an answer, about.
pub const ANSWER_BYTES_MAX: usize = 32 << 20;

#[derive(Debug)]
pub struct AnswerRoom {
    bytes: usize,
}

impl Default for AnswerRoom {
    fn default() -> AnswerRoom {
        AnswerRoom { bytes: ANSWER_BYTES_MAX }
    }
}

impl AnswerRoom {
    pub fn take(&mut self, bytes: usize) -> Result<(), ErrorCode> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(ErrorCode::InvalidRequest)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_what_is_smaller_may_fit() {
        let mut room = AnswerRoom::default();
        assert_eq!(room.take(ANSWER_BYTES_MAX - 1), Ok(()));
        assert_eq!(room.take(2), Err(ErrorCode::InvalidRequest));
        assert_eq!(room.take(1), Ok(()));
        assert_eq!(room.take(1), Err(ErrorCode::InvalidRequest));
    }
}
