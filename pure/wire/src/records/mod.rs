//! Records that Kafka writes for itself: what stands in a record's key and value, in front of the fields.
//!
//! - `__cluster_metadata`: no key; the value says its frame version, record id and version ([`MetadataRecord`]).
//! - The topics of coordinators: the key begins with the record id, the value with its version ([`ConsumerOffsetsRecord`],
//!   [`TransactionStateRecord`], [`ShareGroupStateRecord`]).
//! - Control batches of any topic: the key says the type, the value begins with its version ([`ControlRecord`]).
//! - What consumers of the classic protocol tell one another goes through brokers unread, except when a group changes to
//!   the new protocol: a version and the fields ([`consumer_protocol`]).

pub mod consumer_offsets;
pub mod consumer_protocol;
pub mod control;
mod control_record;
mod coordinator;
pub mod metadata;
mod metadata_frame;
pub mod share_group_state;
pub mod transaction_state;

pub use consumer_offsets::ConsumerOffsetsRecord;
pub use control_record::ControlRecord;
pub use coordinator::{CoordinatorRecord, decode_versioned, encode_versioned};
pub use metadata::*;
pub use share_group_state::ShareGroupStateRecord;
pub use transaction_state::TransactionStateRecord;
