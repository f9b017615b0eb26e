//! Any group, with any targets of before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::Uuid;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::{Assignment, Assignor, Member};

#[derive(Clone, Debug, Default)]
struct Consumer {
    instance_id: Option<Arc<str>>,
    topics: BTreeSet<Uuid>,
    owned: Assignment,
}

#[derive(Clone, Debug, Default)]
struct Group {
    members: BTreeMap<Arc<str>, Consumer>,
    partitions: BTreeMap<Uuid, i32>,
}

type Targets = BTreeMap<Arc<str>, Assignment>;

impl Group {
    fn assign<'a>(&'a self, assignor: Assignor) -> Targets {
        let member = |(id, consumer): (&Arc<str>, &'a Consumer)| {
            let Consumer { instance_id, topics, owned } = consumer;
            (id.clone(), Member { instance_id: instance_id.as_ref(), topics, owned })
        };
        let members = self.members.iter().map(member).collect();
        assignor.assign(&members, &self.partitions)
    }

    /// The targets become what is owned.
    fn settle(&mut self, targets: &Targets) {
        for (id, consumer) in &mut self.members {
            consumer.owned = targets[id].clone();
        }
    }

    fn subscribed(&self) -> BTreeSet<(Uuid, i32)> {
        let topics: BTreeSet<_> = self.members.values().flat_map(|consumer| &consumer.topics).copied().collect();
        flat(&self.partitions.iter().map(|(topic, count)| (*topic, (0..*count).collect())).collect())
            .filter(|(topic, _)| topics.contains(topic))
            .collect()
    }
}

fn flat(assignment: &Assignment) -> impl Iterator<Item = (Uuid, i32)> {
    assignment.iter().flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
}

fn load(assignment: &Assignment) -> usize {
    flat(assignment).count()
}

fn loads(targets: &Targets) -> Vec<usize> {
    targets.values().map(load).collect()
}

/// How many partitions their subscribers keep.
fn kept(group: &Group, targets: &Targets) -> usize {
    let kept =
        |(id, consumer): (&Arc<str>, &Consumer)| flat(&targets[id]).filter(|it| has(&consumer.owned, it)).count();
    group.members.iter().map(kept).sum()
}

fn has(assignment: &Assignment, (topic, partition): &(Uuid, i32)) -> bool {
    assignment.get(topic).is_some_and(|partitions| partitions.contains(partition))
}

fn topic(n: u8) -> Uuid {
    Uuid([n; 16])
}

fn member(n: usize) -> Arc<str> {
    format!("m{n:04}").into()
}

fn topics() -> impl Strategy<Value = BTreeSet<Uuid>> {
    btree_set((1..6u8).prop_map(topic), 0..5)
}

fn owned() -> impl Strategy<Value = Assignment> {
    btree_map((0..7u8).prop_map(topic), btree_set(-1..12i32, 0..8), 0..5)
}

fn partitions() -> impl Strategy<Value = BTreeMap<Uuid, i32>> {
    btree_map((1..6u8).prop_map(topic), prop_oneof![0..10i32, Just(4)], 0..6)
}

/// Members that may own what does not exist, what they do not subscribe to, and what others own.
fn any_group() -> impl Strategy<Value = Group> {
    let instance_id = proptest::option::of("[a-c]").prop_map(|id| id.map(Arc::from));
    let consumer = (instance_id, topics(), owned()).prop_map(|(instance_id, topics, owned)| Consumer {
        instance_id,
        topics,
        owned,
    });
    (vec(consumer, 0..7), partitions()).prop_map(|(members, partitions)| Group {
        members: members.into_iter().enumerate().map(|(n, consumer)| (member(n), consumer)).collect(),
        partitions,
    })
}

/// All subscribe to the same, and no partition is owned twice.
fn homogeneous_group() -> impl Strategy<Value = Group> {
    (any_group(), topics()).prop_map(|(mut group, topics)| {
        let mut seen = BTreeSet::new();
        for consumer in group.members.values_mut() {
            consumer.topics = topics.clone();
            for (topic, partitions) in &mut consumer.owned {
                partitions.retain(|partition| seen.insert((*topic, *partition)));
            }
        }
        group
    })
}

/// Long chains: the first members own nearly all, and each topic has few subscribers.
fn lopsided_group() -> impl Strategy<Value = Group> {
    let topics = vec(btree_set((0..10u8).prop_map(topic), 1..4), 2..14);
    (topics, vec(0..30i32, 10), 1..4usize).prop_map(|(topics, counts, owners)| {
        let partitions: BTreeMap<Uuid, i32> = (0..10u8).map(topic).zip(counts).collect();
        let mut members: BTreeMap<Arc<str>, Consumer> = BTreeMap::new();
        for (n, topics) in topics.into_iter().enumerate() {
            let all = topics.iter().filter(|_| n < owners).map(|topic| (*topic, (0..partitions[topic]).collect()));
            let owned = all.collect();
            members.insert(member(n), Consumer { topics, owned, ..Consumer::default() });
        }
        Group { members, partitions }
    })
}

/// One owner for each partition of a topic that somebody subscribes to, which subscribes to it.
fn check(group: &Group, assignor: Assignor) -> Targets {
    let targets = group.assign(assignor);
    assert!(targets.keys().eq(group.members.keys()));
    let mut assigned = BTreeSet::new();
    for (id, target) in &targets {
        for (topic, partitions) in target {
            assert!(!partitions.is_empty(), "{id} has no partitions of {topic}");
            assert!(group.members[id].topics.contains(topic), "{id} does not subscribe to {topic}");
        }
        for partition in flat(target) {
            assert!(assigned.insert(partition), "{partition:?} has two owners");
        }
    }
    assert_eq!(assigned, group.subscribed());
    targets
}

/// Nothing changes if all have their targets.
fn check_settled(mut group: Group, assignor: Assignor) {
    let targets = group.assign(assignor);
    group.settle(&targets);
    assert_eq!(group.assign(assignor), targets);
}

/// The members that a chain of moves leads to from each one, itself with it.
fn reachable(group: &Group, targets: &Targets) -> BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
    let takers = |giver: &Arc<str>| {
        let can_take = |consumer: &Consumer| targets[giver].keys().any(|topic| consumer.topics.contains(topic));
        group
            .members
            .iter()
            .filter(|(_, consumer)| can_take(consumer))
            .map(|(id, _)| id.clone())
            .collect::<BTreeSet<_>>()
    };
    let mut reachable: BTreeMap<_, _> = targets.keys().map(|id| (id.clone(), takers(id))).collect();
    loop {
        let wider = reachable.iter().map(|(id, reached)| {
            let beyond = reached.iter().flat_map(|id| &reachable[id]);
            (id.clone(), reached.iter().chain(beyond).cloned().collect())
        });
        let wider = wider.collect();
        if wider == reachable {
            return reachable;
        }
        reachable = wider;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn each_partition_has_one_owner(group in any_group()) {
        check(&group, Assignor::Uniform);
        check(&group, Assignor::Range);
    }

    #[test]
    fn who_has_the_target_keeps_it(group in any_group()) {
        check_settled(group.clone(), Assignor::Uniform);
        check_settled(group, Assignor::Range);
    }

    #[test]
    fn uniform_is_as_even_as_subscriptions_allow(group in prop_oneof![any_group(), lopsided_group()]) {
        let targets = check(&group, Assignor::Uniform);
        for (giver, takers) in reachable(&group, &targets) {
            for taker in takers {
                prop_assert!(
                    load(&targets[&giver]) <= load(&targets[&taker]) + 1,
                    "{giver} could give to {taker}: {targets:?}"
                );
            }
        }
    }

    #[test]
    fn uniform_differs_by_one_and_moves_no_more_than_it_must(group in homogeneous_group()) {
        let targets = check(&group, Assignor::Uniform);
        let loads = loads(&targets);
        prop_assert!(loads.iter().max().unwrap_or(&0) - loads.iter().min().unwrap_or(&0) <= 1, "{loads:?}");
        prop_assert_eq!(kept(&group, &targets), most_kept(&group));
    }

    #[test]
    fn a_member_that_joins_or_leaves_moves_its_share_only(
        members in 1..30usize,
        topics in partitions(),
        changes in vec(any::<(bool, u8)>(), 1..6),
    ) {
        let consumer = Consumer { topics: topics.keys().copied().collect(), ..Consumer::default() };
        let mut group = Group {
            members: (0..members).map(|n| (member(n), consumer.clone())).collect(),
            partitions: topics,
        };
        group.settle(&group.assign(Assignor::Uniform));
        let all = group.subscribed().len();
        for (joins, n) in changes {
            let left = if joins {
                group.members.entry(member(100 + n as usize)).or_insert_with(|| consumer.clone());
                0
            } else {
                let id = group.members.keys().nth(n as usize % group.members.len()).cloned();
                let leaver = id.filter(|_| group.members.len() > 1).and_then(|id| group.members.remove(&id));
                leaver.map_or(0, |leaver| load(&leaver.owned))
            };
            let targets = check(&group, Assignor::Uniform);
            let moved = all - kept(&group, &targets);
            prop_assert!(moved <= left.max(all / group.members.len()), "{moved} moved");
            group.settle(&targets);
        }
    }

    #[test]
    fn range_gives_neighbours_and_the_same_of_like_topics(group in any_group()) {
        let targets = check(&group, Assignor::Range);
        let shares = |topic: &Uuid| {
            let subscribes = |(_, consumer): &(_, &Consumer)| consumer.topics.contains(topic);
            let share = |id| targets[id].get(topic).cloned().unwrap_or_default();
            group.members.iter().filter(subscribes).map(|(id, _)| (id, share(id))).collect::<BTreeMap<_, _>>()
        };
        for (topic, count) in &group.partitions {
            let of_topic = shares(topic);
            for share in of_topic.values() {
                let even = *count as usize / of_topic.len();
                prop_assert!(share.len() == even || share.len() == even + 1, "{share:?} of {count}");
                if let (Some(first), Some(last)) = (share.first(), share.last()) {
                    prop_assert_eq!(last - first + 1, share.len() as i32, "{:?} has a gap", share);
                }
            }
            for (other, _) in group.partitions.iter().filter(|(_, other_count)| *other_count == count) {
                let of_other = shares(other);
                if of_other.keys().eq(of_topic.keys()) {
                    prop_assert_eq!(&of_other, &of_topic);
                }
            }
        }
    }
}

/// How many partitions can be kept if all get as many, or one more: who has most keeps one more.
fn most_kept(group: &Group) -> usize {
    let subscribed = group.subscribed();
    let owned = |consumer: &Consumer| flat(&consumer.owned).filter(|it| subscribed.contains(it)).count();
    let mut owned: Vec<usize> = group.members.values().map(owned).collect();
    owned.sort_by(|a, b| b.cmp(a));
    let members = owned.len().max(1);
    let quota = |n: usize| subscribed.len() / members + usize::from(n < subscribed.len() % members);
    owned.iter().enumerate().map(|(n, owned)| *owned.min(&quota(n))).sum()
}

/// As `testdata/kafka-4.3.1-assignors.txt` has it: ranges are Kafka's own, and uniform targets are as even as Kafka's or
/// more, and if as even then they keep no less.
#[test]
fn no_worse_than_kafka() {
    let text = include_str!("../../../testdata/kafka-4.3.1-assignors.txt");
    let cases: Vec<&str> = text.split("\n\n").skip(1).collect();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let (group, kafka) = read(case);
        assert_eq!(check(&group, Assignor::Range), kafka["range"], "{case}");
        let ours = check(&group, Assignor::Uniform);
        let kafkas = &kafka["uniform"];
        let sorted = |targets| {
            let mut loads = loads(targets);
            loads.sort();
            loads
        };
        let squares = |targets| loads(targets).iter().map(|load| load * load).sum::<usize>();
        assert!(squares(&ours) <= squares(kafkas), "{ours:?} {case}");
        assert!(sorted(&ours) != sorted(kafkas) || kept(&group, &ours) >= kept(&group, kafkas), "{ours:?} {case}");
    }
}

/// A group, and the targets by assignor.
fn read(case: &str) -> (Group, BTreeMap<&str, Targets>) {
    let mut group = Group::default();
    let mut targets = BTreeMap::<&str, Targets>::new();
    for line in case.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["topic", name, count] => {
                group.partitions.insert(read_topic(name), count.parse().unwrap());
            }
            ["member", id, instance_id, topics, owned] => {
                let instance_id = (instance_id != "-").then(|| instance_id.into());
                let topics = topics.split(',').filter(|topic| *topic != "-").map(read_topic).collect();
                group.members.insert(id.into(), Consumer { instance_id, topics, owned: read_assignment(owned) });
            }
            [assignor, id, target] => {
                targets.entry(assignor).or_default().insert(id.into(), read_assignment(target));
            }
            _ => panic!("{line}"),
        }
    }
    (group, targets)
}

fn read_topic(name: &str) -> Uuid {
    topic(name.strip_prefix('t').unwrap().parse().unwrap())
}

fn read_assignment(text: &str) -> Assignment {
    let topics = text.split(';').filter_map(|topic| topic.split_once(':'));
    topics.map(|(topic, list)| (read_topic(topic), list.split(',').map(|n| n.parse().unwrap()).collect())).collect()
}
