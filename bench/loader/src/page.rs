//! The page of results: `docs/reference/benchmarks.md`, made of what runs have kept, with nothing written by hand.
//!
//! A run that was asked for some rows replaces only those of the runs before it, so every row names the run that it is of.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::Value;

use crate::report::{judged, short, spread_text};

const HEAD: &str = "\
# Benchmarks

<!-- Made by `cargo xtask bench --page` of what `cargo xtask bench` has kept. -->

Ottla beside Apache Kafka and beside the *floor*, the cheapest server that could answer, in turn on one machine. What a row is, and
what is done to be fair, is in [bench/README.md](../../bench/README.md). A figure is the median of the rounds, with the least and the
most in brackets. A ratio is Ottla's median over the other's, with its goal in brackets; `!` says that it is missed.
";

/// A result, and which run it is of.
struct Entry<'a> {
    result: &'a Value,
    run: usize,
}

/// The page of these files, the oldest first.
pub fn of_files(paths: &[PathBuf]) -> anyhow::Result<String> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    };
    Ok(of(&paths.iter().map(read).collect::<anyhow::Result<Vec<Value>>>()?))
}

fn of(runs: &[Value]) -> String {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for (run, kept) in runs.iter().enumerate() {
        for result in kept["results"].as_array().into_iter().flatten() {
            let key = |entry: &Value| (entry["row"].clone(), entry["about"].clone());
            match entries.iter_mut().find(|entry| key(entry.result) == key(result)) {
                Some(entry) => *entry = Entry { result, run },
                None => entries.push(Entry { result, run }),
            }
        }
    }
    let mut page = String::from(HEAD);
    let _ = writeln!(page, "\n## Processor time of a request, in µs\n");
    let _ = writeln!(
        page,
        "| Row | Ottla | Floor | Kafka | of the floor | of Kafka | Run |\n| --- | --- | --- | --- | --- | --- | --- |"
    );
    for Entry { result, run } in entries.iter().filter(|entry| entry.result["sides"].is_object()) {
        let of_side = |name: &str| {
            let spread = &result["sides"][name]["cpu_us_per_request"];
            spread_of(spread).unwrap_or_default()
        };
        let (ottla, floor, kafka) = (of_side("ottla"), of_side("floor"), of_side("kafka"));
        let (to_floor, to_kafka) = (ratio(result, "floor"), ratio(result, "kafka"));
        let row = text(&result["row"]);
        let _ = writeln!(page, "| {row} | {ottla} | {floor} | {kafka} | {to_floor} | {to_kafka} | {} |", run + 1);
    }
    latencies(&mut page, &entries);
    let _ = writeln!(page, "\n## Memory, rest, starts and groups\n");
    let _ = writeln!(page, "| Row | What | Ottla | Kafka | of Kafka | Run |\n| --- | --- | --- | --- | --- | --- |");
    for Entry { result, run } in entries.iter().filter(|entry| entry.result["about"].is_string()) {
        let (unit, kafka) = (text(&result["unit"]), &result["kafka"]);
        let values =
            |of: &Value| of["values"].as_array().map(|values| values.iter().filter_map(Value::as_f64).collect());
        let shown = |of: &Value| {
            values(of).map_or(String::new(), |values: Vec<f64>| format!("{} {unit}", spread_text(&values)))
        };
        let missed =
            result["goal"].as_f64().filter(|goal| result["median"].as_f64().is_some_and(|median| median > *goal));
        let missed = missed.map_or(String::new(), |goal| format!(" (over {})!", short(goal)));
        let to_kafka = result["median"].as_f64().zip(kafka["median"].as_f64()).map(|(ours, theirs)| ours / theirs);
        let to_kafka = to_kafka.map_or(String::new(), |value| judged(value, kafka["goal"].as_f64()));
        let (row, about) = (text(&result["row"]), text(&result["about"]));
        let ours = shown(result);
        let _ = writeln!(page, "| {row} | {about} | {ours}{missed} | {} | {to_kafka} | {} |", shown(kafka), run + 1);
    }
    let _ = writeln!(page, "\n## Runs\n");
    for (run, kept) in runs.iter().enumerate() {
        let machine = &kept["machine"];
        let versions = kept["versions"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(side, version)| format!("{side}: {}", text(version)));
        let _ = writeln!(
            page,
            "{}. {}, {} processors, {} GiB, Linux {}, load average {} before it; {}. `{}`.",
            run + 1,
            text(&machine["cpu"]),
            machine["processors"],
            machine["memory_gib"],
            text(&machine["kernel"]),
            machine["load_average_before"],
            versions.collect::<Vec<_>>().join("; "),
            text(&kept["command"]),
        );
    }
    page
}

/// Those of open loops, in µs.
fn latencies(page: &mut String, entries: &[Entry<'_>]) {
    let _ = writeln!(page, "\n## Latency at fixed rates, in µs\n");
    let _ = writeln!(page, "| Row | Server | p50 | p99 | p99.9 | Run |\n| --- | --- | --- | --- | --- | --- |");
    for Entry { result, run } in entries {
        for (side, of_side) in result["sides"].as_object().into_iter().flatten() {
            let rounds: Vec<&Value> = of_side["rounds"].as_array().into_iter().flatten().collect();
            let quantile = |name: &str| {
                let values: Option<Vec<f64>> = rounds.iter().map(|round| round["latency_us"][name].as_f64()).collect();
                values.filter(|values| !values.is_empty()).map(|values| spread_text(&values))
            };
            let (Some(half), Some(p99), Some(p999)) = (quantile("p50"), quantile("p99"), quantile("p99.9")) else {
                continue;
            };
            let _ = writeln!(page, "| {} | {side} | {half} | {p99} | {p999} | {} |", text(&result["row"]), run + 1);
        }
    }
}

fn spread_of(spread: &Value) -> Option<String> {
    let [median, min, max] = ["median", "min", "max"].map(|name| spread[name].as_f64());
    Some(format!("{} [{}-{}]", short(median?), short(min?), short(max?)))
}

fn ratio(result: &Value, to: &str) -> String {
    let ratio = result["ratios"].as_array().into_iter().flatten().find(|ratio| ratio["to"] == to);
    let value = ratio.and_then(|ratio| Some((ratio["value"].as_f64()?, ratio["goal"].as_f64())));
    value.map_or(String::new(), |(value, goal)| judged(value, goal))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn later_runs_replace_what_they_have_taken_again() {
        let row = |median: f64| {
            let spread = json!({ "median": median, "min": 1.0, "max": 9.0 });
            let rounds = json!([{ "latency_us": { "p50": 1.0, "p99": 2.0, "p99.9": 3.0 } }]);
            json!({
                "row": "rate", "sides": { "ottla": { "cpu_us_per_request": spread, "rounds": rounds } },
                "ratios": [{ "to": "kafka", "value": 0.5, "goal": 0.35 }],
            })
        };
        let figure = json!({
            "row": "start", "about": "of it", "unit": "ms", "values": [3.0], "median": 3.0, "goal": 2.0,
            "kafka": { "values": [100.0, 200.0], "median": 150.0, "goal": 0.05 },
        });
        let run = |results: Value| {
            json!({
                "machine": { "cpu": "CPU", "kernel": "6" }, "versions": { "ottla": "1" }, "command": "cargo xtask bench rate",
                "results": results,
            })
        };
        let page = of(&[run(json!([row(5.0), figure])), run(json!([row(6.0)]))]);
        let lines: Vec<&str> = page.lines().collect();
        assert!(lines.contains(&"| rate | 6.00 [1.00-9.00] |  |  |  | 0.50 (0.35)! | 2 |"), "{page}");
        assert!(
            lines.contains(&"| rate | ottla | 1.00 [1.00-1.00] | 2.00 [2.00-2.00] | 3.00 [3.00-3.00] | 2 |"),
            "{page}"
        );
        let start = "| start | of it | 3.00 [3.00-3.00] ms (over 2.00)! | 150 [100-200] ms | 0.020 (0.05) | 1 |";
        assert!(lines.contains(&start), "{page}");
        assert_eq!(lines.iter().filter(|line| line.starts_with("| rate")).count(), 2);
        assert!(page.contains("`cargo xtask bench rate`."));
    }
}
