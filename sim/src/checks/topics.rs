//! A topic that is there stays, with its id, until somebody asks for its deletion; one that is deleted stays deleted.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::Uuid;

use super::{Wrong, wrong};
use crate::history::{At, Event};

/// What is known of one topic.
#[derive(Debug)]
struct Life<'h> {
    name: &'h str,
    /// When it was known to be there.
    from: At,
    /// When somebody first asked for it to go.
    asked: Option<At>,
    /// When it was known to be gone.
    gone: Option<At>,
}

pub fn check(history: &[Event]) -> Result<(), Wrong> {
    let mut lives: BTreeMap<Uuid, Life<'_>> = BTreeMap::new();
    let mut producer_ids = BTreeSet::new();
    for (at, event) in history.iter().enumerate() {
        match event {
            Event::ProducerId { id } if !producer_ids.insert(*id) => {
                return wrong(at, format!("producer id {id} was given before"));
            }
            Event::Created { name, id, .. } => {
                if lives.contains_key(id) {
                    return wrong(at, format!("the id {id} was given before"));
                }
                lives.insert(*id, Life { name, from: at, asked: None, gone: None });
                let wanted =
                    history[..at].iter().filter(|event| matches!(event, Event::CreateSent { name: n } if n == name));
                if lives.values().filter(|life| life.name == name).count() > wanted.count() {
                    return wrong(at, format!("{name} was created more often than anybody asked"));
                }
            }
            Event::DeleteSent { id } => {
                if let Some(life) = lives.get_mut(id) {
                    life.asked.get_or_insert(at);
                }
            }
            Event::Deleted { id } => {
                if let Some(life) = lives.get_mut(id) {
                    life.gone.get_or_insert(at);
                }
            }
            Event::Listed { sent, topics } => check_list(&mut lives, at, *sent, topics)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_list(lives: &mut BTreeMap<Uuid, Life<'_>>, at: At, sent: At, topics: &[(String, Uuid)]) -> Result<(), Wrong> {
    let names: BTreeSet<_> = topics.iter().map(|(name, _)| name).collect();
    if names.len() < topics.len() {
        return wrong(at, "two topics have one name");
    }
    for (id, life) in lives {
        let listed = topics.iter().find(|(_, listed)| listed == id);
        match listed {
            Some((name, _)) if name != life.name => return wrong(at, format!("{id} was {} and is {name}", life.name)),
            Some(_) if life.gone.is_some_and(|gone| gone < sent) => {
                return wrong(at, format!("{} ({id}) was gone and is back", life.name));
            }
            None if life.from < sent && life.asked.is_none() => {
                return wrong(at, format!("{} ({id}) is gone, and nobody deleted it", life.name));
            }
            None if life.from < sent => {
                life.gone.get_or_insert(at);
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::example;
    use crate::history::Keeps;
    use crate::history::Sheds;

    fn id(of: Keeps) -> Uuid {
        example::log(of).topic
    }

    fn listed(topics: &[(&str, Uuid)]) -> Event {
        let topics = topics.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect();
        Event::Listed { sent: example::history().len(), topics }
    }

    fn check_then(events: &[Event]) -> bool {
        check(&[&example::history(), events].concat()).is_ok()
    }

    #[test]
    fn a_topic_does_not_go_by_itself() {
        let both = [("s", id(Keeps::Synced)), ("c", id(Keeps::Cached))];
        assert!(check_then(&[listed(&both)]));
        assert!(!check_then(&[listed(&both[..1])]));
        let delete = Event::DeleteSent { id: id(Keeps::Cached) };
        assert!(check_then(&[delete.clone(), listed(&both)]));
        assert!(check_then(&[delete, listed(&both[..1])]));
    }

    #[test]
    fn a_topic_does_not_come_back() {
        let both = [("s", id(Keeps::Synced)), ("c", id(Keeps::Cached))];
        let gone = |event| [Event::DeleteSent { id: id(Keeps::Cached) }, event, Event::Killed];
        let back = [Event::Listed { sent: example::history().len() + 3, topics: topics(&both) }];
        assert!(!check_then(&[&gone(Event::Deleted { id: id(Keeps::Cached) })[..], &back].concat()));
        assert!(!check_then(&[&gone(listed(&both[..1]))[..], &back].concat()));
    }

    fn topics(topics: &[(&str, Uuid)]) -> Vec<(String, Uuid)> {
        topics.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect()
    }

    #[test]
    fn names_and_ids_are_given_once() {
        let other = Uuid([9; 16]);
        assert!(!check_then(&[listed(&[("other", id(Keeps::Synced)), ("c", id(Keeps::Cached))])]));
        assert!(!check_then(&[listed(&[("s", id(Keeps::Synced)), ("c", id(Keeps::Cached)), ("c", other)])]));
        let again = |id| Event::Created { name: "c".into(), id, keeps: Keeps::Cached, sheds: Sheds::Nothing };
        assert!(!check_then(&[Event::CreateSent { name: "c".into() }, again(id(Keeps::Cached))]));
        assert!(!check_then(&[again(other)]), "nobody asked for it");
        assert!(check_then(&[Event::CreateSent { name: "c".into() }, again(other)]));
        assert!(!check_then(&[Event::ProducerId { id: 5 }, Event::ProducerId { id: 5 }]));
    }
}
