//! The feature levels that this code works at (KIP-584).
//!
//! A level is finalised only when all of it works, since clients and later versions of the software act on it. Levels of
//! transactions, share groups and streams come with these. `eligible.leader.replicas.version` is finalised because
//! a node's stop and start are written with it (KIP-966), as Kafka does. `kraft.version` is no record of the metadata log
//! but a control record of the quorum; there is no quorum yet, so it is not finalised, which means level 0.
//!
//! A log that Kafka began has levels of features that are not here. They are [`KEPT`]: Kafka finds them again, clients are
//! not told of them. A level that neither has is the promise of a later version, and such a log is refused.

use std::ops::RangeInclusive;

/// A feature, the levels we can work at, and the level a new log begins with.
#[derive(Clone, Debug)]
pub struct Feature {
    pub name: &'static str,
    pub supported: RangeInclusive<i16>,
    pub initial: i16,
}

/// In the order in which a new log finalises them.
pub const FEATURES: [Feature; 3] = [
    Feature { name: METADATA_VERSION, supported: 30..=30, initial: 30 },
    Feature { name: ELIGIBLE_LEADER_REPLICAS, supported: 1..=1, initial: 1 },
    Feature { name: GROUP_VERSION, supported: 0..=1, initial: 1 },
];

/// Features that are not here, and the levels of Kafka 4.3 that are kept for it.
const KEPT: [(&str, RangeInclusive<i16>); 3] =
    [("transaction.version", 0..=2), ("share.version", 0..=1), ("streams.version", 0..=1)];

/// Decides the versions of all metadata records; 30 is Kafka's 4.3-IV0.
pub const METADATA_VERSION: &str = "metadata.version";

/// From level 1 on the controller keeps track of replicas that could lead though they are not in sync (KIP-966).
pub const ELIGIBLE_LEADER_REPLICAS: &str = "eligible.leader.replicas.version";

/// From level 1 on groups may use the consumer protocol (KIP-848).
pub const GROUP_VERSION: &str = "group.version";

/// Whether clients are told of this feature.
pub(crate) fn is_here(name: &str) -> bool {
    FEATURES.iter().any(|feature| feature.name == name)
}

/// The levels at which a log may be in the end; `None` for a feature that nobody knows.
pub(crate) fn levels_of(name: &str) -> Option<RangeInclusive<i16>> {
    let here = FEATURES.iter().find(|feature| feature.name == name).map(|feature| feature.supported.clone());
    here.or_else(|| KEPT.iter().find(|(kept, _)| *kept == name).map(|(_, levels)| levels.clone()))
}
