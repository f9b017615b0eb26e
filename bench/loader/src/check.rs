//! `--check`: whether a request costs more than it used to, as a multiple of what it costs the floor. `--keep` writes down what it
//! costs now.
//!
//! Processor time itself differs from machine to machine, and with what else goes on there. Its ratio to that of a server which
//! runs in turn on the same machine differs by a tenth or so, if of each the round that went best is taken: other work can only
//! raise a figure. So what fails is a step and not a drift.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::figure::Figure;
use crate::row::ABOUT_REQUEST;

/// What a ratio may be of the one that was kept.
const TOLERANCE: f64 = 1.4;
pub const ROUNDS: usize = 7;

/// What a row cost once, by its name: so many times what it cost the floor.
pub type Baseline = BTreeMap<String, f64>;

pub fn read(path: &Path) -> anyhow::Result<Baseline> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let kept: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let rows = kept.as_object().context("a baseline is an object")?;
    let ratio = |(row, value): (&String, &Value)| Some((row.clone(), value.as_f64()?));
    let rows = rows.iter().map(ratio).collect::<Option<_>>();
    rows.with_context(|| format!("{}: a ratio is a number", path.display()))
}

pub fn keep(path: &Path, figures: &[Figure]) -> anyhow::Result<()> {
    let rounded: BTreeMap<&str, f64> =
        ratios(figures).map(|(row, ratio)| (row, (ratio * 100.0).round() / 100.0)).collect();
    fs::write(path, format!("{:#}\n", json!(rounded))).with_context(|| format!("cannot write {}", path.display()))
}

/// A line for each row. Fails where one costs too much, or was not measured.
pub fn check(baseline: &Baseline, figures: &[Figure]) -> anyhow::Result<Vec<String>> {
    let measured: BTreeMap<&str, f64> = ratios(figures).collect();
    let (mut lines, mut over) = (Vec::new(), Vec::new());
    for (row, kept) in baseline {
        let ratio = measured.get(row.as_str()).with_context(|| format!("there is no row {row}"))?;
        let line = format!("{row}: {ratio:.2} of the floor, {:.2} of the {kept:.2} that it was", ratio / kept);
        if ratio / kept > TOLERANCE {
            over.push(line.clone());
        }
        lines.push(line);
    }
    ensure!(over.is_empty(), "more than {TOLERANCE} times what it was:\n{}", over.join("\n"));
    Ok(lines)
}

fn ratios(figures: &[Figure]) -> impl Iterator<Item = (&str, f64)> {
    let requests = figures.iter().filter(|figure| figure.about == ABOUT_REQUEST);
    requests.filter_map(|figure| Some((figure.row.as_str(), figure.of("ottla")?.min / figure.of("floor")?.min)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Goals;

    fn figure(row: &str, ottla: f64) -> Figure {
        let values = [("ottla".into(), vec![ottla * 3.0, ottla]), ("floor".into(), vec![10.0])].into();
        let (row, about, unit) = (row.into(), ABOUT_REQUEST.into(), "µs".into());
        Figure { row, about, unit, goals: Goals::NONE, values }
    }

    #[test]
    fn what_costs_more_than_it_did_is_told() {
        let baseline: Baseline = [("one".into(), 1.2), ("two".into(), 2.0)].into();
        let lines = check(&baseline, &[figure("one", 15.0), figure("two", 20.0)]).unwrap();
        assert_eq!(lines[0], "one: 1.50 of the floor, 1.25 of the 1.20 that it was");
        let error = check(&baseline, &[figure("one", 17.0), figure("two", 20.0)]).unwrap_err().to_string();
        assert_eq!(error.lines().nth(1), Some("one: 1.70 of the floor, 1.42 of the 1.20 that it was"));
        assert!(check(&baseline, &[figure("one", 12.0)]).is_err(), "two was not measured");
    }

    #[test]
    fn what_is_kept_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("baseline.json");
        keep(&path, &[figure("one", 15.123)]).unwrap();
        assert_eq!(read(&path).unwrap(), [("one".into(), 1.51)].into());
    }
}
