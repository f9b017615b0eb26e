//! In a consumer group a log has one owner at any time, and epochs do not go back.
//!
//! A member owns a log from the answer that gives it until it has sent a heartbeat that does not list it any more, or until
//! the coordinator may have taken it for dead.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::known::{Eras, Known};
use super::{Wrong, wrong};
use crate::history::{At, Epoch, Event, GroupEvent, LogId, Member, Term};

/// Who owns a log, and how long at least.
#[derive(Clone, Copy, Debug)]
struct Owner<'h> {
    member: &'h Member,
    until_ms: i64,
    since: At,
}

#[derive(Debug, Default)]
struct Groups<'h> {
    owners: BTreeMap<(&'h Arc<str>, LogId), Owner<'h>>,
    /// Of the members.
    epochs: BTreeMap<&'h Member, i32>,
    /// Of the groups, in each era.
    known: BTreeMap<(&'h Arc<str>, usize), Known>,
}

pub fn check(history: &[Event]) -> Result<(), Wrong> {
    let eras = Eras::of(history);
    let mut groups = Groups::default();
    let mut era = 0;
    for (at, event) in history.iter().enumerate() {
        if eras.at(at) != era {
            // Whoever owned something may not have it any more, and not know it. And a member may have joined anew in a request
            // of which nobody knows when it was served.
            era = eras.at(at);
            groups.owners.clear();
            groups.epochs.clear();
        }
        let Event::Group(event) = event else { continue };
        match event {
            GroupEvent::Kept { member, logs } => {
                groups.owners.retain(|(_, log), owner| owner.member != member || logs.contains(log));
            }
            GroupEvent::Owned { asked, member, epoch, given, logs, term } => {
                if let Some(era) = eras.of_answer(*asked, at) {
                    groups.check_epoch(at, (*asked, era), member, *epoch)?;
                    groups.own(at, member, (given, logs), *term)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

impl<'h> Groups<'h> {
    fn check_epoch(
        &mut self,
        at: At,
        (asked, era): (At, usize),
        member: &'h Member,
        epoch: Epoch,
    ) -> Result<(), Wrong> {
        let known = self.known.entry((&member.group, era)).or_default();
        let (epoch, least) = match epoch {
            Epoch::Joined(epoch) => (epoch, known.at(asked)),
            Epoch::Stayed(epoch) => (epoch, self.epochs.get(member).copied()),
        };
        if let Some(least) = least.filter(|least| *least > epoch) {
            return wrong(at, format!("{member} is at epoch {epoch}, and {least} was known"));
        }
        known.learn(at, epoch);
        self.epochs.insert(member, epoch);
        Ok(())
    }

    fn own(
        &mut self,
        at: At,
        member: &'h Member,
        (given, logs): (&[LogId], &[LogId]),
        term: Term,
    ) -> Result<(), Wrong> {
        if term.until_ms <= term.now_ms {
            // The answer has come too late.
            return Ok(());
        }
        for log in logs {
            let before = self.owners.get(&(&member.group, *log));
            let is_its_own = before.is_some_and(|owner| owner.member == member);
            if !is_its_own && !given.contains(log) {
                // The member has it from the time before a loss, and has not heard yet that it is gone.
                continue;
            }
            if let Some(Owner { member: other, since, .. }) =
                before.filter(|owner| !is_its_own && owner.until_ms > term.now_ms)
            {
                return wrong(at, format!("{other} owns {log} of {member} (event {since})"));
            }
            self.owners.insert((&member.group, *log), Owner { member, until_ms: term.until_ms, since: at });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::example;
    use crate::history::Keeps;

    fn member(id: &str) -> Member {
        Member { group: "g".into(), id: id.into() }
    }

    fn log() -> LogId {
        example::log(Keeps::Synced)
    }

    /// Owns the log for 100 ms, or nothing.
    fn owned(asked: At, id: &str, epoch: Epoch, now_ms: i64, logs: &[LogId]) -> Event {
        owned_for(100, asked, id, epoch, now_ms, logs)
    }

    fn owned_for(ms: i64, asked: At, id: &str, epoch: Epoch, now_ms: i64, logs: &[LogId]) -> Event {
        let term = Term { now_ms, until_ms: now_ms + ms };
        let (given, logs) = (logs.to_vec(), logs.to_vec());
        Event::Group(GroupEvent::Owned { asked, member: member(id), epoch, given, logs, term })
    }

    fn kept(id: &str, logs: &[LogId]) -> Event {
        Event::Group(GroupEvent::Kept { member: member(id), logs: logs.to_vec() })
    }

    fn check_all(keeps: Keeps, events: &[Event]) -> bool {
        check(&[&[Event::Group(GroupEvent::Settings { keeps })], events].concat()).is_ok()
    }

    #[test]
    fn two_owners_are_found() {
        let a = owned(0, "a", Epoch::Joined(1), 1000, &[log()]);
        let b = |now_ms| owned(2, "b", Epoch::Joined(2), now_ms, &[log()]);
        assert!(!check_all(Keeps::Synced, &[a.clone(), b(1099)]));
        assert!(check_all(Keeps::Synced, &[a.clone(), b(1100)]), "it may be taken for dead");
        assert!(check_all(Keeps::Synced, &[a.clone(), kept("a", &[]), b(1050)]));
        assert!(!check_all(Keeps::Synced, &[a.clone(), kept("a", &[log()]), b(1050)]));
        assert!(!check_all(Keeps::Synced, &[a.clone(), Event::Killed, b(1050)]));
        assert!(!check_all(Keeps::Synced, &[a.clone(), Event::PowerLost, b(1050)]));
        assert!(check_all(Keeps::Cached, &[a.clone(), Event::PowerLost, b(1050)]));
        let late = owned_for(-1, 2, "b", Epoch::Joined(2), 1050, &[log()]);
        assert!(check_all(Keeps::Synced, &[a.clone(), late.clone()]), "an answer that comes too late gives nothing");
        assert!(!check_all(Keeps::Synced, &[a, late, owned(3, "c", Epoch::Joined(2), 1050, &[log()])]));
    }

    #[test]
    fn what_was_given_before_a_loss_is_not_owned_any_more() {
        let a = owned(0, "a", Epoch::Joined(1), 1000, &[log()]);
        let mut again = owned(3, "a", Epoch::Stayed(1), 1010, &[log()]);
        let b = owned(4, "b", Epoch::Joined(2), 1020, &[log()]);
        let check_again =
            |again: &Event| check_all(Keeps::Cached, &[a.clone(), Event::PowerLost, again.clone(), b.clone()]);
        assert!(!check_again(&again));
        let Event::Group(GroupEvent::Owned { given, .. }) = &mut again else { panic!() };
        given.clear();
        assert!(check_again(&again));
        assert!(!check_all(Keeps::Synced, &[a.clone(), Event::PowerLost, again, b.clone()]));
    }

    #[test]
    fn an_epoch_that_goes_back_is_found() {
        let a = |epoch| owned(1, "a", epoch, 1000, &[]);
        assert!(check_all(Keeps::Synced, &[a(Epoch::Joined(3)), a(Epoch::Stayed(3))]));
        assert!(!check_all(Keeps::Synced, &[a(Epoch::Joined(3)), a(Epoch::Stayed(2))]));
        let b = |asked, epoch| owned(asked, "b", Epoch::Joined(epoch), 1000, &[]);
        assert!(check_all(Keeps::Synced, &[a(Epoch::Joined(3)), b(1, 2)]), "it was asked for before");
        assert!(!check_all(Keeps::Synced, &[a(Epoch::Joined(3)), b(2, 2)]));
        assert!(check_all(Keeps::Cached, &[a(Epoch::Joined(3)), Event::PowerLost, b(3, 2)]));
        let stays = owned(3, "a", Epoch::Stayed(2), 1000, &[]);
        let joins_across = [a(Epoch::Joined(3)), Event::PowerLost, owned(1, "a", Epoch::Joined(2), 1000, &[]), stays];
        assert!(check_all(Keeps::Cached, &joins_across), "nobody knows whether that was before the loss");
    }
}
