//! The stages of a run: how long each took, what it came to, and the closing line.

use std::time::Instant;

use super::tally::{Tally, Trouble};

#[derive(Default)]
pub struct Report {
    stages: Vec<Stage>,
}

struct Stage {
    name: &'static str,
    seconds: f64,
    tally: Tally,
    remark: String,
}

impl Report {
    /// Runs a stage and gives whether nothing in it failed.
    pub fn stage(&mut self, name: &'static str, work: impl FnOnce() -> Result<Tally, Trouble>) -> bool {
        crate::say(&format!("\n== {name}"));
        let start = Instant::now();
        let (tally, remark) = match work() {
            Ok(tally) => (tally, String::new()),
            Err(Trouble::Skipped(why)) if is_ci() => {
                (Tally { failed: 1, ..Tally::default() }, format!("may not be skipped in CI: {why}"))
            }
            Err(Trouble::Skipped(why)) => (Tally { skipped: 1, ..Tally::default() }, format!("skipped: {why}")),
            Err(Trouble::Failed(why)) => (Tally { failed: 1, ..Tally::default() }, why),
        };
        if !remark.is_empty() {
            crate::say(&format!("{name}: {remark}"));
        }
        self.stages.push(Stage { name, seconds: start.elapsed().as_secs_f64(), tally, remark });
        tally.failed == 0
    }

    /// Work that is no test, but takes time.
    pub fn timed<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        let (seconds, tally, remark) = (start.elapsed().as_secs_f64(), Tally::default(), String::new());
        self.stages.push(Stage { name, seconds, tally, remark });
        done
    }

    /// Prints the table and the closing line. The error is empty: all is said.
    pub fn close(self) -> Result<(), String> {
        crate::say(&format!("\n{:24}{:>8}{:>8}{:>8}{:>8}", "", "seconds", "passed", "failed", "skipped"));
        let mut sum = Tally::default();
        for Stage { name, seconds, tally, remark } in self.stages {
            let first = remark.lines().next().unwrap_or_default();
            let line =
                format!("{name:24}{seconds:8.1}{:8}{:8}{:8}  {first}", tally.passed, tally.failed, tally.skipped);
            crate::say(line.trim_end());
            sum += tally;
        }
        crate::say(&format!("{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped));
        if sum.failed == 0 { Ok(()) } else { Err(String::new()) }
    }
}

fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
