//! What is kept of rebalances, and what has to go.

use super::*;

fn at(ms: i64) -> Now {
    Now { mono_ms: ms, wall_ms: 1_000_000 + ms }
}

fn joined(history: &mut History, ms: i64, group: &str, generation: i32) {
    let who = Who { member_id: "m".into(), ..Who::default() };
    history.classic(at(ms), &group.into(), (generation, BTreeMap::new), Reason::of(What::Joined, who));
}

#[test]
fn a_classic_rebalance_lasts_until_it_is_settled() {
    let mut history = History::within(1 << 20);
    joined(&mut history, 10, "g", 3);
    joined(&mut history, 20, "g", 3);
    history.next_generation("g", 4);
    history.assigned("g", |_| Some(7));
    history.settled(at(50), "g");
    let of_group = history.of("g");
    let [rebalance] = &of_group[..] else { panic!("{of_group:?}") };
    assert_eq!((rebalance.before, rebalance.after, rebalance.reasons.len()), (3, 4, 2));
    assert_eq!((rebalance.moved, rebalance.idle_ms, rebalance.ended_ms), (Some(7), Some(40), Some(1_000_050)));
    joined(&mut history, 60, "g", 4);
    assert_eq!((history.of("g").len(), history.counts()), (2, (1, 0)));
    let tally = Tally { rebalances: 2, reasons: [("joined", 3)].into(), moved: 7, idle_ms: 40 };
    assert_eq!(history.tallies().collect::<Vec<_>>(), [(&"g".into(), &tally)]);
}

#[test]
fn what_is_kept_has_limits() {
    let mut history = History::within(1 << 20);
    for n in 0..200 {
        (0..10).for_each(|_| joined(&mut history, n, "g", 0));
        history.settled(at(n), "g");
    }
    let of_group = history.of("g");
    assert_eq!((of_group.len(), of_group[0].began_ms), (ENTRIES_MAX, 1_000_100));
    assert_eq!((of_group[0].reasons.len(), of_group[0].more_reasons), (REASONS_MAX, 5));
    let long: Arc<str> = "ü".repeat(1000).into();
    assert_eq!(Who::new(&long, None, (&long, &long)).client_id.len(), NAME_BYTES_MAX);
}

#[test]
fn many_groups_keep_a_hundred_each() {
    // What one of 50 coordinators has of 64 MiB.
    let mut history = History::within((64 << 20) / 50);
    let names: Vec<Arc<str>> = (0..22).map(|n| format!("group-of-service-{n}").into()).collect();
    for n in 0..200 {
        for name in &names {
            let member_id: Arc<str> = format!("consumer-service-1-{}", Uuid::ZERO).into();
            let who = Who::new(&member_id, None, (&"consumer-service-1".into(), &"/10.11.12.13".into()));
            for what in [What::Left, What::Joined] {
                history.classic(at(n), name, (0, BTreeMap::new), Reason::of(what, who.clone()));
            }
            history.settled(at(n), name);
        }
    }
    assert!(names.iter().all(|name| history.of(name).len() == ENTRIES_MAX));
    assert_eq!(history.of(&names[0])[0].began_ms, 1_000_100);
}

fn counted(history: &History) -> usize {
    history.groups.iter().map(|(name, group)| group.bytes(name)).sum()
}

#[test]
fn who_has_most_gives_up_its_oldest() {
    let mut history = History::within(30_000);
    let settle = |history: &mut History, ms: i64, group: &str| {
        joined(history, ms, group, 0);
        history.settled(at(ms), group);
    };
    (0..3).for_each(|ms| settle(&mut history, ms, "quiet"));
    for ms in 3..1_000 {
        for n in 0..2 {
            settle(&mut history, ms, &format!("noisy-{n}"));
            assert!(history.bytes <= history.bytes_max);
        }
    }
    let kept = ["quiet", "noisy-0", "noisy-1"].map(|group| history.of(group).len());
    assert!(kept[0] == 3 && (30..ENTRIES_MAX).contains(&kept[1]) && kept[1].abs_diff(kept[2]) <= 1, "{kept:?}");
    assert_eq!(history.of("noisy-1").last().map(|last| last.began_ms), Some(1_000_999));
    // Of groups that have as many, it is the one that has been quiet for longest.
    (0..1_000).for_each(|n| settle(&mut history, 1_000, &format!("one-off-{n}")));
    assert!(history.of("quiet").is_empty() && history.of("noisy-1").is_empty());
    assert!(history.of("one-off-0").is_empty() && history.of("one-off-999").len() == 1);
    assert_eq!((history.bytes, history.ranks.len()), (counted(&history), history.groups.len()));
    assert!(history.bytes > 28_000 && history.bytes <= history.bytes_max);
    history.groups.keys().cloned().collect::<Vec<_>>().iter().for_each(|name| history.forget(name));
    assert_eq!((history.bytes, history.ranks.len()), (0, 0));
}

#[test]
fn the_longest_time_without_an_owner_counts() {
    let mut history = History::within(1 << 20);
    let (group, topic) = ("g".into(), Uuid::ZERO);
    history.noted(at(0), &group, (Protocol::Consumer, 1), Reason::of_group(What::TopicsChanged));
    history.raised("g", 2);
    history.target("g", 2);
    history.freed(at(10), &group, [(topic, 0), (topic, 1)].into_iter());
    history.taken(at(30), "g", [(topic, 0)].into_iter());
    history.taken(at(40), "g", [(topic, 1), (topic, 2)].into_iter());
    let of_group = history.of("g");
    assert_eq!((of_group[0].before, of_group[0].after), (1, 2));
    assert_eq!((of_group[0].moved, of_group[0].idle_ms), (Some(2), Some(30)));
    let tally = Tally { rebalances: 1, reasons: [("topics changed", 1)].into(), moved: 2, idle_ms: 30 };
    assert_eq!(history.tallies().collect::<Vec<_>>(), [(&"g".into(), &tally)]);
    history.freed(at(50), &group, [(topic, 0), (topic, 0), (topic, 3)].into_iter());
    assert_eq!(history.bytes, counted(&history));
}
