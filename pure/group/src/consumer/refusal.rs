//! Why a request to a consumer group is refused: an error, and words for whoever reads the client's log.

use ottla_wire::ErrorCode;

use crate::room::Lack;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }

    pub(crate) fn unknown_member(group: &str, member: &str) -> Refusal {
        Refusal::new(ErrorCode::UnknownMemberId, format!("Member {member} is not a member of group {group}."))
    }

    pub(crate) fn no_group(group: &str) -> Refusal {
        Refusal::new(ErrorCode::GroupIdNotFound, format!("Consumer group {group} not found."))
    }
}

impl From<Lack> for Refusal {
    /// What Kafka says when the log refuses the batch.
    fn from(_: Lack) -> Refusal {
        Refusal::new(ErrorCode::UnknownServerError, "What the group has to write does not fit into a batch of the log.")
    }
}
