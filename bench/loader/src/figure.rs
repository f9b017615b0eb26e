//! A figure: a number that each server has in each round, and what Ottla's ought to be.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::histogram::Histogram;

/// What a figure of Ottla may be at most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Goals {
    /// In its own unit.
    pub itself: Option<f64>,
    /// As a multiple of Kafka's.
    pub of_kafka: Option<f64>,
    /// As a multiple of the floor's.
    pub of_floor: Option<f64>,
    /// Of the two multiples the one that allows more is enough.
    pub either: bool,
}

impl Goals {
    pub const NONE: Goals = Goals { itself: None, of_kafka: None, of_floor: None, either: false };

    pub const fn itself(most: f64) -> Goals {
        Goals { itself: Some(most), ..Goals::NONE }
    }

    pub const fn of_kafka(most: f64) -> Goals {
        Goals { of_kafka: Some(most), ..Goals::NONE }
    }
}

/// A quantile of a latency, its share, and its goals.
#[derive(Debug)]
struct Quantile {
    name: &'static str,
    share: f64,
    goals: Goals,
}

/// That a round has enough requests for.
const OF_A_ROUND: [Quantile; 2] = [
    Quantile { name: "p50", share: 0.5, goals: Goals::NONE },
    Quantile { name: "p99", share: 0.99, goals: either(0.3) },
];
/// That only all rounds together have enough for, if they are so many.
const OF_ALL_ROUNDS: Quantile = Quantile { name: "p99.9", share: 0.999, goals: either(0.2) };
pub const ENOUGH: u64 = 10_000;

const fn either(of_kafka: f64) -> Goals {
    Goals { of_kafka: Some(of_kafka), of_floor: Some(1.5), either: true, itself: None }
}

/// What one round on one server came to.
#[derive(Debug, Default)]
pub struct Taken {
    readings: Vec<Reading>,
    latencies: Vec<Latency>,
}

#[derive(Debug)]
struct Reading {
    row: String,
    about: String,
    unit: &'static str,
    value: f64,
    goals: Goals,
}

/// In ns.
#[derive(Debug)]
struct Latency {
    row: String,
    about: &'static str,
    histogram: Histogram,
}

impl Taken {
    pub fn add(&mut self, row: &str, about: impl Into<String>, (value, unit): (f64, &'static str), goals: Goals) {
        self.readings.push(Reading { row: row.into(), about: about.into(), unit, value, goals });
    }

    pub fn add_latency(&mut self, row: &str, about: &'static str, histogram: Histogram) {
        for Quantile { name, share, goals } in OF_A_ROUND {
            self.add(row, format!("{about}, {name}"), (histogram.quantile(share) as f64 / 1e3, "µs"), goals);
        }
        self.latencies.push(Latency { row: row.into(), about, histogram });
    }

    pub fn append(&mut self, other: Taken) {
        self.readings.extend(other.readings);
        self.latencies.extend(other.latencies);
    }
}

/// A reading of all rounds and all servers.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub row: String,
    pub about: String,
    pub unit: String,
    pub goals: Goals,
    /// Of each round, by server.
    pub values: BTreeMap<String, Vec<f64>>,
}

/// What is known of a case.
#[derive(Debug, Default)]
pub struct Results {
    pub figures: Vec<Figure>,
    /// Of all rounds together, by server.
    latencies: Vec<(String, &'static str, BTreeMap<&'static str, Histogram>)>,
    /// Of each round, by server.
    seconds: BTreeMap<&'static str, Vec<f64>>,
}

impl Results {
    /// Adds what a round on the server of this name came to.
    pub fn add(&mut self, server: &'static str, taken: Taken) {
        for Reading { row, about, unit, value, goals } in taken.readings {
            self.values(row, about, unit, goals).entry(server.into()).or_default().push(value);
        }
        for Latency { row, about, histogram } in taken.latencies {
            let known = self.latencies.iter().position(|(other, what, _)| *other == row && *what == about);
            let at = known.unwrap_or_else(|| {
                self.latencies.push((row.clone(), about, BTreeMap::new()));
                self.latencies.len() - 1
            });
            let all_rounds = self.latencies[at].2.entry(server).or_default();
            all_rounds.add(&histogram);
            if all_rounds.total() >= ENOUGH {
                let Quantile { name, share, goals } = OF_ALL_ROUNDS;
                let value = all_rounds.quantile(share) as f64 / 1e3;
                self.values(row, format!("{about}, {name}"), "µs", goals).insert(server.into(), vec![value]);
            }
        }
    }

    fn values(&mut self, row: String, about: String, unit: &str, goals: Goals) -> &mut BTreeMap<String, Vec<f64>> {
        let known = self.figures.iter().position(|figure| figure.row == row && figure.about == about);
        let at = known.unwrap_or_else(|| {
            self.figures.push(Figure { row, about, unit: unit.into(), goals, values: BTreeMap::new() });
            self.figures.len() - 1
        });
        &mut self.figures[at].values
    }

    /// How long a round took on the server, in s.
    pub fn took(&mut self, server: &'static str, seconds: f64) {
        self.seconds.entry(server).or_default().push(seconds);
    }

    /// The figures, the histograms that some are of, and what it took.
    pub fn json(&self) -> Value {
        let latencies = self.latencies.iter().map(|(row, about, histograms)| {
            let counts = |histogram: &Histogram| -> Vec<(f64, u64)> {
                histogram.counts().map(|(ns, count)| (ns as f64 / 1e3, count)).collect()
            };
            let of_servers: Map<String, Value> =
                histograms.iter().map(|(server, histogram)| ((*server).into(), json!(counts(histogram)))).collect();
            json!({ "row": row, "about": about, "at_most_us_and_count": of_servers })
        });
        let latencies: Vec<Value> = latencies.collect();
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        json!({ "figures": figures, "latencies": latencies, "seconds": self.seconds })
    }
}

/// Median, least and most of the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    max: f64,
}

impl Figure {
    pub fn of(&self, server: &str) -> Option<Spread> {
        self.values.get(server).and_then(|values| Spread::of(values))
    }

    /// Ottla's median as a multiple of another's, and how it is judged.
    pub fn ratio(&self, to: &str) -> Option<Judged> {
        let value = self.multiple(to)?;
        let is_over = |to: &str| Some(self.multiple(to)? > self.goal_of(to)?);
        let other = if to == "floor" { "kafka" } else { "floor" };
        // A run without Kafka may meet what is said of it. A case without a floor has no other goal than that of Kafka.
        let may_be_met_by_other = is_over(other).map_or(other == "kafka", |is_over| !is_over);
        let is_missed = is_over(to) == Some(true) && !(self.goals.either && may_be_met_by_other);
        Some(Judged { value, goal: self.goal_of(to), is_missed })
    }

    fn multiple(&self, of: &str) -> Option<f64> {
        Some(self.of("ottla")?.median / self.of(of)?.median)
    }

    fn goal_of(&self, server: &str) -> Option<f64> {
        if server == "floor" { self.goals.of_floor } else { self.goals.of_kafka }
    }

    /// What it is about, and its unit.
    pub fn title(&self) -> String {
        match self.unit.as_str() {
            "" => self.about.clone(),
            unit => format!("{}, {unit}", self.about),
        }
    }

    pub fn has_goal(&self) -> bool {
        self.goals.itself.or(self.goals.of_kafka).or(self.goals.of_floor).is_some()
    }

    /// Whether there is something that a goal could be compared to.
    pub fn is_judged(&self) -> bool {
        let Goals { itself, of_kafka, of_floor, .. } = self.goals;
        let has = |goal: Option<f64>, to: &str| goal.is_some() && self.multiple(to).is_some();
        itself.is_some() && self.of("ottla").is_some() || has(of_kafka, "kafka") || has(of_floor, "floor")
    }

    /// Whether a goal is missed.
    pub fn is_missed(&self) -> bool {
        self.is_over_itself()
            || ["floor", "kafka"].iter().any(|to| self.ratio(to).is_some_and(|judged| judged.is_missed))
    }

    pub fn is_over_itself(&self) -> bool {
        self.goals.itself.zip(self.of("ottla")).is_some_and(|(goal, spread)| spread.median > goal)
    }

    fn json(&self) -> Value {
        let Figure { row, about, unit, goals, values } = self;
        let Goals { itself, of_kafka, of_floor, either } = goals;
        json!({
            "row": row, "about": about, "unit": unit, "values": values,
            "goals": { "itself": itself, "of_kafka": of_kafka, "of_floor": of_floor, "either": either },
        })
    }

    /// Reads what [`Results::json`] tells. `None` where that is something else.
    pub fn read(kept: &Value) -> Option<Figure> {
        let text = |name: &str| Some(kept[name].as_str()?.to_owned());
        let goals = &kept["goals"];
        let values = kept["values"].as_object()?.iter().map(|(server, values)| {
            let values = values.as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
            Some((server.clone(), values))
        });
        Some(Figure {
            row: text("row")?,
            about: text("about")?,
            unit: text("unit")?,
            goals: Goals {
                itself: goals["itself"].as_f64(),
                of_kafka: goals["of_kafka"].as_f64(),
                of_floor: goals["of_floor"].as_f64(),
                either: goals["either"].as_bool()?,
            },
            values: values.collect::<Option<_>>()?,
        })
    }
}

impl Spread {
    /// `None` where there is no value.
    fn of(values: &[f64]) -> Option<Spread> {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Spread { median: (low + high) / 2.0, min, max })
    }

    /// Four digits are more than these figures are good for.
    pub fn text(self) -> String {
        match self.min < self.max {
            true => format!("{} [{}-{}]", short(self.median), short(self.min), short(self.max)),
            false => short(self.median),
        }
    }
}

/// A ratio, and what it ought to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    pub value: f64,
    pub goal: Option<f64>,
    pub is_missed: bool,
}

impl Judged {
    pub fn text(self) -> String {
        let goal = self.goal.map_or(String::new(), |goal| format!(" ({goal})"));
        let missed = if self.is_missed { "!" } else { "" };
        let digits = if self.value < 0.1 { 3 } else { 2 };
        format!("{:.digits$}{goal}{missed}", self.value)
    }
}

pub fn short(value: f64) -> String {
    match value {
        _ if value < 10.0 => format!("{value:.2}"),
        _ if value < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads() {
        let spread = |values: &[f64]| Spread::of(values).unwrap();
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(spread(&[2.345, 12.34, 672.4]).text(), "12.3 [2.35-672]");
        assert_eq!(spread(&[7.0]).text(), "7.00");
        assert_eq!(Spread::of(&[]), None);
    }

    fn figure(goals: Goals, [ottla, floor, kafka]: [f64; 3]) -> Figure {
        let mut results = Results::default();
        for (server, value) in [("ottla", ottla), ("floor", floor), ("kafka", kafka)] {
            for value in [value, value / 2.0, value * 2.0] {
                let mut taken = Taken::default();
                taken.add("row", "it", (value, "µs"), goals);
                results.add(server, taken);
            }
        }
        results.figures.remove(0)
    }

    #[test]
    fn medians_are_judged() {
        let both = Goals { of_kafka: Some(0.3), of_floor: Some(1.5), ..Goals::NONE };
        let told = |figure: &Figure| ["floor", "kafka"].map(|to| figure.ratio(to).unwrap().text());
        let one = figure(both, [2.0, 1.0, 40.0]);
        assert_eq!(told(&one), ["2.00 (1.5)!", "0.050 (0.3)"]);
        assert!(one.is_missed());
        let either = Goals { either: true, ..both };
        assert_eq!(told(&figure(either, [2.0, 1.0, 40.0])), ["2.00 (1.5)", "0.050 (0.3)"]);
        assert_eq!(told(&figure(either, [2.0, 1.0, 4.0])), ["2.00 (1.5)!", "0.50 (0.3)!"]);
        assert!(!figure(either, [2.0, 1.0, 40.0]).is_missed());
        let mut without_kafka = figure(either, [2.0, 1.0, 4.0]);
        without_kafka.values.remove("kafka");
        assert!(!without_kafka.is_missed(), "the half that is not known may be met");
        let mut without_floor = figure(either, [2.0, 1.0, 4.0]);
        without_floor.values.remove("floor");
        assert!(without_floor.is_missed(), "nobody measures a floor later");
        assert!(figure(Goals::itself(1.9), [2.0, 1.0, 1.0]).is_missed());
        assert!(!figure(Goals::itself(2.0), [2.0, 1.0, 1.0]).is_missed());
        assert!(!figure(Goals::NONE, [2.0, 1.0, 1.0]).is_missed());
        let mut alone = figure(both, [2.0, 1.0, 40.0]);
        assert!(alone.is_judged());
        alone.values.remove("kafka");
        assert!(alone.is_judged(), "by the floor");
        alone.values.remove("floor");
        assert!(!alone.is_judged() && !alone.is_missed());
    }

    #[test]
    fn what_is_kept_is_read() {
        let figure = figure(Goals { either: true, ..Goals::of_kafka(0.2) }, [1.0, 2.0, 3.0]);
        assert_eq!(Figure::read(&figure.json()), Some(figure));
        assert_eq!(Figure::read(&json!({ "row": "row" })), None);
    }

    #[test]
    fn latencies_have_quantiles_and_a_histogram() {
        let mut results = Results::default();
        for _ in 0..2 {
            let (mut taken, mut histogram) = (Taken::default(), Histogram::default());
            histogram.record(5_000);
            taken.add_latency("row", "latency", histogram);
            results.add("ottla", taken);
        }
        let abouts = |results: &Results| results.figures.iter().map(|figure| figure.about.clone()).collect::<Vec<_>>();
        assert_eq!(abouts(&results), ["latency, p50", "latency, p99"], "nobody knows one in a thousand of two");
        assert_eq!(results.figures[0].values["ottla"].len(), 2);
        assert_eq!(results.json()["latencies"][0]["at_most_us_and_count"]["ottla"][0][1], 2);
        for value in [1_000, 9_000] {
            let (mut taken, mut histogram) = (Taken::default(), Histogram::default());
            (0..ENOUGH).for_each(|_| histogram.record(value));
            taken.add_latency("row", "latency", histogram);
            results.add("ottla", taken);
        }
        assert_eq!(abouts(&results)[2], "latency, p99.9");
        assert_eq!(results.figures[2].values["ottla"].len(), 1, "of all rounds together");
    }
}
