//! The groups of a story: who is in them, by what rules, and whether they settle.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_rt::{Lane, Stop, Task};

use crate::classic_member::{self, ClassicMember};
use crate::committer::Simple;
use crate::consumer_member::ConsumerMember;
use crate::dice::Dice;
use crate::group_client::{GroupClient, METADATA_MAX};
use crate::history::{GroupEvent, Keeps, LogId};
use crate::roster::Roster;
use crate::site::{Site, Topic};

const SIMPLE: &str = "simple";
const CLASSIC: &str = "classic";
const CONSUMER: &str = "consumer";
const MEMBERS: usize = 3;
const LOOK: Duration = Duration::from_millis(100);

/// What is drawn for all groups of a broker.
#[derive(Debug)]
pub struct Rules {
    keeps: Keeps,
    offsets_partitions: u64,
    initial_delay_ms: u64,
    assignment_interval_ms: u64,
    /// Of members of consumer groups.
    session_ms: u64,
}

/// The members of the groups, and how far they believe to be.
#[derive(Debug)]
pub struct Members {
    rosters: [(&'static str, Roster); 2],
    pub tasks: Vec<Task<()>>,
}

impl Rules {
    pub fn draw(dice: &Dice) -> Rules {
        Rules {
            keeps: dice.pick(&[Keeps::Synced, Keeps::Cached]),
            offsets_partitions: dice.within(1..=3),
            initial_delay_ms: dice.within(0..=500),
            assignment_interval_ms: dice.pick(&[0, 300, 1000]),
            session_ms: dice.within(1000..=3000),
        }
    }

    pub fn settings(&self) -> Vec<(String, String)> {
        let session_ms = self.session_ms.to_string();
        let mut settings = vec![
            ("offsets.topic.num.partitions", self.offsets_partitions.to_string()),
            ("offset.metadata.max.bytes", METADATA_MAX.to_string()),
            ("group.initial.rebalance.delay.ms", self.initial_delay_ms.to_string()),
            ("group.min.session.timeout.ms", classic_member::SESSION_MS_MIN.to_string()),
            ("group.consumer.assignment.interval.ms", self.assignment_interval_ms.to_string()),
            ("group.consumer.min.session.timeout.ms", session_ms.clone()),
            ("group.consumer.session.timeout.ms", session_ms),
            ("group.consumer.min.heartbeat.interval.ms", "100".to_owned()),
            ("group.consumer.heartbeat.interval.ms", "300".to_owned()),
        ];
        if self.keeps == Keeps::Synced {
            settings.push(("log.flush.interval.messages", "1".to_owned()));
        }
        settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Those who commit without being members, each for a topic of its own.
    pub fn start_committers(&self, site: &Site, topics: &Arc<[Topic]>, calm: &Stop) -> Vec<Task<()>> {
        site.history.note_group(GroupEvent::Settings { keeps: self.keeps });
        let start = |topic: &Topic| {
            let client = GroupClient::new(site, &SIMPLE.into(), topics);
            let committer = Simple::new(client, topic.logs());
            site.rt.spawn(Lane::Data, "committer", committer.run(calm.clone()))
        };
        topics.iter().map(start).collect()
    }

    /// They are quiet from `calm` on, and go when they are `done`.
    pub fn start_members(&self, site: &Site, topics: &Arc<[Topic]>, calm: &Stop, done: &Stop) -> Members {
        let (classic, consumer) = (Roster::of(MEMBERS), Roster::of(MEMBERS));
        let client = |group: &str| GroupClient::new(site, &group.into(), topics);
        let mut tasks = Vec::new();
        for number in 0..MEMBERS {
            let member = ClassicMember::new(client(CLASSIC), number, classic.clone());
            tasks.push(site.rt.spawn(Lane::Data, "member", member.run(calm.clone(), done.clone())));
            let member = ConsumerMember::new(client(CONSUMER), number, consumer.clone(), self.session_ms);
            tasks.push(site.rt.spawn(Lane::Data, "member", member.run(calm.clone(), done.clone())));
        }
        Members { rosters: [(CLASSIC, classic), (CONSUMER, consumer)], tasks }
    }
}

impl Members {
    /// Waits until all groups have settled, at most for so long.
    pub async fn settle(&self, site: &Site, topics: &[Topic], limit: Duration) {
        let all: BTreeSet<LogId> = topics.iter().flat_map(Topic::logs).collect();
        let settled = async {
            while !self.rosters.iter().all(|(_, roster)| roster.is_settled(&all)) {
                site.rt.sleep(LOOK).await;
            }
        };
        if site.rt.timeout(limit, settled).await.is_none() {
            for (group, roster) in self.rosters.iter().filter(|(_, roster)| !roster.is_settled(&all)) {
                site.broken(format!("the group {group} does not settle although all is well: {roster:?}"));
            }
        }
    }
}

/// Reads what all groups have committed.
pub async fn audit(site: &Site, topics: &Arc<[Topic]>) {
    for group in [SIMPLE, CLASSIC, CONSUMER] {
        let mut client = GroupClient::new(site, &group.into(), topics);
        while client.read().await.is_err() {
            site.rt.sleep(LOOK).await;
        }
    }
}
