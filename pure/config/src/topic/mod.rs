//! The keys of a topic: every one of Kafka 4.3.1, an area a file.

pub(crate) mod cleanup;
pub(crate) mod log;
pub(crate) mod message;
mod remote;
pub(crate) mod replication;

use crate::key::{Def, Scope, Synonym};

const AREAS: [&[Def]; 5] = [log::TABLE, message::TABLE, cleanup::TABLE, replication::TABLE, remote::TABLE];

/// All topic keys, area by area.
pub fn all() -> impl Iterator<Item = &'static Def> {
    AREAS.into_iter().flatten()
}

pub fn find(name: &str) -> Option<&'static Def> {
    all().find(|def| def.name == name)
}

/// The broker keys that give the default of a topic key.
pub(crate) fn synonyms(def: &'static Def) -> &'static [Synonym] {
    match def.scope {
        Scope::Topic(synonyms) => synonyms,
        _ => &[],
    }
}
