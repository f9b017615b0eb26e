//! The story of one broker, from its first start to the last look at its logs.
//!
//! 1. It starts, and topics are made.
//! 2. Producers, readers and groups come, and so does trouble ([`crate::fate`]).
//! 3. The trouble ends. Within [`LIVENESS_LIMIT`] all producers must get done, all groups settle, and all readers have read
//!    everything.
//! 4. It is stopped or crashes, starts again, and is audited; twice.

use std::sync::Arc;
use std::time::Duration;

use ottla_net::{MemoryNetwork, Weather};
use ottla_rt::{Lane, Rt, Stopper, Task, World};

use crate::audit::audit;
use crate::dice::Dice;
use crate::fate;
use crate::groups::{self, Rules};
use crate::history::{Event, History, Keeps, Sheds};
use crate::machine::{self, Crash, Machine};
use crate::mover;
use crate::producer::{Kind, Orders, Producer, VERSIONS};
use crate::reader::Reader;
use crate::site::{NewTopic, Site, Topic};
use crate::topics;
use crate::trace::Trace;
use crate::trimmer;

/// How long a healed broker and its clients may take to get done.
const LIVENESS_LIMIT: Duration = Duration::from_secs(90);

/// Who tells it.
#[derive(Debug)]
pub struct Teller<'w> {
    pub world: &'w World,
    pub name: &'static str,
    /// Of the machine: its address and node id.
    pub number: u8,
    pub trace: Trace,
}

impl Teller<'_> {
    pub async fn tell(self) -> Vec<Event> {
        let Teller { world, name, number, trace } = self;
        let clients = world.process(&format!("{name} clients"));
        let rt = clients.rt();
        let dice = Dice(rt.clone());
        let history = History::new(name, rt.clone(), trace);
        let rules = Rules::draw(&dice);
        let network = MemoryNetwork::new(world.process(&format!("{name} network")).rt());
        network.set_weather(Weather { delay_ms_max: 1, ..Weather::default() });
        let mut machine = Machine::new(
            world,
            machine::Parts {
                name: name.to_owned(),
                number,
                network: network.clone(),
                disk_seed: rt.random_u64(),
                history: history.clone(),
                rt: rt.clone(),
                settings: [settings(&dice), rules.settings()].concat(),
            },
        );
        let broker = machine::address(number);
        let site = Site { rt: rt.clone(), dice: dice.clone(), network, broker, history: history.clone() };

        machine.calm_disk();
        machine.start().await;
        let topics: Arc<[Topic]> =
            [make(&site, "s", Keeps::Synced).await, make(&site, "c", Keeps::Cached).await].into();
        let (producers, stopper) = (Stopper::default(), Stopper::default());
        let mut producing = start_producers(&site, &topics);
        producing.extend(start_coming_and_going(&site, &producers));
        if dice.one_in(2) {
            let mover = mover::move_about(site.clone(), producers.listener());
            producing.push(site.rt.spawn(Lane::Data, "mover", mover));
        }
        if dice.one_in(2) {
            let trimmer = trimmer::trim(site.clone(), topics.to_vec(), producers.listener());
            producing.push(site.rt.spawn(Lane::Data, "trimmer", trimmer));
        }
        let reading = start_readers(&site, &topics, &stopper);
        let (calm, done) = (producers.listener(), stopper.listener());
        let committing = rules.start_committers(&site, &topics, &calm);
        let members = rules.start_members(&site, &topics, &calm, &done);
        fate::trouble(&mut machine, &rt, &dice, Duration::from_millis(dice.within(8_000..=25_000))).await;
        fate::heal(&mut machine).await;

        producers.stop();
        finish(&rt, &history, "producer", producing).await;
        finish(&rt, &history, "committer", committing).await;
        members.settle(&site, &topics, LIVENESS_LIMIT).await;
        stopper.stop();
        finish(&rt, &history, "reader", reading).await;
        finish(&rt, &history, "member", members.tasks).await;
        audit_in_time(&site, &topics).await;
        for _ in 0..2 {
            match dice.within(0..=2) {
                0 => machine.stop().await,
                1 => machine.crash(Crash::Kill).await,
                _ => machine.crash(Crash::PowerLoss).await,
            }
            fate::heal(&mut machine).await;
            audit_in_time(&site, &topics).await;
        }
        machine.stop().await;
        if clients.panics() > 0 {
            site.broken("a client panicked".to_owned());
        }
        history.take()
    }
}

fn settings(dice: &Dice) -> Vec<(String, String)> {
    let interval_ms = dice.within(200..=5000).to_string();
    let settings = [
        ("log.flush.offset.checkpoint.interval.ms", interval_ms.as_str()),
        ("connections.max.idle.ms", "20000"),
        ("auto.create.topics.enable", "false"),
    ];
    let mut settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let upkeep = [
        ("log.initial.task.delay.ms", dice.within(0..=3000)),
        ("log.retention.check.interval.ms", dice.within(200..=3000)),
        ("log.cleaner.backoff.ms", dice.within(100..=3000)),
        ("log.cleaner.threads", dice.within(1..=2)),
    ];
    settings.extend(upkeep.map(|(key, value)| (key.to_owned(), value.to_string())));
    if dice.one_in(3) {
        settings.push(("log.roll.ms".to_owned(), dice.within(300..=5000).to_string()));
    }
    if dice.one_in(2) {
        // Metadata snapshots, and a log that is trimmed, after a few records.
        let bytes = [
            ("metadata.log.max.record.bytes.between.snapshots", dice.within(100..=2000)),
            ("internal.metadata.log.segment.bytes", dice.within(300..=2000)),
            ("metadata.max.retention.bytes", dice.within(0..=5000)),
        ];
        settings.extend(bytes.map(|(key, bytes)| (key.to_owned(), bytes.to_string())));
        settings.push(("internal.metadata.delete.delay.millis".to_owned(), dice.within(0..=2000).to_string()));
    }
    settings
}

async fn make(site: &Site, name: &str, keeps: Keeps) -> Topic {
    let new = NewTopic::draw(&site.dice, name, (keeps, Sheds::Nothing), 2);
    topics::create(site, &mut site.client(), &new).await
}

fn start_producers(site: &Site, topics: &[Topic]) -> Vec<Task<()>> {
    let mut tasks = Vec::new();
    let mut first_number = 0;
    for topic in topics {
        let some_acks = site.dice.pick(&[-1, 0]);
        for kind in [Kind::Idempotent, Kind::Idempotent, Kind::Plain(1), Kind::Plain(some_acks)] {
            let batches = site.dice.within(5..=25) as u32;
            let producer = Producer::new(
                site.clone(),
                Orders { kind, topic: topic.clone(), batches, first_number, versions: VERSIONS },
            );
            first_number += topic.partitions as u32;
            let pause_ms_max = site.dice.within(100..=1500);
            tasks.push(site.rt.spawn(Lane::Data, "producer", producer.run(pause_ms_max)));
        }
    }
    tasks
}

/// Two at once, so that they come between each other.
fn start_coming_and_going(site: &Site, stopper: &Stopper) -> Vec<Task<()>> {
    let start = |first_number| {
        let topics = topics::come_and_go(site.clone(), first_number, stopper.listener());
        site.rt.spawn(Lane::Data, "topics", topics)
    };
    [1000, 2000].map(start).into()
}

fn start_readers(site: &Site, topics: &[Topic], stopper: &Stopper) -> Vec<Task<()>> {
    let start = |_| {
        let reader = Reader::new(site.clone(), topics);
        site.rt.spawn(Lane::Data, "reader", reader.run(stopper.listener()))
    };
    (0..3).map(start).collect()
}

/// Waits for tasks that must get done now.
async fn finish(rt: &Rt, history: &History, what: &str, tasks: Vec<Task<()>>) {
    let all = async {
        for task in tasks {
            let _ = task.await;
        }
    };
    if rt.timeout(LIVENESS_LIMIT, all).await.is_none() {
        history.note(Event::Broken { what: format!("a {what} does not get done although all is well") });
    }
}

async fn audit_in_time(site: &Site, topics: &Arc<[Topic]>) {
    let all = async {
        audit(site).await;
        groups::audit(site, topics).await;
    };
    if site.rt.timeout(LIVENESS_LIMIT, all).await.is_none() {
        site.broken("an audit does not get done although all is well".to_owned());
    }
}
