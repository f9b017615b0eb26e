//! An error has a reason: a disk that fails may be told at any time, everything else only where it happened.

use ottla_wire::ErrorCode;

use super::known::Eras;
use super::logs::{Losses, Shedding, promises};
use super::{Wrong, wrong};
use crate::history::{Event, GroupEvent, Keeps, LogId, Sheds};

pub fn check(history: &[Event]) -> Result<(), Wrong> {
    let (promises, losses) = (promises(history), Losses::of(history));
    let may_be_cut =
        |log: &LogId, at| promises.get(&log.topic) == Some(&Keeps::Cached) && losses.first(0, at).is_some();
    let shedding = Shedding::of(history);
    let eras = Eras::of(history);
    for (at, event) in history.iter().enumerate() {
        if let Event::Group(GroupEvent::Unknown { group }) = event
            && eras.at(at) == 0
        {
            return wrong(at, format!("{group} cannot have been lost"));
        }
        let (log, error, is_behind_trouble) = match event {
            Event::Refused { batch, error, behind_trouble } => (&batch.log, *error, *behind_trouble),
            Event::FetchRefused { log, error, .. } => (log, *error, false),
            _ => continue,
        };
        let has_reason = match error {
            ErrorCode::KafkaStorageError => true,
            ErrorCode::RequestTimedOut => matches!(event, Event::Refused { .. }),
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => is_to_go(&history[..at], log),
            ErrorCode::OutOfOrderSequenceNumber => is_behind_trouble || may_be_cut(log, at),
            ErrorCode::NotLeaderOrFollower => is_to_move(&history[..at], log),
            ErrorCode::OffsetOutOfRange => may_be_cut(log, at) || shedding.sheds(log) == Sheds::Old,
            _ => false,
        };
        if !has_reason {
            return wrong(at, format!("{error} for {log} has no reason"));
        }
    }
    Ok(())
}

pub fn is_to_go(before: &[Event], log: &LogId) -> bool {
    before.iter().any(|event| matches!(event, Event::DeleteSent { id } if *id == log.topic))
}

fn is_to_move(before: &[Event], log: &LogId) -> bool {
    before.iter().any(|event| matches!(event, Event::MoveSent { log: moved } if moved == log))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::example;

    fn check_then(before: &[Event], of: Keeps, error: ErrorCode, behind_trouble: bool) -> bool {
        let refused = Event::Refused { batch: example::batch(of, 0, 9, true), error, behind_trouble };
        check(&[&example::history(), before, &[refused]].concat()).is_ok()
    }

    #[test]
    fn an_error_without_a_reason_is_found() {
        use ErrorCode::*;
        let delete = Event::DeleteSent { id: example::log(Keeps::Synced).topic };
        assert!(check_then(&[], Keeps::Synced, KafkaStorageError, false));
        assert!(!check_then(&[], Keeps::Synced, UnknownTopicId, false));
        assert!(check_then(&[delete], Keeps::Synced, UnknownTopicId, false));
        assert!(!check_then(&[], Keeps::Synced, CorruptMessage, true));
        assert!(!check_then(&[], Keeps::Synced, UnknownServerError, true));
    }

    #[test]
    fn a_group_is_lost_with_the_power_alone() {
        let unknown = Event::Group(GroupEvent::Unknown { group: "g".into() });
        let check_then = |keeps, before: &[Event]| {
            let settings = [Event::Group(GroupEvent::Settings { keeps })];
            check(&[&settings, before, std::slice::from_ref(&unknown)].concat()).is_ok()
        };
        assert!(check_then(Keeps::Cached, &[Event::PowerLost]));
        assert!(!check_then(Keeps::Cached, &[Event::Killed]));
        assert!(!check_then(Keeps::Synced, &[Event::PowerLost]));
    }

    #[test]
    fn a_sequence_is_broken_by_trouble_before_it_or_a_loss() {
        let error = ErrorCode::OutOfOrderSequenceNumber;
        assert!(check_then(&[], Keeps::Synced, error, true));
        assert!(!check_then(&[Event::PowerLost], Keeps::Synced, error, false));
        assert!(!check_then(&[Event::Killed], Keeps::Cached, error, false));
        assert!(check_then(&[Event::PowerLost], Keeps::Cached, error, false));
    }

    #[test]
    fn an_offset_is_out_of_range_only_behind_a_loss() {
        let fetch = |of| Event::FetchRefused { sent: 0, log: example::log(of), error: ErrorCode::OffsetOutOfRange };
        for (of, is_well) in [(Keeps::Cached, true), (Keeps::Synced, false)] {
            assert_eq!(check(&[&example::history()[..], &[Event::PowerLost, fetch(of)]].concat()).is_ok(), is_well);
            assert!(check(&[&example::history()[..], &[fetch(of)]].concat()).is_err());
            assert_eq!(check(&[&example::history_that_sheds(Sheds::Old)[..], &[fetch(of)]].concat()), Ok(()));
        }
    }
}
