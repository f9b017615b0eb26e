//! The classic groups in memory, and how much their members have said of themselves.
//!
//! What a member says when it joins is as large as a request may be, and is kept for as long as its session lasts, whether
//! or not its connection does. So it is counted over all groups of a coordinator, and there is a limit.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Group;

/// So many bytes of all members. Those of a group must fit into one record, of [`Config::batch_bytes_max`], so these are
/// many groups.
///
/// [`Config::batch_bytes_max`]: crate::Config::batch_bytes_max
pub(super) const MEMBERS_BYTES_MAX: usize = 64 << 20;

#[derive(Debug, Default)]
pub(crate) struct Alive {
    groups: BTreeMap<Arc<str>, Group>,
    /// Of the members of these groups.
    bytes: usize,
}

impl Alive {
    pub(crate) fn get(&self, id: &str) -> Option<&Group> {
        self.groups.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn insert(&mut self, group: Group) {
        let id = group.id.clone();
        self.remove(&id);
        self.bytes += group.bytes();
        self.groups.insert(id, group);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Group> {
        let group = self.groups.remove(id)?;
        self.bytes -= group.bytes();
        Some(group)
    }
}
