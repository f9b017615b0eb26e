//! The members of a group, in the order in which they came.
//!
//! The order decides who becomes leader. Members are found by id and, those that are static, by the name that they keep
//! over restarts (KIP-345). How many are joining and how many can go by each protocol is counted along: with every join
//! of a thousand members somebody wants to know.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ottla_machine::Waiter;
use ottla_wire::records::consumer_offsets::MemberMetadata;

/// A way of assigning that a member can go by, and what the leader needs to know of the member for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Protocol {
    pub(super) name: Arc<str>,
    pub(super) metadata: Bytes,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: Arc<str>,
    /// The name of a static member.
    pub(super) instance_id: Option<Arc<str>>,
    pub(super) client_id: Arc<str>,
    pub(super) client_host: Arc<str>,
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
    /// In the order of the member's preference, each name once.
    protocols: Vec<Protocol>,
    /// What the leader gave it.
    pub(super) assignment: Bytes,
    /// It has not been in a generation yet, so it does not know its id and cannot send heartbeats.
    pub(super) is_new: bool,
    /// Who waits for the answer to its JoinGroup.
    joining: Option<Waiter>,
    /// Who waits for the answer to its SyncGroup.
    pub(super) syncing: Option<Waiter>,
}

/// What a member says of itself when it joins.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) protocols: Vec<Protocol>,
    pub(super) asker: Waiter,
}

/// Each member stands in the maps by its id and, if it has one, by its instance id.
#[derive(Debug, Default)]
pub(super) struct Roster {
    by_place: BTreeMap<u64, Member>,
    places: BTreeMap<Arc<str>, u64>,
    instances: BTreeMap<Arc<str>, Arc<str>>,
    next_place: u64,
    joining: usize,
    /// Of what members say of themselves.
    bytes: usize,
    /// By protocol.
    supporters: BTreeMap<Arc<str>, usize>,
}

impl Member {
    pub(super) fn new(
        id: Arc<str>,
        instance_id: Option<Arc<str>>,
        client: (Arc<str>, Arc<str>),
        joining: Joining,
    ) -> Member {
        let (client_id, client_host) = client;
        Member {
            id,
            instance_id,
            client_id,
            client_host,
            session_timeout_ms: joining.session_timeout_ms,
            rebalance_timeout_ms: joining.rebalance_timeout_ms,
            protocols: joining.protocols,
            assignment: Bytes::new(),
            is_new: true,
            joining: Some(joining.asker),
            syncing: None,
        }
    }

    pub(super) fn restored(member: &MemberMetadata, protocol: Protocol) -> Member {
        Member {
            id: member.member_id.clone(),
            instance_id: member.group_instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: member.session_timeout,
            // Records of before 0.10.1 do not have it.
            rebalance_timeout_ms: match member.rebalance_timeout {
                -1 => member.session_timeout,
                rebalance_timeout => rebalance_timeout,
            },
            protocols: vec![protocol],
            assignment: member.assignment.clone(),
            is_new: false,
            joining: None,
            syncing: None,
        }
    }

    pub(super) fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    pub(super) fn is_joining(&self) -> bool {
        self.joining.is_some()
    }

    pub(super) fn protocols(&self) -> &[Protocol] {
        &self.protocols
    }

    /// Of what the member says of itself. What it is assigned is in a record.
    fn bytes(&self) -> usize {
        let names = [Some(&self.id), self.instance_id.as_ref(), Some(&self.client_id), Some(&self.client_host)];
        let names = names.into_iter().flatten().map(|name| name.len());
        let protocols = self.protocols.iter().map(|protocol| protocol.name.len() + protocol.metadata.len());
        names.chain(protocols).sum()
    }

    /// Empty for a protocol that the member does not know.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|known| *known.name == *protocol);
        found.map(|protocol| protocol.metadata.clone()).unwrap_or_default()
    }
}

impl Roster {
    pub(super) fn len(&self) -> usize {
        self.by_place.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    /// In the order in which they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_place.values()
    }

    pub(super) fn ids(&self) -> Vec<Arc<str>> {
        self.iter().map(|member| member.id.clone()).collect()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Member> {
        self.by_place.get(self.places.get(id)?)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.by_place.get_mut(self.places.get(id)?)
    }

    /// The id of the member that has this name.
    pub(super) fn of_instance(&self, instance_id: &str) -> Option<&Arc<str>> {
        self.instances.get(instance_id)
    }

    /// How many wait for the answer to their JoinGroup.
    pub(super) fn joining(&self) -> usize {
        self.joining
    }

    /// Whether all members can go by the protocol.
    pub(super) fn all_support(&self, protocol: &str) -> bool {
        self.supporters.get(protocol).copied().unwrap_or(0) == self.len()
    }

    /// The longest time that a member wants to have for joining.
    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        self.iter().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0).into()
    }

    /// Adds a member, in the place of the one that has its id, should a log say so.
    pub(super) fn insert(&mut self, member: Member) {
        self.remove(&member.id);
        let place = self.next_place;
        self.next_place += 1;
        if let Some(instance) = &member.instance_id {
            self.instances.insert(instance.clone(), member.id.clone());
        }
        self.count(&member);
        self.places.insert(member.id.clone(), place);
        self.by_place.insert(place, member);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.by_place.remove(&self.places.remove(id)?)?;
        if let Some(instance) = &member.instance_id {
            self.instances.remove(instance);
        }
        self.discount(&member);
        Some(member)
    }

    /// A member joins again. Who waited for its last JoinGroup does so in vain, and is given back.
    pub(super) fn join(&mut self, id: &str, joining: Joining) -> Option<Waiter> {
        let mut member = self.by_place.remove(self.places.get(id)?)?;
        self.discount(&member);
        let before = member.joining.replace(joining.asker);
        member.session_timeout_ms = joining.session_timeout_ms;
        member.rebalance_timeout_ms = joining.rebalance_timeout_ms;
        member.protocols = joining.protocols;
        self.count(&member);
        self.by_place.insert(self.places[id], member);
        before
    }

    /// Tells what else than the protocol of its generation a member can go by: the log does not say that.
    pub(super) fn learn(&mut self, id: &str, protocols: Vec<Protocol>) {
        let Some(mut member) = self.places.get(id).and_then(|place| self.by_place.remove(place)) else { return };
        self.discount(&member);
        member.protocols = protocols;
        self.count(&member);
        self.by_place.insert(self.places[id], member);
    }

    /// Takes the asker that waits for the answer to the member's JoinGroup.
    pub(super) fn joined(&mut self, id: &str) -> Option<Waiter> {
        let waiter = self.get_mut(id)?.joining.take()?;
        self.joining -= 1;
        Some(waiter)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn count(&mut self, member: &Member) {
        self.bytes += member.bytes();
        self.joining += usize::from(member.is_joining());
        for protocol in &member.protocols {
            *self.supporters.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    fn discount(&mut self, member: &Member) {
        self.bytes -= member.bytes();
        self.joining -= usize::from(member.is_joining());
        for protocol in &member.protocols {
            let count = self.supporters.get_mut(&protocol.name).expect("it was counted when the member came");
            *count -= 1;
            if *count == 0 {
                self.supporters.remove(&protocol.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_names_a_member_twice_has_the_last() {
        let mut roster = Roster::default();
        for client_id in ["first", "last"] {
            let recorded = MemberMetadata { member_id: "m".into(), client_id: client_id.into(), ..Default::default() };
            let protocol = Protocol { name: "range".into(), metadata: Bytes::new() };
            roster.insert(Member::restored(&recorded, protocol));
        }
        let clients: Vec<&str> = roster.iter().map(|member| &*member.client_id).collect();
        assert_eq!((clients, roster.len(), roster.all_support("range")), (vec!["last"], 1, true));
    }
}
