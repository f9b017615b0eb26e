//! `cargo xtask test`: everything, from a machine that has only Rust (and what languages it has) to one closing line.
//!
//! A test command that needs a page of set-up is run by nobody but CI. So this one installs what foreign clients need into
//! `target/`, once, while cargo compiles; says what it skipped where a language is missing (with `CI=true` that is a failure);
//! tells the seconds of each stage; and adds all up.

mod broker;
mod command;
mod foreign;
pub mod java;
mod python;
mod report;
pub mod soak;
pub mod tally;

use std::path::{Path, PathBuf};
use std::process::Command;

use foreign::Options;
use report::Report;
use tally::{Tally, Trouble};

/// Where the tree is, and where cargo puts what it builds.
struct Place {
    root: PathBuf,
    target: PathBuf,
}

impl Place {
    fn new(root: &Path) -> Result<Place, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let target = program.ancestors().nth(2).ok_or("xtask is run by cargo, from its target folder")?;
        Ok(Place { root: root.into(), target: target.into() })
    }

    /// What foreign clients need, and what their broker leaves.
    fn compat(&self) -> PathBuf {
        self.target.join("compat")
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = Command::new(crate::cargo());
        cargo.current_dir(&self.root).args(arguments);
        cargo
    }
}

/// A Python that has the clients of the tests.
pub fn python(root: &Path) -> Result<PathBuf, Trouble> {
    let place = Place::new(root).map_err(Trouble::Failed)?;
    Ok(python::Python::set_up(&place)?.program)
}

/// Runs the verb `test` in the workspace at `root`.
pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask test".into());
    }
    let place = Place::new(root)?;
    let mut report = Report::default();
    foreign::run(&mut report, &place, &Options::default(), |report| {
        report.stage("format", || command::one(place.cargo(&["fmt", "--all", "--check"])));
        report.stage("rules", || crate::tidy::run(root, &[]).map(|()| Tally::passed(1)).map_err(Trouble::Failed));
        let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        report.stage("clippy", || command::one(place.cargo(&clippy)));
        report.stage("unit tests", || command::cargo_test(place.cargo(&["test", "--workspace", "--no-fail-fast"])));
        // A workspace of its own, so that nobody else builds it.
        let bench = ["--manifest-path", "bench/Cargo.toml", "--target-dir", "target/bench-tests"];
        let clippy = [&["clippy", "--all-targets"][..], &bench, &["--", "-D", "warnings"]].concat();
        report.stage("bench: format", || command::one(place.cargo(&["fmt", "--all", "--check", bench[0], bench[1]])));
        report.stage("bench: clippy", || command::one(place.cargo(&clippy)));
        report.stage("bench: tests", || command::cargo_test(place.cargo(&[&["test"][..], &bench].concat())));
    });
    // Nothing else may run meanwhile.
    report.stage("bench: check", || {
        let checked = crate::bench::baseline(root, &place.target, "--check");
        checked.map(|()| Tally::passed(1)).map_err(Trouble::Failed)
    });
    report.close()
}

/// Runs the verb `compat`: the foreign clients alone, against a broker of our own or a running one.
pub fn compat(root: &Path, arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    let place = Place::new(root)?;
    let mut report = Report::default();
    foreign::run(&mut report, &place, &options, |_| {});
    report.close()
}
