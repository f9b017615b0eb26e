//! As much for everybody as for everybody else, and little moved.
//!
//! Members keep what they have, what nobody has goes to whoever has least, and then those with most give to those with
//! least until it is even. If all subscribe to the same topics that is all, and no way to the same balance moves less.
//!
//! If they do not, it fails: the member with most may share topics only with members that have as much, who could pass
//! on something else to those with least. So what is looked for is a chain: a member gives a partition to a second one,
//! which gives one of another topic to a third, and so on to one that has two less than the first; only the two ends
//! have less and more then. The shortest is taken, and of those the one that ends with the least. If no chain begins at
//! the member with most, then none will ever begin or end at those that it can reach, and they are done. So when all are
//! done, no other assignment is more even. Kafka only looks for chains of one link.
//!
//! Members with the same topics are a *class*: what reaches one of them reaches all.
//!
//! Takes `S + P (C + log P)` steps to keep and to give out what nobody has, for `S` subscriptions (members times their
//! topics), `P` partitions and `C` classes. Then one search for each partition that moves: a few steps while there is
//! somebody with almost nothing, and `min(P, S) + C T` at worst, for `T` topics. [`STEPS_MAX`] limits those of all
//! searches together; at the limit the assignment is complete, if not as even as it could be.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::Uuid;

use super::{Assignment, Member, classes};

/// About a fifth of a second.
const STEPS_MAX: usize = 20_000_000;

/// Members, topics and classes are numbers here, each in the order of ids.
type MemberIndex = usize;
type TopicIndex = usize;
type ClassIndex = usize;

pub(super) fn assign(
    members: &BTreeMap<Arc<str>, Member<'_>>,
    partitions: &BTreeMap<Uuid, i32>,
) -> BTreeMap<Arc<str>, Assignment> {
    let mut plan = Plan::new(members, partitions);
    plan.keep(members);
    plan.give_out();
    plan.even_out();
    members.keys().cloned().zip(plan.assignments()).collect()
}

/// How many partitions a member has. Members with as many are in the order of their ids.
type Load = (usize, MemberIndex);

struct Plan {
    topics: Vec<Topic>,
    classes: Vec<Class>,
    class_of: Vec<ClassIndex>,
    /// What each member has, by topic. There are no empty ones. What came last is given first.
    held: Vec<BTreeMap<TopicIndex, Vec<i32>>>,
    loads: Vec<usize>,
}

struct Topic {
    id: Uuid,
    /// Those that subscribe to it. There are some.
    classes: Vec<ClassIndex>,
    subscribers: usize,
    /// Whether somebody has the partition.
    taken: Vec<bool>,
}

struct Class {
    members: BTreeSet<Load>,
    /// The first of them.
    least: Load,
}

impl Plan {
    fn new(members: &BTreeMap<Arc<str>, Member<'_>>, partitions: &BTreeMap<Uuid, i32>) -> Plan {
        let mut plan = Plan {
            topics: Vec::new(),
            classes: Vec::new(),
            class_of: vec![0; members.len()],
            held: vec![BTreeMap::new(); members.len()],
            loads: vec![0; members.len()],
        };
        let mut subscribed = BTreeMap::<Uuid, Vec<ClassIndex>>::new();
        for (index, class) in classes(members).into_iter().enumerate() {
            for &member in &class.members {
                plan.class_of[member] = index;
            }
            for topic in class.topics {
                subscribed.entry(*topic).or_default().push(index);
            }
            let members: BTreeSet<Load> = class.members.into_iter().map(|member| (0, member)).collect();
            plan.classes.push(Class { least: *members.first().expect("a class has members"), members });
        }
        for (id, classes) in subscribed {
            let count = partitions.get(&id).map_or(0, |&count| usize::try_from(count).unwrap_or(0));
            let subscribers = classes.iter().map(|&class| plan.classes[class].members.len()).sum();
            plan.topics.push(Topic { id, classes, subscribers, taken: vec![false; count] });
        }
        plan
    }

    fn keep(&mut self, members: &BTreeMap<Arc<str>, Member<'_>>) {
        for (index, member) in members.values().enumerate() {
            for (id, partitions) in member.owned.iter().filter(|(id, _)| member.topics.contains(id)) {
                let Ok(topic) = self.topics.binary_search_by_key(id, |topic| topic.id) else { continue };
                for &partition in partitions {
                    if self.topics[topic].take(partition) {
                        self.put(index, topic, partition);
                    }
                }
            }
        }
    }

    /// Topics that leave least choice go first.
    fn give_out(&mut self) {
        let mut order: Vec<TopicIndex> = (0..self.topics.len()).collect();
        order.sort_by_key(|&topic| {
            let Topic { taken, subscribers, .. } = &self.topics[topic];
            (Reverse(taken.len() / subscribers), *subscribers)
        });
        for topic in order {
            for partition in 0..self.topics[topic].taken.len() {
                let partition = partition as i32;
                if self.topics[topic].take(partition) {
                    let least = self.topics[topic].classes.iter().map(|&class| self.classes[class].least).min();
                    let (_, member) = least.expect("a topic has subscribers");
                    self.put(member, topic, partition);
                }
            }
        }
    }

    fn even_out(&mut self) {
        let mut open: BTreeSet<Load> = self.loads.iter().copied().zip(0..).collect();
        let mut search = Search::new(self);
        while let (Some(&(most, from)), Some(&(least, _))) = (open.last(), open.first())
            && most > least + 1
            && search.steps < STEPS_MAX
        {
            match search.run(self, from, least) {
                Some(to) => {
                    open.remove(&(most, from));
                    open.remove(&(self.loads[to], to));
                    search.pass_on(self, from, to);
                    open.insert((self.loads[from], from));
                    open.insert((self.loads[to], to));
                }
                None => {
                    for &class in search.close() {
                        for member in &self.classes[class].members {
                            open.remove(member);
                        }
                    }
                }
            }
        }
    }

    fn put(&mut self, member: MemberIndex, topic: TopicIndex, partition: i32) {
        self.held[member].entry(topic).or_default().push(partition);
        self.set_load(member, self.loads[member] + 1);
    }

    fn give(&mut self, member: MemberIndex, topic: TopicIndex) -> i32 {
        let held = self.held[member].get_mut(&topic).expect("a giver has the topic");
        let partition = held.pop().expect("there are no empty ones");
        if held.is_empty() {
            self.held[member].remove(&topic);
        }
        partition
    }

    fn set_load(&mut self, member: MemberIndex, load: usize) {
        let class = &mut self.classes[self.class_of[member]];
        class.members.remove(&(self.loads[member], member));
        class.members.insert((load, member));
        class.least = *class.members.first().expect("a class has members");
        self.loads[member] = load;
    }

    /// In the order of members.
    fn assignments(self) -> impl Iterator<Item = Assignment> {
        let topics = self.topics;
        self.held.into_iter().map(move |held| {
            held.into_iter().map(|(topic, partitions)| (topics[topic].id, partitions.into_iter().collect())).collect()
        })
    }
}

impl Topic {
    /// Whether there is such a partition that nobody had.
    fn take(&mut self, partition: i32) -> bool {
        let taken = usize::try_from(partition).ok().and_then(|partition| self.taken.get_mut(partition));
        taken.is_some_and(|taken| !std::mem::replace(taken, true))
    }
}

/// Looks for chains, breadth first.
struct Search {
    /// The search that came to the topic last, [`CLOSED`] for one that no search has to come to.
    topics: Vec<usize>,
    /// The same of classes.
    classes: Vec<usize>,
    /// By class, who gives which topic to a member of it.
    links: Vec<(MemberIndex, TopicIndex)>,
    /// What the other end had that the last search from a member found. Others have got more since: the next search
    /// needs to look no further once it finds as little.
    aims: Vec<usize>,
    reached_topics: Vec<TopicIndex>,
    reached_classes: Vec<ClassIndex>,
    number: usize,
    steps: usize,
}

const CLOSED: usize = usize::MAX;

impl Search {
    fn new(plan: &Plan) -> Search {
        Search {
            topics: vec![0; plan.topics.len()],
            classes: vec![0; plan.classes.len()],
            links: vec![(0, 0); plan.classes.len()],
            aims: vec![0; plan.loads.len()],
            reached_topics: Vec::new(),
            reached_classes: Vec::new(),
            number: 0,
            steps: 0,
        }
    }

    /// The other end of the best chain that begins at `from`. Nobody who is not done has less than `least`.
    fn run(&mut self, plan: &Plan, from: MemberIndex, least: usize) -> Option<MemberIndex> {
        self.aims[from] = self.aims[from].max(least);
        let best = self.best(plan, from)?;
        self.aims[from] = best.0;
        Some(best.1)
    }

    fn best(&mut self, plan: &Plan, from: MemberIndex) -> Option<Load> {
        self.number += 1;
        self.reached_topics.clear();
        self.reached_classes.clear();
        // Each search begins with another topic, or all members would give theirs of the first one.
        let first = self.number % plan.topics.len();
        let mut givers = vec![from];
        while !givers.is_empty() {
            let mut best: Option<Load> = None;
            let mut new = Vec::new();
            for giver in givers {
                self.steps += 1;
                let held = &plan.held[giver];
                for (&topic, _) in held.range(first..).chain(held.range(..first)) {
                    self.steps += 1;
                    if !reach(&mut self.topics[topic], self.number) {
                        continue;
                    }
                    self.reached_topics.push(topic);
                    for &class in &plan.topics[topic].classes {
                        self.steps += 1;
                        if !reach(&mut self.classes[class], self.number) {
                            continue;
                        }
                        self.links[class] = (giver, topic);
                        self.reached_classes.push(class);
                        new.push(class);
                        let taker = plan.classes[class].least;
                        if taker.0 + 1 < plan.loads[from] && best.is_none_or(|best| taker < best) {
                            best = Some(taker);
                            if taker.0 <= self.aims[from] {
                                return best;
                            }
                        }
                    }
                }
            }
            if best.is_some() {
                return best;
            }
            givers = new.iter().flat_map(|&class| &plan.classes[class].members).map(|&(_, member)| member).collect();
        }
        None
    }

    /// Passes one partition along each link of the chain that was found.
    fn pass_on(&self, plan: &mut Plan, from: MemberIndex, to: MemberIndex) {
        let mut taker = to;
        loop {
            let (giver, topic) = self.links[plan.class_of[taker]];
            let partition = plan.give(giver, topic);
            plan.held[taker].entry(topic).or_default().push(partition);
            if giver == from {
                break;
            }
            taker = giver;
        }
        plan.set_load(from, plan.loads[from] - 1);
        plan.set_load(to, plan.loads[to] + 1);
    }

    /// After a search that found nothing: the classes that are done.
    fn close(&mut self) -> &[ClassIndex] {
        for &topic in &self.reached_topics {
            self.topics[topic] = CLOSED;
        }
        for &class in &self.reached_classes {
            self.classes[class] = CLOSED;
        }
        &self.reached_classes
    }
}

/// Whether the search comes here for the first time.
fn reach(last: &mut usize, search: usize) -> bool {
    let is_first = *last < search;
    *last = (*last).max(search);
    is_first
}
