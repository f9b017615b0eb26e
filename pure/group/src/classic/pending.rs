//! Ids that were given to members which have not joined yet.

use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Pending {
    ids: BTreeSet<Arc<str>>,
    bytes: usize,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn insert(&mut self, id: Arc<str>) {
        let bytes = id.len();
        self.bytes += if self.ids.insert(id) { bytes } else { 0 };
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        let was_there = self.ids.remove(id);
        self.bytes -= if was_there { id.len() } else { 0 };
        was_there
    }

    pub(super) fn into_ids(self) -> BTreeSet<Arc<str>> {
        self.ids
    }
}
