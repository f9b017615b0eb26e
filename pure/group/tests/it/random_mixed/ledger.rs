//! What the log says of the group, followed by somebody else and held to what must be true of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_group::Record;
use ottla_wire::records::consumer_offsets::{ConsumerGroupCurrentMemberAssignmentValue, GroupMetadataValue};

use super::client::{Place, name};

/// What kind of group there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    #[default]
    Nothing,
    Classic,
    Consumer,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub form: Form,
    /// The generation of a classic group, or the epoch of a consumer group.
    pub epoch: i32,
    /// Whether the classic group has members.
    pub has_classic: bool,
    /// Of a consumer group.
    pub members: BTreeMap<Arc<str>, Member>,
}

#[derive(Debug, Default)]
pub struct Member {
    pub is_classic: bool,
    pub epoch: i32,
    pub owned: BTreeSet<Place>,
}

impl Ledger {
    /// Takes the records of one step.
    pub fn follow(&mut self, records: &[(i64, Record)]) {
        for (_, record) in records {
            self.follow_one(record);
        }
        let mut owners = BTreeMap::new();
        for (id, member) in &self.members {
            for place in &member.owned {
                let other = owners.insert(*place, id);
                assert_eq!(other, None, "{id} owns {place:?} too: {records:?}");
            }
        }
    }

    fn follow_one(&mut self, record: &Record) {
        match record {
            Record::GroupMetadata(_, Some(value)) => self.is_classic(value),
            Record::GroupMetadata(_, None) | Record::ConsumerGroupMetadata(_, None) => {
                self.form = Form::Nothing;
                assert!(self.members.is_empty(), "members of nothing");
            }
            Record::ConsumerGroupMetadata(_, Some(value)) => {
                let is_over = self.form == Form::Nothing && !self.has_classic;
                let has_risen = match self.form {
                    Form::Nothing => value.epoch >= self.epoch,
                    Form::Consumer => value.epoch > self.epoch,
                    Form::Classic => panic!("a consumer group beside a classic one"),
                };
                assert!(is_over || has_risen, "epoch {} after {}", value.epoch, self.epoch);
                (self.form, self.epoch, self.has_classic) = (Form::Consumer, value.epoch, false);
            }
            Record::ConsumerGroupTargetAssignmentMetadata(_, Some(value)) => {
                assert_eq!(value.assignment_epoch, self.epoch, "a target is that of the last epoch");
            }
            Record::ConsumerGroupMemberMetadata(key, Some(value)) => {
                let member = self.members.entry(key.member_id.clone()).or_default();
                member.is_classic = value.classic_member_metadata.is_some();
            }
            Record::ConsumerGroupMemberMetadata(key, None) => {
                self.members.remove(&key.member_id);
            }
            Record::ConsumerGroupCurrentMemberAssignment(key, value) => {
                let member = self.members.get_mut(&key.member_id).expect("a member says who it is before it owns");
                member.now(value.as_ref());
            }
            Record::OffsetCommit(_, None) => panic!("nobody has deleted offsets"),
            _ => {}
        }
    }

    fn is_classic(&mut self, value: &GroupMetadataValue) {
        let has_members = !value.members.is_empty();
        // A group that has just begun may follow one in which there was nobody.
        let is_new = value.generation == 0 && !has_members;
        assert!(is_new || value.generation >= self.epoch, "generation {} after {}", value.generation, self.epoch);
        (self.form, self.epoch, self.has_classic) = (Form::Classic, value.generation, has_members);
    }

    /// Whether it is a consumer group in which nobody speaks the consumer protocol.
    pub fn is_left_to_classic(&self) -> bool {
        !self.members.is_empty() && self.members.values().all(|member| member.is_classic)
    }
}

impl Member {
    fn now(&mut self, value: Option<&ConsumerGroupCurrentMemberAssignmentValue>) {
        let Some(value) = value else {
            self.owned.clear();
            return;
        };
        let has_risen = value.member_epoch >= self.epoch || value.member_epoch == -2;
        assert!(has_risen, "epoch {} of a member after {}", value.member_epoch, self.epoch);
        self.epoch = value.member_epoch;
        let topics = value.assigned_partitions.iter().chain(&value.partitions_pending_revocation);
        self.owned = topics.flat_map(|topic| topic.partitions.iter().map(|p| (name(&topic.topic_id), *p))).collect();
    }
}
