//! What a group has committed for a log is what was committed last.
//!
//! Nobody knows when exactly a commit is done between being sent and being acknowledged, and one that is not acknowledged
//! may be done as long as the process lives. But who reads gets nothing that was certainly overwritten before it asked, and
//! nothing that was never sent or certainly refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_wire::ErrorCode;

use super::known::keeps;
use super::logs::Losses;
use super::{Wrong, wrong};
use crate::history::{At, Commit, Event, Found, GroupEvent, Keeps, LogId};

type Key<'h> = (&'h Arc<str>, LogId);

/// One that was sent.
#[derive(Debug)]
struct Sent<'h> {
    commit: &'h Commit,
    at: At,
    /// After that it is not done if it was not before.
    over: At,
    /// It was done by then: it was acknowledged, or read.
    known: Option<At>,
    is_refused: bool,
}

pub fn check(history: &[Event]) -> Result<(), Wrong> {
    let losses = Losses::of(history);
    let keeps = keeps(history);
    let mut sent = commits(history)?;
    for (at, event) in history.iter().enumerate() {
        let Event::Group(GroupEvent::CommitRead { asked, group, log, found }) = event else { continue };
        let commits = sent.entry((group, *log)).or_default();
        let read = match found {
            None => None,
            Some(Found { sent, offset }) => {
                let Some(place) = commits.iter().position(|commit| commit.at == *sent && commit.at < at) else {
                    return wrong(at, format!("{group} has {offset} for {log}, which nobody has committed"));
                };
                if commits[place].commit.offset != *offset {
                    return wrong(at, format!("{} was committed for {log}", commits[place].commit.offset));
                }
                if commits[place].is_refused {
                    return wrong(at, format!("what event {sent} says was refused, and is done"));
                }
                Some(place)
            }
        };
        let over = read.map_or(0, |place| commits[place].over);
        let overwritten = commits.iter().find(|later| {
            let is_later = read.is_none() || over < later.at;
            let may_be_lost = |known| keeps == Keeps::Cached && losses.may_have_taken(later.at, known, at);
            is_later && later.known.is_some_and(|known| known < *asked && !may_be_lost(known))
        });
        if let Some(later) = overwritten {
            let (offset, known) = (later.commit.offset, later.known.unwrap_or(at));
            return wrong(at, format!("{group} had {offset} for {log} by then (event {known})"));
        }
        if let Some(place) = read {
            commits[place].known.get_or_insert(at);
        }
    }
    Ok(())
}

/// All commits of each group and log, in the order in which they were sent, and what became of them.
fn commits(history: &[Event]) -> Result<BTreeMap<Key<'_>, Vec<Sent<'_>>>, Wrong> {
    let mut all: BTreeMap<Key<'_>, Vec<Sent<'_>>> = BTreeMap::new();
    let mut keys = BTreeMap::new();
    // Those of which nobody knows what becomes, until the process ends.
    let mut given_up: Vec<At> = Vec::new();
    for (at, event) in history.iter().enumerate() {
        let (sent, refused) = match event {
            Event::Stopped | Event::Killed | Event::PowerLost => {
                for sent in given_up.drain(..) {
                    find(&mut all, &keys, sent, at)?.over = at;
                }
                continue;
            }
            Event::Group(GroupEvent::CommitSent { commit }) => {
                keys.insert(at, (&commit.group, commit.log));
                let sent = Sent { commit, at, over: At::MAX, known: None, is_refused: false };
                all.entry((&commit.group, commit.log)).or_default().push(sent);
                continue;
            }
            Event::Group(GroupEvent::CommitGivenUp { sent }) => {
                given_up.push(*sent);
                continue;
            }
            Event::Group(GroupEvent::Committed { sent }) => (*sent, None),
            Event::Group(GroupEvent::CommitRefused { sent, error }) => (*sent, Some(*error)),
            _ => continue,
        };
        let commit = find(&mut all, &keys, sent, at)?;
        commit.over = at;
        match refused {
            Some(error) if !may_refuse(commit.commit, error) => return wrong(at, format!("{error} has no reason")),
            Some(_) => commit.is_refused = true,
            None if commit.commit.has_long_metadata => return wrong(at, "its metadata is too long"),
            None => commit.known = Some(at),
        }
    }
    Ok(all)
}

fn find<'a, 'h>(
    all: &'a mut BTreeMap<Key<'h>, Vec<Sent<'h>>>,
    keys: &BTreeMap<At, Key<'h>>,
    sent: At,
    at: At,
) -> Result<&'a mut Sent<'h>, Wrong> {
    let commits = keys.get(&sent).and_then(|key| all.get_mut(key));
    let commit = commits.and_then(|commits| commits.iter_mut().find(|commit| commit.at == sent));
    commit.ok_or_else(|| Wrong { at, what: "nobody has sent this commit".to_owned() })
}

fn may_refuse(commit: &Commit, error: ErrorCode) -> bool {
    match error {
        ErrorCode::CoordinatorLoadInProgress => true,
        ErrorCode::OffsetMetadataTooLarge => commit.has_long_metadata,
        ErrorCode::UnknownMemberId
        | ErrorCode::IllegalGeneration
        | ErrorCode::RebalanceInProgress
        | ErrorCode::StaleMemberEpoch
        | ErrorCode::FencedInstanceId
        // There is more to say of that one (`refusals`).
        | ErrorCode::GroupIdNotFound => commit.generation >= 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::example;

    const LOG: Keeps = Keeps::Synced;

    fn settings(keeps: Keeps) -> Event {
        Event::Group(GroupEvent::Settings { keeps })
    }

    fn sent(offset: i64) -> Event {
        let commit =
            Commit { group: "g".into(), log: example::log(LOG), offset, generation: -1, has_long_metadata: offset < 0 };
        Event::Group(GroupEvent::CommitSent { commit })
    }

    fn done(sent: At) -> Event {
        Event::Group(GroupEvent::Committed { sent })
    }

    fn refused(sent: At, error: ErrorCode) -> Event {
        Event::Group(GroupEvent::CommitRefused { sent, error })
    }

    fn read(asked: At, found: Option<(At, i64)>) -> Event {
        let found = found.map(|(sent, offset)| Found { sent, offset });
        Event::Group(GroupEvent::CommitRead { asked, group: "g".into(), log: example::log(LOG), found })
    }

    #[track_caller]
    fn check_all(is_well: bool, events: &[Event]) {
        for keeps in [Keeps::Synced, Keeps::Cached] {
            assert_eq!(check(&[&[settings(keeps)], events].concat()).is_ok(), is_well, "{keeps:?}");
        }
    }

    #[test]
    fn what_is_acknowledged_is_read() {
        check_all(true, &[sent(5), done(1), read(3, Some((1, 5)))]);
        check_all(false, &[sent(5), done(1), read(3, None)]);
        check_all(false, &[sent(5), done(1), Event::Killed, read(4, None)]);
        check_all(false, &[sent(5), done(1), sent(6), done(3), read(5, Some((1, 5)))]);
        check_all(true, &[sent(5), done(1), sent(6), done(3), read(2, Some((1, 5)))]);
    }

    #[test]
    fn what_was_read_is_read_again() {
        check_all(true, &[sent(5), done(1), sent(6), read(4, Some((1, 5)))]);
        check_all(false, &[sent(5), done(1), sent(6), read(4, Some((3, 6))), read(5, Some((1, 5)))]);
    }

    #[test]
    fn what_is_not_answered_is_done_while_the_process_lives() {
        check_all(true, &[sent(5), sent(6), done(2), read(4, Some((1, 5)))]);
        let given_up = Event::Group(GroupEvent::CommitGivenUp { sent: 1 });
        let end = |sent_at| [sent(6), done(sent_at), read(sent_at + 2, Some((1, 5)))];
        check_all(false, &[&[sent(5), given_up.clone(), Event::Killed][..], &end(4)].concat());
        // The next process may be the first that hears of it.
        check_all(true, &[&[sent(5), Event::Killed, given_up][..], &end(4)].concat());
    }

    #[test]
    fn only_the_power_takes_what_is_not_synced() {
        let lost = |before: &[Event], keeps| {
            let end = [Event::PowerLost, read(9, None)];
            check(&[&[settings(keeps), sent(5), done(1)], before, &end].concat()).is_ok()
        };
        assert!(lost(&[], Keeps::Cached));
        assert!(!lost(&[Event::Stopped], Keeps::Cached));
        assert!(!lost(&[], Keeps::Synced));
    }

    #[test]
    fn what_is_not_committed_is_not_read() {
        check_all(false, &[read(1, Some((0, 5)))]);
        check_all(false, &[sent(5), read(2, Some((1, 6)))]);
        check_all(false, &[sent(5), refused(1, ErrorCode::CoordinatorLoadInProgress), read(3, Some((1, 5)))]);
        check_all(true, &[sent(5), refused(1, ErrorCode::CoordinatorLoadInProgress), read(3, None)]);
    }

    #[test]
    fn a_refusal_has_a_reason() {
        check_all(true, &[sent(-5), refused(1, ErrorCode::OffsetMetadataTooLarge)]);
        check_all(false, &[sent(5), refused(1, ErrorCode::OffsetMetadataTooLarge)]);
        check_all(false, &[sent(-5), done(1)]);
        check_all(false, &[sent(5), refused(1, ErrorCode::IllegalGeneration)]);
        check_all(false, &[sent(5), refused(1, ErrorCode::UnknownServerError)]);
    }
}
