//! How large an answer may become that repeats what others have stored.
//!
//! A few bytes of a request can ask for megabytes, and can ask again and again. Beyond the limit the rest is refused, and can
//! be asked for in another request.

use ottla_wire::ErrorCode;

/// Bytes of such an answer, about.
pub const ANSWER_BYTES_MAX: usize = 32 << 20;

#[derive(Debug)]
pub struct AnswerRoom {
    /// `None` once something did not fit.
    bytes: Option<usize>,
}

impl Default for AnswerRoom {
    fn default() -> AnswerRoom {
        AnswerRoom { bytes: Some(ANSWER_BYTES_MAX) }
    }
}

impl AnswerRoom {
    /// Whether it is worth while to make more of the answer.
    pub fn check(&self) -> Result<(), ErrorCode> {
        self.bytes.map(|_| ()).ok_or(ErrorCode::InvalidRequest)
    }

    pub fn take(&mut self, bytes: usize) -> Result<(), ErrorCode> {
        self.bytes = self.bytes.and_then(|left| left.checked_sub(bytes));
        self.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_so_is_all_behind_it() {
        let mut room = AnswerRoom::default();
        assert_eq!(room.take(ANSWER_BYTES_MAX - 1), Ok(()));
        assert_eq!(room.check(), Ok(()));
        assert_eq!(room.take(2), Err(ErrorCode::InvalidRequest));
        assert_eq!(room.check(), Err(ErrorCode::InvalidRequest));
        assert_eq!(room.take(1), Err(ErrorCode::InvalidRequest));
    }
}
