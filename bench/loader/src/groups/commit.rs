//! `groups-commit`: what it costs to take down how far consumers have read, at a fixed rate.
//!
//! The commits are those of consumers that manage their partitions themselves: a member's differ in one look-up. The groups
//! take turns, and lie on all partitions of `__consumer_offsets`.

use std::path::Path;

use crate::figure::Figure;
use crate::kafka::groups::{self, Commit};
use crate::load::connection::Connection;
use crate::load::{Requests, Sample, open, pinned};
use crate::server::{Server, Side, Topic};

use super::Effort;

const TOPIC: &str = "committed";
const CONNECTIONS: usize = 4;
const GROUPS: usize = 1_000;
const SECONDS: u64 = 4;
const SHARE_GOAL_PERCENT: f64 = 10.0;

#[derive(Clone, Copy, Debug)]
struct Rate {
    per_second: u64,
    /// In one request.
    partitions: i32,
    abouts: Abouts,
}

#[derive(Clone, Copy, Debug)]
struct Abouts {
    share: &'static str,
    cost: &'static str,
    latencies: [&'static str; 3],
}

const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

const RATES: [Rate; 2] = [
    Rate {
        per_second: 10_000,
        partitions: 1,
        abouts: Abouts {
            share: "of a processor, at 10,000 commits/s of one partition each",
            cost: "processor time of such a commit",
            latencies: ["its latency: p50", "p99", "p99.9"],
        },
    },
    Rate {
        per_second: 1_000,
        partitions: 10,
        abouts: Abouts {
            share: "of a processor, at 1,000 commits/s of ten partitions each",
            cost: "processor time of such a commit",
            latencies: ["its latency: p50", "p99", "p99.9"],
        },
    },
];

pub fn figures(side: &Side, effort: Effort, scratch: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for rate in RATES {
        // The first round touches memory that the host has yet to give.
        round(side, rate, effort, scratch)?;
        let samples =
            (0..effort.rounds).map(|_| round(side, rate, effort, scratch)).collect::<anyhow::Result<Vec<_>>>()?;
        figures.extend(told(rate.abouts, &samples));
    }
    Ok(figures)
}

fn told(abouts: Abouts, samples: &[Sample]) -> Vec<Figure> {
    let figure = |about, unit, goal, value: &dyn Fn(&Sample) -> f64| {
        let values = samples.iter().map(value).collect();
        Figure::alone("groups-commit", (about, unit), values, goal)
    };
    let share = |sample: &Sample| 100.0 * sample.cpu.as_secs_f64() / sample.wall.as_secs_f64();
    let cost_us = |sample: &Sample| sample.cpu.as_secs_f64() * 1e6 / sample.requests as f64;
    let mut figures =
        vec![figure(abouts.share, "%", Some(SHARE_GOAL_PERCENT), &share), figure(abouts.cost, "µs", None, &cost_us)];
    for (about, quantile) in abouts.latencies.into_iter().zip(QUANTILES) {
        let latency_us =
            |sample: &Sample| sample.latency.as_ref().map_or(0.0, |latency| latency.quantile(quantile) as f64 / 1e3);
        figures.push(figure(about, "µs", None, &latency_us));
    }
    figures
}

fn round(side: &Side, rate: Rate, effort: Effort, scratch: &Path) -> anyhow::Result<Sample> {
    let topic = Topic { partitions: rate.partitions as usize, segment_bytes: 1 << 30 };
    let server = Server::start(side, topic, scratch)?;
    server.create_topic(side, TOPIC, topic)?;
    for group in 0..GROUPS {
        super::offset_of(&server, &group_name(group), TOPIC, 0)?;
    }
    let sample = pinned(|| {
        let connection = |n| Connection::in_turn(server.address, &frames(n, rate.partitions), groups::committed);
        let mut connections = (0..CONNECTIONS).map(connection).collect::<anyhow::Result<Vec<_>>>()?;
        let requests = Requests::counting(rate.per_second * SECONDS / effort.part, 0);
        open::run(&mut connections, rate.per_second, requests, &|| server.cpu())
    })?;
    server.stop()?;
    Ok(sample)
}

/// What the `n`th connection sends.
fn frames(n: usize, partitions: i32) -> Vec<Vec<u8>> {
    let of_group = |group| {
        let group = group_name(group);
        groups::offset_commit(&Commit { group: &group, topic: TOPIC, partitions: 0..partitions, offset: 1 << 40 })
    };
    (n..GROUPS).step_by(CONNECTIONS).map(of_group).collect()
}

fn group_name(group: usize) -> String {
    format!("group-{group:06}")
}
