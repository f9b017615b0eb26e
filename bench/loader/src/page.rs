//! The page of results: `docs/reference/benchmarks.md`, made of what runs have kept, with nothing written by hand.
//!
//! A run that was asked for some cases replaces only what it measured again, so every row names the run that it is of.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::figure::{Figure, Spread};

const HEAD: &str = "\
# Benchmarks

<!-- Made by `cargo xtask bench --page` of what `cargo xtask bench` has kept. -->

Ottla beside Apache Kafka and beside the *floor*, the cheapest server that could answer, in turn on one machine. What a row is, and
what is done to be fair, is in [bench/README.md](../../bench/README.md). A figure is the median of the rounds, with the least and the
most in brackets; the 99.9th percentile of a latency is that of all rounds together. A ratio is Ottla's median over the other's, with
its goal in brackets; `!` says that it is missed. Of a latency one of the two goals is enough.
";

const TABLE: &str = "\
| Row | What | Ottla | Floor | Kafka | of the floor | of Kafka | Run |
| --- | --- | --- | --- | --- | --- | --- | --- |";

const NOT_MEASURED: &str = "\
- How long partitions have no leader after `kill -9` of a node: Ottla has one node yet.
- A client of Ottla's own: there is none yet.
- A restart of Apache Kafka on 10,000 partitions: it takes more than the minute that a round may take. The goal is a twentieth
  of the 58 s of processor time that it took when the goals were set; `start-2000-*` compares starts.
- Latency while a server flushes: Ottla does after 30 s or 512 MiB, which the rows at a rate and `busy-disk` are too short for.";

struct Section<'a> {
    case: &'a str,
    about: &'a str,
    /// Of the last run that measured some of it, where that tells.
    seconds: Option<u64>,
    last_run: usize,
    /// Each with the run that it is of.
    figures: Vec<(Figure, usize)>,
}

/// The page of these files, the oldest first.
pub fn of_files(paths: &[PathBuf]) -> anyhow::Result<String> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    };
    let runs = paths.iter().map(read).collect::<anyhow::Result<Vec<Value>>>()?;
    let is_whole = |run: &Value| run["is_quick"] == false && run["cases"].is_array();
    ensure!(runs.iter().all(is_whole), "a page is made of runs that were not --quick");
    of(&runs)
}

fn of(runs: &[Value]) -> anyhow::Result<String> {
    let sections = sections(runs)?;
    let mut page = String::from(HEAD);
    let figures = || sections.iter().flat_map(|section| &section.figures).map(|(figure, _)| figure);
    let (with_goal, missed) =
        (figures().filter(|figure| figure.has_goal()).count(), figures().filter(|figure| figure.is_missed()).count());
    let not_judged = figures().filter(|figure| figure.has_goal() && !figure.is_judged()).count();
    let _ = write!(page, "\nOf {with_goal} figures that have a goal, {missed} miss it");
    let _ = match not_judged {
        0 => writeln!(page, "."),
        some => writeln!(page, " and {some} have nothing to be compared to."),
    };
    for Section { case, about, seconds, figures, .. } in &sections {
        let measured = seconds.map_or(String::new(), |seconds| format!(" Measured in {seconds} s."));
        let _ = writeln!(page, "\n## {case}\n\n{about}{measured}\n\n{TABLE}");
        for (figure, run) in figures {
            let _ = writeln!(page, "{}", line(figure, run + 1));
        }
        if figures.iter().any(|(figure, _)| figure.is_missed()) {
            let _ = writeln!(page, "\nWhat stands between: [{case}](../internals/performance.md#{case}).");
        }
    }
    let _ = writeln!(page, "\n## Not measured\n\n{NOT_MEASURED}");
    for (run, kept) in runs.iter().enumerate() {
        for failed in kept["failed"].as_array().into_iter().flatten() {
            let (case, why) = (text(&failed["case"]), text(&failed["why"]));
            // Another run may have measured it later.
            if sections.iter().all(|section| section.case != case || section.last_run < run) {
                let _ = writeln!(page, "- `{case}` failed in run {}: {why}.", run + 1);
            }
        }
    }
    let _ = writeln!(page, "\n## Runs\n");
    for (run, kept) in runs.iter().enumerate() {
        let _ = writeln!(page, "{}. {}", run + 1, about_run(kept));
    }
    Ok(page)
}

/// By case, in the order in which the runs tell them.
fn sections(runs: &[Value]) -> anyhow::Result<Vec<Section<'_>>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for (run, kept) in runs.iter().enumerate() {
        for of_case in kept["cases"].as_array().into_iter().flatten() {
            let (case, about) = (text(&of_case["case"]), text(&of_case["about"]));
            let known = sections.iter().position(|section| section.case == case);
            let at = known.unwrap_or_else(|| {
                sections.push(Section { case, about, seconds: None, last_run: run, figures: Vec::new() });
                sections.len() - 1
            });
            sections[at].seconds = of_case["seconds"].as_u64();
            sections[at].last_run = run;
            let figures = &mut sections[at].figures;
            for kept in of_case["results"]["figures"].as_array().into_iter().flatten() {
                // One that is no number would leave a hole where a row was.
                let figure = Figure::read(kept).with_context(|| format!("{case} has a figure that is none: {kept}"))?;
                let is_same =
                    |(other, _): &&mut (Figure, usize)| other.row == figure.row && other.about == figure.about;
                match figures.iter_mut().find(is_same) {
                    Some(other) => *other = (figure, run),
                    None => figures.push((figure, run)),
                }
            }
        }
    }
    Ok(sections)
}

fn line(figure: &Figure, run: usize) -> String {
    let of = |server| figure.of(server).map_or(String::new(), Spread::text);
    let ratio = |to| figure.ratio(to).map_or(String::new(), |judged| judged.text());
    let missed = if figure.is_over_itself() { "!" } else { "" };
    let goal = figure.goals.itself.map_or(String::new(), |goal| format!(" (at most {goal}){missed}"));
    format!(
        "| {} | {} | {}{goal} | {} | {} | {} | {} | {run} |",
        figure.row,
        figure.title(),
        of("ottla"),
        of("floor"),
        of("kafka"),
        ratio("floor"),
        ratio("kafka"),
    )
}

fn about_run(kept: &Value) -> String {
    let machine = &kept["machine"];
    let versions = kept["versions"].as_object().into_iter().flatten();
    let versions: Vec<String> = versions.map(|(server, version)| format!("{server}: {}", text(version))).collect();
    let cases = kept["cases"].as_array().into_iter().flatten();
    let seconds: u64 = cases.filter_map(|of_case| of_case["seconds"].as_u64()).sum();
    // What was kept before there were these tells neither.
    let disk = machine["disk"].as_str().map_or(String::new(), |disk| format!(", {disk}"));
    let minutes = if seconds > 0 { format!(", {} minutes", seconds.div_ceil(60)) } else { String::new() };
    format!(
        "{}, {} processors, {} GiB, Linux {}{disk}, load average {} before it; {}. `{}`{minutes}.",
        text(&machine["cpu"]),
        machine["processors"],
        machine["memory_gib"],
        text(&machine["kernel"]),
        machine["load_average_before"],
        versions.join("; "),
        text(&kept["command"]),
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn later_runs_replace_what_they_have_measured_again() {
        let figure = |row: &str, unit: &str, values: Value| {
            let goals = json!({ "itself": 2.0, "of_kafka": 0.05, "of_floor": 1.5, "either": false });
            json!({ "row": row, "about": "it", "unit": unit, "values": values, "goals": goals })
        };
        let case = |name: &str, figures: Value| json!({ "case": name, "about": "So.", "seconds": 61, "results": { "figures": figures } });
        let run = |cases: Value, failed: Value| {
            json!({
                "machine": { "cpu": "CPU", "kernel": "6", "disk": "ext4 (rw)" }, "versions": { "ottla": "1" }, "command": "cargo xtask bench rate",
                "cases": cases, "failed": failed,
            })
        };
        let first = json!([
            case("start", json!([figure("start", "ms", json!({ "ottla": [3.0, 2.0, 5.0], "kafka": [100.0] }))])),
            case(
                "rate",
                json!([figure("rate", "", json!({ "ottla": [5.0], "floor": [4.0] })), figure("other", "", json!({}))])
            ),
        ]);
        let second = json!([case("rate", json!([figure("rate", "", json!({ "ottla": [1.0], "floor": [0.5] }))]))]);
        let failed_first = json!([{ "case": "idle", "why": "no" }, { "case": "rate", "why": "not at first" }]);
        let failed_second = json!([{ "case": "start", "why": "not again" }]);
        let page = of(&[run(first, failed_first), run(second, failed_second)]).unwrap();
        let lines: Vec<&str> = page.lines().collect();
        for line in [
            "| start | it, ms | 3.00 [2.00-5.00] (at most 2)! |  | 100 |  | 0.030 (0.05) | 1 |",
            "| rate | it | 1.00 (at most 2) | 0.50 |  | 2.00 (1.5)! |  | 2 |",
            "| other | it |  (at most 2) |  |  |  |  | 1 |",
            "Of 3 figures that have a goal, 2 miss it and 1 have nothing to be compared to.",
            "So. Measured in 61 s.",
            "- `idle` failed in run 1: no.",
            "- `start` failed in run 2: not again.",
            "2. CPU, null processors, null GiB, Linux 6, ext4 (rw), load average null before it; ottla: 1. `cargo xtask bench rate`, 2 minutes.",
        ] {
            assert!(lines.contains(&line), "{line}\n{page}");
        }
        assert_eq!(lines.iter().filter(|line| line.starts_with("## ")).count(), 4);
        assert!(!page.contains("at first"), "it was measured later");
        let none = figure("rate", "", json!({ "ottla": [null] }));
        assert!(
            of(&[run(json!([case("rate", json!([none]))]), json!([]))]).is_err(),
            "a row is not left out in silence"
        );
    }
}
