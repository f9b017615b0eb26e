//! `cargo xtask soak`: what takes too long, or too much disk, to be run at every change.
//!
//! Four parts, on `ottla` as it is released. `scale` makes 10,000 partitions, and sees what they take. `kill` is the test of `compat/python/kill.py`, five times: 50 rounds of
//! kill -9 under load. `restart` times the start on 1,000 partitions with 10 GiB, after a clean stop and after kill -9.
//! `full` fills a small disk, and sees that nothing is lost by it.

mod batch;
mod client;
mod full;
mod restart;
mod scale;
mod volume;

use std::path::{Path, PathBuf};

use super::Place;
use super::command::{many, one};
use super::python::Python;
use super::report::Report;
use super::tally::{Tally, Trouble};

const PARTS: &[&str] = &["scale", "kill", "restart", "full"];
/// The test of compat has ten rounds. Each of its runs has a seed and an empty folder of its own.
const KILL_RUNS: u64 = 5;

/// Runs the verb `soak` in the workspace at `root`.
pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    if arguments.iter().any(|part| !PARTS.contains(&part.as_str())) {
        return Err("usage: cargo xtask soak [scale|kill|restart|full]...".into());
    }
    let wants = |part: &str| arguments.is_empty() || arguments.iter().any(|wanted| wanted == part);
    let place = Place::new(root)?;
    let (program, folder) = (place.target.join("release/ottla"), place.target.join("soak"));
    let mut report = Report::default();
    if report.stage("build", || one(place.cargo(&["build", "--release", "--package", "ottla"]))) {
        // First, while the disk has nothing left to do for the others.
        if wants("scale") {
            report.stage("10,000 partitions", || scale::run(&program, &folder.join("scale")));
        }
        if wants("kill") {
            report.stage("kill -9, 50 rounds", || kill(&place, &program));
        }
        if wants("restart") {
            report.stage("restarts with 10 GiB", || restart::run(&program, &folder.join("restart")));
        }
        if wants("full") {
            report.stage("full disk", || full::run(&program, &folder.join("full")));
        }
    }
    report.close()
}

fn kill(place: &Place, program: &Path) -> Result<Tally, Trouble> {
    let python = Python::set_up(place)?;
    let server = program.to_string_lossy();
    let mut sum = Tally::default();
    for _ in 0..KILL_RUNS {
        sum += many(python.runner(&["--only", "kill9_under_load", "--server", &server, "kill"]))?;
    }
    match sum.passed + sum.failed {
        KILL_RUNS => Ok(sum),
        other => Err(Trouble::Failed(format!("{other} runs of the test, and not {KILL_RUNS}"))),
    }
}

/// A folder that is removed in the end.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A failure that tells what was being done.
fn failed(what: &str) -> impl Fn(std::io::Error) -> Trouble {
    move |e| Trouble::Failed(format!("{what}: {e}"))
}

fn seconds(time: std::time::Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}
