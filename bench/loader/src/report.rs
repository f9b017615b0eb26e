//! The table for people, and the same as JSON with each round in it.

use serde_json::{Value, json};

use crate::figure::{Figure, OfKafka};
use crate::load::Sample;
use crate::rows::Row;
use crate::server::Side;

/// Ottla's processor time for a request, as a multiple of another's.
#[derive(Clone, Copy, Debug)]
struct Ratio {
    to: &'static str,
    value: f64,
    goal: Option<f64>,
}

/// A row's samples, for each side.
#[derive(Debug)]
pub struct Compared<'a> {
    pub row: &'a Row,
    pub sides: &'a [Side],
    pub samples: Vec<Vec<Sample>>,
}

/// Median, least and most of the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// # Panics
    /// Where there is no value.
    fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Spread { median: (low + high) / 2.0, min: values[0], max: values[values.len() - 1] }
    }

    /// Four digits are more than these figures are good for.
    fn text(self) -> String {
        format!("{} [{}-{}]", short(self.median), short(self.min), short(self.max))
    }
}

pub fn short(value: f64) -> String {
    match value {
        _ if value < 10.0 => format!("{value:.2}"),
        _ if value < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A ratio with its goal, and whether that is missed.
pub fn judged(value: f64, goal: Option<f64>) -> String {
    let goal = goal.map_or(String::new(), |goal| format!(" ({goal}){}", if value > goal { "!" } else { "" }));
    if value < 0.1 { format!("{value:.3}{goal}") } else { format!("{value:.2}{goal}") }
}

/// Median, least and most.
///
/// # Panics
/// Where there is no value.
pub fn spread_text(values: &[f64]) -> String {
    Spread::of(values.iter().copied()).text()
}

fn cpu_us(sample: &Sample) -> f64 {
    sample.cpu.as_secs_f64() * 1e6 / sample.requests as f64
}

fn per_second(sample: &Sample) -> f64 {
    sample.requests as f64 / sample.wall.as_secs_f64()
}

/// Processors that the server kept busy.
fn busy(sample: &Sample) -> f64 {
    sample.cpu.as_secs_f64() / sample.wall.as_secs_f64()
}

pub fn heading(sides: &[Side]) -> String {
    let mut line = format!("{:26}", "row");
    for side in sides {
        line += &format!("{:>26}{:>10}{:>6}", format!("{} µs/request", side.name()), "req/s", "busy");
    }
    for side in sides.iter().skip(1) {
        line += &format!("{:>18}", format!("to {} (goal)", side.name()));
    }
    line
}

impl Compared<'_> {
    /// The row, and below it the latencies if it has any.
    pub fn lines(&self) -> Vec<String> {
        let mut line = format!("{:26}", self.row.name);
        for samples in &self.samples {
            let rate = Spread::of(samples.iter().map(per_second)).median;
            let busy = Spread::of(samples.iter().map(busy)).median;
            line += &format!("{:>26}{rate:>10.0}{busy:>6.2}", Spread::of(samples.iter().map(cpu_us)).text());
        }
        for Ratio { value, goal, .. } in self.ratios() {
            line += &format!("{:>18}", judged(value, goal));
        }
        let latencies = self.sides.iter().zip(&self.samples).filter_map(|(side, samples)| {
            let quantile = |share| quantile_us(samples, share).map(Spread::text);
            let (half, p99, p999) = (quantile(0.5)?, quantile(0.99)?, quantile(0.999)?);
            Some(format!("  {} latency µs: p50 {half}, p99 {p99}, p99.9 {p999}", side.name()))
        });
        let mut lines: Vec<String> = latencies.collect();
        lines.insert(0, line);
        lines
    }

    /// The first side's median over those of the others.
    fn ratios(&self) -> impl Iterator<Item = Ratio> {
        let median = |samples: &[Sample]| Spread::of(samples.iter().map(cpu_us)).median;
        let of_others = self.sides.iter().zip(&self.samples).skip(1);
        of_others.map(move |(side, samples)| Ratio {
            to: side.name(),
            value: median(&self.samples[0]) / median(samples),
            goal: if let Side::Kafka(_) = side { Some(self.row.kafka_goal) } else { self.row.floor_goal },
        })
    }

    pub fn json(&self) -> Value {
        let ratios = self.ratios().map(|Ratio { to, value, goal }| json!({ "to": to, "value": value, "goal": goal }));
        let sides: serde_json::Map<String, Value> = self.sides.iter().zip(&self.samples).map(side_json).collect();
        json!({
            "row": self.row.name, "connections": self.row.connections, "partitions": self.row.partitions,
            "load": format!("{:?}", self.row.load), "sides": sides, "ratios": ratios.collect::<Vec<_>>(),
        })
    }
}

fn quantile_us(samples: &[Sample], share: f64) -> Option<Spread> {
    let values: Option<Vec<f64>> =
        samples.iter().map(|sample| Some(sample.latency.as_ref()?.quantile(share) as f64 / 1e3)).collect();
    values.map(Spread::of)
}

fn side_json((side, samples): (&Side, &Vec<Sample>)) -> (String, Value) {
    let spread = Spread::of(samples.iter().map(cpu_us));
    let rounds: Vec<Value> = samples
        .iter()
        .map(|sample| {
            let latency_us = sample.latency.as_ref().map(|latency| {
                let quantile = |share| latency.quantile(share) as f64 / 1e3;
                json!({ "p50": quantile(0.5), "p99": quantile(0.99), "p99.9": quantile(0.999) })
            });
            json!({
                "requests": sample.requests, "cpu_s": sample.cpu.as_secs_f64(), "wall_s": sample.wall.as_secs_f64(),
                "latency_us": latency_us,
            })
        })
        .collect();
    let cpu_us = json!({ "median": spread.median, "min": spread.min, "max": spread.max });
    (side.name().into(), json!({ "cpu_us_per_request": cpu_us, "rounds": rounds }))
}

impl Figure {
    pub fn line(&self) -> String {
        let spread = Spread::of(self.values.iter().copied());
        let value = if self.values.len() > 1 { spread.text() } else { short(spread.median) };
        let missed = self.goal.filter(|goal| spread.median > *goal);
        let verdict = missed.map_or(String::new(), |goal| format!("  over {goal}"));
        let kafka = self.kafka.as_ref().map_or(String::new(), |kafka| {
            let ratio = spread.median / kafka.spread().median;
            let goal =
                kafka.goal.map_or(String::new(), |goal| format!(" ({goal}){}", if ratio > goal { "!" } else { "" }));
            format!("  kafka {}: {ratio:.3}{goal}", kafka.spread().text())
        });
        format!("{:26}{value:>26} {}  {}{verdict}{kafka}", self.name, self.unit, self.about)
    }

    pub fn json(&self) -> Value {
        json!({
            "row": self.name, "about": self.about, "unit": self.unit, "values": self.values, "goal": self.goal,
            "median": Spread::of(self.values.iter().copied()).median, "kafka": self.kafka.as_ref().map(OfKafka::json),
        })
    }
}

impl OfKafka {
    fn spread(&self) -> Spread {
        Spread::of(self.values.iter().copied())
    }

    fn json(&self) -> Value {
        json!({ "values": self.values, "median": self.spread().median, "goal": self.goal })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rows;

    #[test]
    fn spreads() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(spread(&[7.0]), Spread { median: 7.0, min: 7.0, max: 7.0 });
        assert_eq!(spread(&[2.345, 12.34, 672.4]).text(), "12.3 [2.35-672]");
    }

    #[test]
    fn medians_are_judged() {
        let sample = |cpu_ms| Sample {
            requests: 1000,
            cpu: Duration::from_millis(cpu_ms),
            wall: Duration::from_millis(2 * cpu_ms),
            latency: None,
        };
        let sides = [Side::Ottla { program: "".into() }, Side::Floor { program: "".into() }];
        let samples = vec![vec![sample(9), sample(4), sample(5)], vec![sample(2), sample(3), sample(1)]];
        let row = &rows::all()[0];
        let compared = Compared { row, sides: &sides, samples };
        assert_eq!(compared.ratios().map(|ratio| ratio.value).collect::<Vec<_>>(), [2.5]);
        let line = &compared.lines()[0];
        assert!(line.contains("5.00 [4.00-9.00]") && line.ends_with("2.50 (1.5)!"), "{line}");
        let figure = |goal| Figure::alone("start", ("it", "ms"), vec![3.0, 1.0, 2.0], goal);
        assert!(figure(Some(1.9)).line().ends_with("2.00 [1.00-3.00] ms  it  over 1.9"));
        assert!(figure(Some(2.0)).line().ends_with("it") && figure(None).line().ends_with("it"));
        let beside = |goal| Figure { kafka: Some(OfKafka { values: vec![40.0], goal: Some(goal) }), ..figure(None) };
        assert!(beside(0.05).line().ends_with("it  kafka 40.0 [40.0-40.0]: 0.050 (0.05)"));
        assert!(beside(0.04).line().ends_with("0.050 (0.04)!"));
        assert_eq!(compared.json()["sides"]["floor"]["cpu_us_per_request"]["median"], 2.0);
    }
}
