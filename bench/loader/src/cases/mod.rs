//! A case: what is measured on all servers in turn, A B A B, so that what the machine does besides falls on all.
//!
//! The first round of rows is not counted. It is the one that touches memory which the host has yet to give us, and that costs
//! four times as much as the rest.

mod busy_disk;
mod catch_up;
mod clients;
mod idle;
mod memory;
mod partitions;
mod start;

pub use clients::librdkafka_version;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::figure::{Results, Taken};
use crate::groups;
use crate::kafka::batch;
use crate::kafka::reply;
use crate::kafka::request::{self, Acks};
use crate::machine::since_epoch;
use crate::row;
use crate::rows::{self, B100, Row};
use crate::server::{Caller, Kept, Resident, Server, Side, Topic};

#[derive(Debug)]
pub struct Case {
    pub name: &'static str,
    /// For the page.
    pub about: &'static str,
    pub work: Work,
}

#[derive(Debug)]
pub enum Work {
    Rows(Vec<Row>),
    /// A round on one server.
    Round {
        on: On,
        round: fn(&Round<'_>) -> anyhow::Result<Taken>,
    },
}

/// Of which servers a round can be had, beside Ottla.
#[derive(Clone, Copy, Debug)]
pub struct On {
    pub floor: bool,
    pub kafka: OfKafka,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfKafka {
    Always,
    /// It takes Kafka long.
    UnlessQuick,
    Never,
}

/// What a round has to know.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    pub case: &'static str,
    pub side: &'a Side,
    /// Where the server may have its directory.
    pub scratch: &'a Path,
    /// The work is divided by it.
    pub part: u64,
    pub tools: &'a Tools,
    /// Which one it is.
    pub number: usize,
    pub kept: &'a Kept,
}

impl Round<'_> {
    fn is_quick(&self) -> bool {
        self.part > 1
    }

    /// [`UNCOUNTED`] times more before it on a Kafka that is new, where no other load makes it warm for this one.
    fn counted<T>(&self, server: &Server, work: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
        if matches!(self.side, Side::Kafka(_)) && self.number == 0 && !self.is_quick() {
            for _ in 0..UNCOUNTED {
                work()?;
                server.until_at_rest()?;
            }
        }
        work()
    }

    /// One that is kept from round to round, where that is needed to be warm.
    pub fn kept_server(&self, topic: Topic) -> anyhow::Result<Server> {
        self.kept.take_or_start(self.side, topic, self.scratch)
    }

    /// What no other round on the same server has.
    pub fn own_name(&self, name: &str) -> String {
        format!("{name}-{}", self.number)
    }
}

/// After one, the first round still cost two to five times what the next two did, which were alike.
const UNCOUNTED: usize = 2;

pub const GIB: f64 = (1_u64 << 30) as f64;

/// Programs of others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tools {
    /// The folder of Kafka's jars.
    pub jars: Option<PathBuf>,
    /// A Python that has confluent-kafka, and so librdkafka.
    pub python: Option<PathBuf>,
}

/// How a case is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort<'a> {
    pub rounds: usize,
    pub is_quick: bool,
    pub scratch: &'a Path,
    pub tools: &'a Tools,
}

/// `--quick` divides the requests of a round by it.
const QUICK_PART: u64 = 4;

/// All cases, in the order in which they are measured.
pub fn all() -> Vec<Case> {
    let rows = rows::groups().into_iter();
    let mut cases: Vec<Case> =
        rows.map(|rows::Group { name, about, rows }| Case { name, about, work: Work::Rows(rows) }).collect();
    let mut add = |name, about, on, round| cases.push(Case { name, about, work: Work::Round { on, round } });
    let with = |kafka| On { floor: false, kafka };
    let and_floor = |kafka| On { floor: true, kafka };
    let (always, unless_quick, never) = (OfKafka::Always, OfKafka::UnlessQuick, OfKafka::Never);
    add(
        "catch-up",
        "Consumers that read 4 GiB from the start; one connection reads a GiB of it. The goal is that of processor time.",
        and_floor(unless_quick),
        catch_up::round,
    );
    add(
        "busy-disk",
        "Another writer keeps the disk busy, as fast as it comes to it beside each server.",
        and_floor(always),
        busy_disk::round,
    );
    add("groups-steady", "20 groups on one topic.", with(always), groups::steady::round);
    add("groups-settle", "A thousand members join a group (KIP-848) at once.", with(never), groups::settle::round);
    add("groups-load", "A coordinator comes back.", with(never), groups::load::round);
    add("memory", "Resident memory.", with(always), memory::round);
    add(
        "partitions",
        "10,000 partitions, on a server that has just started; so has the JVM, which is not warm.",
        with(unless_quick),
        partitions::round,
    );
    add(
        "idle",
        "A server that has served and has nothing to do, for 7 s, told as of a minute.",
        with(unless_quick),
        idle::round,
    );
    add("start", "A start on an empty directory.", with(always), start::empty);
    add(
        "start-2000-clean",
        "The same on 2,000 partitions with a record in each, after a clean stop.",
        with(unless_quick),
        start::after_clean_stop,
    );
    add("start-2000-killed", "The same after kill -9.", with(unless_quick), start::after_kill);
    add(
        "clients",
        "Kafka's own perf tools, and librdkafka, as clients. A latency holds what the client itself waits and does, and has no goal.",
        with(always),
        clients::round,
    );
    cases
}

impl Case {
    /// It with the rows of such names. Where its own name is one, with all, or with what a glance needs.
    pub fn keep_named(mut self, is_quick: bool, is_wanted: impl Fn(&str) -> bool) -> Option<Case> {
        if is_wanted(self.name) {
            return if is_quick { self.keep_quick() } else { Some(self) };
        }
        let Work::Rows(rows) = &mut self.work else { return None };
        rows.retain(|row| is_wanted(&row.name));
        (!rows.is_empty()).then_some(self)
    }

    /// What a glance needs.
    pub fn keep_quick(mut self) -> Option<Case> {
        if let Work::Rows(rows) = &mut self.work {
            rows.retain(|row| row.is_quick);
            return (!rows.is_empty()).then_some(self);
        }
        Some(self)
    }

    pub fn runs_on(&self, side: &Side, is_quick: bool) -> bool {
        match &self.work {
            Work::Rows(rows) => rows.iter().any(|row| row.load.runs_on(side)),
            Work::Round { on, .. } => on.includes(side, is_quick),
        }
    }

    pub fn names(&self) -> Vec<&str> {
        match &self.work {
            Work::Rows(rows) => rows.iter().map(|row| row.name.as_str()).collect(),
            Work::Round { .. } => vec![self.name],
        }
    }

    pub fn measure(self, sides: &[Side], effort: Effort<'_>) -> anyhow::Result<Results> {
        let Effort { rounds, is_quick, scratch, tools } = effort;
        let part = if is_quick { QUICK_PART } else { 1 };
        let kept = &Kept::default();
        match self.work {
            Work::Rows(rows) => rows_in_turn(divided(rows, sides, part, scratch, kept)?, sides, effort, kept),
            Work::Round { on, round } => {
                let sides = sides.iter().filter(|side| on.includes(side, is_quick));
                let sides: Vec<&Side> = sides.collect();
                in_turn(rounds, &sides, |number, side| {
                    let about = Round { case: self.name, side, scratch, part, tools, number, kept };
                    round(&about).with_context(|| self.name)
                })
            }
        }
    }
}

/// The rows that can be run, with their numbers of requests.
fn divided(mut rows: Vec<Row>, sides: &[Side], part: u64, scratch: &Path, kept: &Kept) -> anyhow::Result<Vec<Row>> {
    match sides.iter().find(|side| matches!(side, Side::Kafka(_))) {
        Some(kafka) => row::settle_paces(&mut rows, kafka, scratch, kept).context("what Kafka can do")?,
        None => rows.retain(|row| row.requests > 0),
    }
    rows.iter_mut().for_each(|row| row.requests /= part);
    Ok(rows)
}

fn rows_in_turn(rows: Vec<Row>, sides: &[Side], effort: Effort<'_>, kept: &Kept) -> anyhow::Result<Results> {
    if !effort.is_quick {
        // Kafka has touched all its memory when it is warm.
        for side in sides.iter().filter(|side| !matches!(side, Side::Kafka(_))) {
            row::round(&rows, side, effort.scratch, kept).with_context(|| format!("on {}", side.name()))?;
        }
    }
    in_turn(effort.rounds, &sides.iter().collect::<Vec<_>>(), |_, side| row::round(&rows, side, effort.scratch, kept))
}

fn in_turn(
    rounds: usize,
    sides: &[&Side],
    round: impl Fn(usize, &Side) -> anyhow::Result<Taken>,
) -> anyhow::Result<Results> {
    let mut results = Results::default();
    for number in 0..rounds {
        for side in sides {
            let began = Instant::now();
            results.add(side.name(), round(number, side).with_context(|| format!("on {}", side.name()))?);
            results.took(side.name(), began.elapsed().as_secs_f64());
        }
    }
    Ok(results)
}

impl On {
    fn includes(self, side: &Side, is_quick: bool) -> bool {
        match side {
            Side::Ottla { .. } => true,
            Side::Floor { .. } => self.floor,
            Side::Kafka(_) => match self.kafka {
                OfKafka::Always => true,
                OfKafka::UnlessQuick => !is_quick,
                OfKafka::Never => false,
            },
            // A process that somebody else starts and stops.
            Side::Running { .. } => false,
        }
    }
}

/// Tells other threads that it is over, whatever happens.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What a server does after it has answered, it has done by then.
pub const REST: Duration = Duration::from_millis(500);

/// One that has asked what every client asks first.
pub fn greeted(server: &Server) -> anyhow::Result<Caller> {
    let mut caller = Caller::connect(server.address)?;
    caller.call(request::api_versions(), reply::api_versions)?;
    Ok(caller)
}

/// A record to each of these partitions.
pub fn write_to(server: &Server, topic: &str, mut partitions: RangeInclusive<i32>) -> anyhow::Result<()> {
    let (batch, mut caller) = (one_record(), Caller::connect(server.address)?);
    // Kafka tells that a topic is there before all of its partitions are.
    partitions.try_for_each(|partition| {
        let produce = request::produce(topic, partition, Acks::Leader, &batch);
        server.until(|| caller.call(produce.clone(), reply::produced)).map(drop)
    })
}

pub fn one_record() -> Vec<u8> {
    batch::build(B100.shape, since_epoch().as_millis() as i64)
}

/// What is resident once nothing happens any more.
pub fn rested(server: &Server) -> anyhow::Result<Resident> {
    thread::sleep(REST);
    server.resident()
}

pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of what is left of a case of such a name.
    fn kept(case: &str, is_quick: bool, wanted: &str) -> Vec<String> {
        let case = all().into_iter().find(|one| one.name == case).unwrap();
        let kept = case.keep_named(is_quick, |name| name == wanted);
        kept.iter().flat_map(Case::names).map(String::from).collect()
    }

    #[test]
    fn a_case_is_asked_for_by_its_name_or_by_those_of_its_rows() {
        assert_eq!(kept("tail", false, "tail"), ["tail-0", "tail-1", "tail-5", "mixed-16k-4x4"]);
        assert_eq!(kept("tail", true, "tail"), ["tail-5"], "which stands for it");
        assert_eq!(kept("tail", true, "tail-1"), ["tail-1"]);
        assert_eq!(kept("tail", true, "idle"), [""; 0]);
        assert_eq!(kept("idle", true, "idle"), ["idle"]);
    }

    #[test]
    fn every_case_has_a_quick_form() {
        assert!(all().into_iter().all(|case| case.keep_quick().is_some()));
    }
}
