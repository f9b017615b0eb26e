//! The keys of a group: every one of Kafka 4.3.1, a kind of groups a file.
//!
//! A group takes the keys of all kinds, whatever it is, and even if it is not there yet.

pub(crate) mod consumer;
pub(crate) mod share;
pub(crate) mod streams;

use crate::key::{Def, FREE, GovernedBy, Scope};

const KINDS: [&[Def]; 3] = [consumer::TABLE, share::TABLE, streams::TABLE];

/// All group keys, kind by kind.
pub fn all() -> impl Iterator<Item = &'static Def> {
    KINDS.into_iter().flatten()
}

pub fn find(name: &str) -> Option<&'static Def> {
    all().find(|def| def.name == name)
}

/// The broker keys behind a group key.
pub(crate) fn governed_by(def: &Def) -> GovernedBy {
    match def.scope {
        Scope::Group(governed_by) => governed_by,
        _ => FREE,
    }
}
