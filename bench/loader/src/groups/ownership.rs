//! Who owns which partition, as the members see it.
//!
//! A member lets go of a partition when it is told to, before it says so; so nobody else may be told to own it earlier, and
//! no partition has two owners at any moment.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};

use crate::kafka::groups::Assignment;

#[derive(Debug)]
pub struct Ownership {
    /// By partition.
    owners: Vec<Option<usize>>,
    members: Vec<Member>,
}

#[derive(Clone, Debug, Default)]
struct Member {
    epoch: i32,
    owns: Assignment,
}

impl Ownership {
    pub fn new(members: usize, partitions: usize) -> Ownership {
        Ownership { owners: vec![None; partitions], members: vec![Member::default(); members] }
    }

    /// The epoch that the member was told last, 0 before it has joined.
    pub fn epoch(&self, member: usize) -> i32 {
        self.members[member].epoch
    }

    pub fn owned(&self, member: usize) -> &Assignment {
        &self.members[member].owns
    }

    pub fn set_epoch(&mut self, member: usize, epoch: i32) {
        self.members[member].epoch = epoch;
    }

    /// The member owns this and nothing else from now on. Says whether that is news, which it has to acknowledge. Fails where
    /// another owns a part of it.
    pub fn assign(&mut self, member: usize, owns: Assignment) -> anyhow::Result<bool> {
        if self.members[member].owns.partitions == owns.partitions {
            return Ok(false);
        }
        for partition in &self.members[member].owns.partitions {
            self.owners[*partition as usize] = None;
        }
        for partition in &owns.partitions {
            let owner = self.owners.get_mut(*partition as usize);
            let owner = owner.with_context(|| format!("there is no partition {partition}"))?;
            ensure!(owner.is_none(), "partition {partition} was given to {member}, and {owner:?} owns it");
            *owner = Some(member);
        }
        self.members[member].owns = owns;
        Ok(true)
    }

    /// Whether every member has the same epoch and its fair share, and every partition an owner. Before all have joined,
    /// members agree as well, but their shares are not fair.
    pub fn is_settled(&self) -> bool {
        let share = self.owners.len() / self.members.len();
        let has_share = |member: &Member| (share..=share + 1).contains(&member.owns.partitions.len());
        let epochs: BTreeSet<i32> = self.members.iter().map(|member| member.epoch).collect();
        epochs.len() == 1 && self.members.iter().all(has_share) && self.owners.iter().all(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owns(partitions: &[i32]) -> Assignment {
        Assignment { topic: [1; 16], partitions: partitions.to_vec() }
    }

    /// Two members in epoch 2, and three partitions, of which they own these.
    fn told(first: &[i32], second: &[i32]) -> Ownership {
        let mut ownership = Ownership::new(2, 3);
        for (member, partitions) in [first, second].into_iter().enumerate() {
            ownership.set_epoch(member, 2);
            ownership.assign(member, owns(partitions)).unwrap();
        }
        ownership
    }

    #[test]
    fn a_group_is_settled_when_all_agree_and_all_is_shared() {
        assert!(told(&[0], &[2, 1]).is_settled());
        assert!(!told(&[0], &[1]).is_settled(), "nobody owns partition 2");
        assert!(!told(&[0, 1, 2], &[]).is_settled(), "as it is before the second is given anything");
        let mut behind = told(&[0], &[2, 1]);
        behind.set_epoch(0, 1);
        assert!(!behind.is_settled());
    }

    #[test]
    fn a_partition_has_one_owner() {
        let mut ownership = told(&[0, 1], &[2]);
        let error = ownership.assign(1, owns(&[1, 2])).unwrap_err();
        assert_eq!(error.to_string(), "partition 1 was given to 1, and Some(0) owns it");
        let mut ownership = told(&[0, 1], &[2]);
        assert!(ownership.assign(0, owns(&[0])).unwrap());
        assert!(ownership.assign(1, owns(&[1, 2])).unwrap());
        assert!(!ownership.assign(1, owns(&[1, 2])).unwrap(), "no news");
        assert!(ownership.assign(1, owns(&[3])).is_err());
    }
}
