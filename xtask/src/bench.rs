//! `cargo xtask bench`: builds Ottla, the floor and the loader, all as they are released, fetches Apache Kafka and the clients, and lets
//! the loader do the rest.
//!
//! `bench/` is a workspace of its own, so that nobody builds it to run a unit test. What a row is and how it is measured
//! stands there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::test::tally::Trouble;
use crate::test::{self, java};

pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let target = program.ancestors().nth(2).ok_or("xtask is run by cargo, from its target folder")?;
    // It is always a quick one.
    let besides_quick: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| *word != "--quick").collect();
    if let [option @ ("--check" | "--keep")] = besides_quick[..] {
        return baseline(root, target, option);
    }
    build(target, root, &["--release", "--package", "ottla"])?;
    build(target, &root.join("bench"), &["--release"])?;
    let built = target.join("release");
    let loader = built.join("ottla-loader");
    if let Some((_, files)) = arguments.split_first().filter(|(first, _)| *first == "--page") {
        return page(&loader, root, target, files);
    }
    let mut command = Command::new(&loader);
    command.current_dir(root);
    command.arg("--ottla").arg(built.join("ottla")).arg("--floor").arg(built.join("ottla-floor"));
    command.arg("--out").arg(target.join("bench"));
    let is_alone = |word: &str| ["--without-kafka", "--list", "--at"].contains(&word);
    if !arguments.iter().any(|word| is_alone(word)) {
        for (option, found) in [("--kafka", java::jars(root, target)), ("--python", test::python(root))] {
            match found {
                Ok(path) => drop(command.arg(option).arg(path)),
                Err(Trouble::Skipped(why) | Trouble::Failed(why)) => crate::say(&format!("without {option}: {why}")),
            }
        }
    }
    let done = ended(command.args(arguments.iter().filter(|word| *word != "--without-kafka")));
    // The whole of it is what the page is made of, and where a case has failed it is made of the others.
    let page = if arguments.is_empty() { page(&loader, root, target, &[]) } else { Ok(()) };
    done.and(page)
}

/// Compares to `bench/baseline.json`, or writes it, what the tests have built: that takes a minute, and nobody waits for a release.
pub fn baseline(root: &Path, target: &Path, option: &str) -> Result<(), String> {
    let bench = target.join("bench-tests");
    build(target, root, &["--package", "ottla"])?;
    build(&bench, &root.join("bench"), &[])?;
    let mut loader = Command::new(bench.join("debug/ottla-loader"));
    loader.current_dir(root);
    loader.arg("--ottla").arg(target.join("debug/ottla")).arg("--floor").arg(bench.join("debug/ottla-floor"));
    ended(loader.arg("--out").arg(bench.join("out")).arg(option).arg("bench/baseline.json"))
}

/// Makes the page of results.
fn page(loader: &Path, root: &Path, target: &Path, files: &[String]) -> Result<(), String> {
    let newest = || {
        let kept = fs::read_dir(target.join("bench")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        kept.filter(|path| path.extension().is_some_and(|extension| extension == "json")).max()
    };
    let files: Vec<PathBuf> = match files {
        [] => vec![newest().ok_or("target/bench has no results; `cargo xtask bench` makes some")?],
        files => files.iter().map(PathBuf::from).collect(),
    };
    let made = Command::new(loader).arg("--page").args(files).stderr(Stdio::inherit()).output();
    let made = made.map_err(|e| format!("{}: {e}", loader.display()))?;
    if !made.status.success() {
        return Err(String::new());
    }
    fs::write(root.join("docs/reference/benchmarks.md"), &made.stdout).map_err(|e| e.to_string())?;
    let explained = fs::read_to_string(root.join(EXPLAINED)).map_err(|e| e.to_string())?;
    match not_explained(&String::from_utf8_lossy(&made.stdout), &explained)[..] {
        [] => Ok(()),
        ref cases => Err(format!("{EXPLAINED} has no heading for {}, which the page links to", cases.join(", "))),
    }
}

const EXPLAINED: &str = "docs/internals/performance.md";

/// The cases that miss a goal, without a heading that says why.
fn not_explained<'a>(page: &'a str, explained: &str) -> Vec<&'a str> {
    let linked = page.split("performance.md#").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    linked.filter(|case| !explained.lines().any(|line| line.strip_prefix("### ") == Some(*case))).collect()
}

/// Builds a workspace, or what the options say of it.
fn build(target: &Path, workspace: &Path, options: &[&str]) -> Result<(), String> {
    let mut cargo = Command::new(crate::cargo());
    cargo.current_dir(workspace).args(["build", "--quiet", "--target-dir"]).arg(target).args(options);
    ended(&mut cargo)
}

/// Runs a program that tells by itself what went wrong.
fn ended(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    if status.success() { Ok(()) } else { Err(String::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_is_explained() {
        let page = "between: [tail](../internals/performance.md#tail).\nbetween: [fetch](../internals/performance.md#fetch).\n";
        assert_eq!(not_explained(page, "# Where\n\n### tail\n"), ["fetch"]);
        assert!(not_explained(page, "### fetch\n### tail\n").is_empty());
    }
}
