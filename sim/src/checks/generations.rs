//! Generations of classic groups.
//!
//! A generation is in the log when its members are told what they own. From then on nobody is told of an older one, nor
//! commits with it. In one generation each log has one owner, and each member has a share that the leader made.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::known::{Eras, Known};
use super::{Wrong, wrong};
use crate::history::{At, Commit, Event, GroupEvent, LogId, Member};

type Generation<'h> = (&'h Arc<str>, i32);

pub fn check(history: &[Event]) -> Result<(), Wrong> {
    let eras = Eras::of(history);
    let mut known: BTreeMap<(&Arc<str>, usize), Known> = BTreeMap::new();
    let mut shares: BTreeMap<Generation<'_>, Vec<&[LogId]>> = BTreeMap::new();
    let mut owners: BTreeMap<(usize, Generation<'_>, LogId), &Member> = BTreeMap::new();
    for (at, event) in history.iter().enumerate() {
        let Event::Group(event) = event else { continue };
        let (asked, group, generation) = match event {
            GroupEvent::Assigned { group, generation, shares: named } => {
                shares.entry((group, *generation)).or_default().extend(named.iter().map(Vec::as_slice));
                continue;
            }
            GroupEvent::Joined { asked, member, generation } | GroupEvent::Synced { asked, member, generation, .. } => {
                (*asked, &member.group, *generation)
            }
            GroupEvent::Committed { sent } => match sent_with(history, *sent) {
                Some(Commit { group, generation: generation @ 0.., .. }) => (*sent, group, *generation),
                _ => continue,
            },
            _ => continue,
        };
        let Some(era) = eras.of_answer(asked, at) else { continue };
        let known = known.entry((group, era)).or_default();
        if let Some(newer) = known.at(asked).filter(|newer| *newer > generation) {
            return wrong(at, format!("{group} was in generation {newer}, and this is of {generation}"));
        }
        let GroupEvent::Synced { member, owned, .. } = event else { continue };
        known.learn(at, generation);
        let shares = shares.get(&(group, generation));
        if !shares.is_some_and(|shares| shares.contains(&owned.as_slice())) {
            return wrong(at, format!("no leader has made that share of generation {generation}"));
        }
        for log in owned {
            let owner = *owners.entry((era, (group, generation), *log)).or_insert(member);
            if owner != member {
                return wrong(at, format!("{log} belongs to {owner} in generation {generation}"));
            }
        }
    }
    Ok(())
}

fn sent_with(history: &[Event], at: At) -> Option<&Commit> {
    match history.get(at) {
        Some(Event::Group(GroupEvent::CommitSent { commit })) => Some(commit),
        _ => None,
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

    fn logs(of: &[Keeps]) -> Vec<LogId> {
        of.iter().map(|of| example::log(*of)).collect()
    }

    fn assigned(generation: i32, shares: &[&[Keeps]]) -> Event {
        let shares = shares.iter().map(|of| logs(of));
        Event::Group(GroupEvent::Assigned { group: "g".into(), generation, shares: shares.collect() })
    }

    fn joined(asked: At, generation: i32) -> Event {
        Event::Group(GroupEvent::Joined { asked, member: member("a"), generation })
    }

    fn synced(asked: At, id: &str, generation: i32, owned: &[Keeps]) -> Event {
        Event::Group(GroupEvent::Synced { asked, member: member(id), generation, owned: logs(owned) })
    }

    /// Generation 2, in which `a` owns the synced log and `b` the cached one, and then these events, from place 4 on.
    fn check_then(keeps: Keeps, events: &[Event]) -> bool {
        let begin = [
            Event::Group(GroupEvent::Settings { keeps }),
            assigned(2, &[&[Keeps::Synced], &[Keeps::Cached]]),
            synced(2, "a", 2, &[Keeps::Synced]),
            synced(2, "b", 2, &[Keeps::Cached]),
        ];
        check(&[&begin, events].concat()).is_ok()
    }

    #[test]
    fn a_generation_that_goes_back_is_found() {
        assert!(check_then(Keeps::Cached, &[joined(4, 2), joined(4, 3)]));
        assert!(check_then(Keeps::Cached, &[joined(2, 1)]), "it was asked for before");
        assert!(!check_then(Keeps::Cached, &[joined(4, 1)]));
        assert!(!check_then(Keeps::Cached, &[Event::Killed, joined(5, 1)]));
        assert!(check_then(Keeps::Cached, &[Event::PowerLost, joined(5, 1)]));
        assert!(!check_then(Keeps::Synced, &[Event::PowerLost, joined(5, 1)]));
        assert!(check_then(Keeps::Cached, &[Event::PowerLost, joined(4, 1)]), "it may have been sent after the loss");
    }

    #[test]
    fn a_generation_that_nobody_has_been_told_the_shares_of_may_be_forgotten() {
        assert!(check_then(Keeps::Cached, &[joined(4, 3), Event::Killed, joined(6, 3)]));
        let other = assigned(3, &[&[Keeps::Synced]]);
        assert!(check_then(Keeps::Cached, &[joined(4, 3), Event::Killed, other, synced(6, "c", 3, &[Keeps::Synced])]));
    }

    #[test]
    fn two_owners_are_found() {
        assert!(!check_then(Keeps::Synced, &[synced(4, "c", 2, &[Keeps::Synced])]));
        let both = [Keeps::Synced, Keeps::Cached];
        assert!(!check_then(Keeps::Synced, &[synced(4, "a", 2, &both)]), "not what the leader says");
        assert!(check_then(Keeps::Synced, &[synced(4, "a", 2, &[Keeps::Synced])]));
    }

    #[test]
    fn a_commit_with_an_old_generation_is_found() {
        let commit = |generation| Commit {
            group: "g".into(),
            log: example::log(Keeps::Synced),
            offset: 1,
            generation,
            has_long_metadata: false,
        };
        let committed = |generation| {
            let sent = GroupEvent::CommitSent { commit: commit(generation) };
            check_then(Keeps::Synced, &[Event::Group(sent), Event::Group(GroupEvent::Committed { sent: 4 })])
        };
        assert_eq!((committed(2), committed(1), committed(-1)), (true, false, true));
    }
}
