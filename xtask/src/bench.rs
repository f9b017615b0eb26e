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
    let mut has_kafka = false;
    if !arguments.iter().any(|word| is_alone(word)) {
        for (option, found) in [("--kafka", java::jars(root, target)), ("--python", test::python(root))] {
            match found {
                Ok(path) => {
                    has_kafka |= option == "--kafka";
                    command.arg(option).arg(path);
                }
                Err(Trouble::Skipped(why) | Trouble::Failed(why)) => crate::say(&format!("without {option}: {why}")),
            }
        }
    }
    let done = ended(command.args(arguments.iter().filter(|word| *word != "--without-kafka")));
    // The whole of it is what the page is made of, and where a case has failed it is made of the others.
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_whole = matches!(words[..], [] | ["--rounds", _]);
    let page = if is_whole && has_kafka { page(&loader, root, target, &[]) } else { Ok(()) };
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
        ref rows => {
            Err(format!("{EXPLAINED} does not say, under their cases, why these miss a goal: {}", rows.join(", ")))
        }
    }
}

const EXPLAINED: &str = "docs/internals/performance.md";

/// The rows that miss a goal, without a word under the heading of their case. A row that is named as the case is meant by it.
fn not_explained<'a>(page: &'a str, explained: &str) -> Vec<&'a str> {
    let under = |case: &str| {
        let (_, rest) = explained.split_once(&format!("\n### {case}\n"))?;
        rest.split("\n### ").next()
    };
    let mut all: Vec<&str> = page
        .split("\n## ")
        .skip(1)
        .flat_map(|section| {
            let (case, lines) = section.split_once('\n').unwrap_or((section, ""));
            let text = under(case);
            let missed = lines.lines().filter(|line| line.starts_with("| ") && line.contains(")!"));
            let rows = missed.filter_map(|line| line.split(" | ").next()?.strip_prefix("| "));
            rows.filter(move |row| !text.is_some_and(|text| *row == case || text.contains(&format!("`{row}`"))))
        })
        .collect();
    all.dedup();
    all
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
        let page = "# Page\n\n## tail\n\n| tail-1 | it, µs | 3 | 2 (1.5)! | 1 |\n| tail-1 | p99 | 3 | 2 (1.5)! | 1 |\n\
                    | tail-5 | it | 1 (1.5) | 1 |\n\n## idle\n\n| idle | rest | 3 (at most 2)! | 1 |\n";
        assert_eq!(not_explained(page, "# Where\n\n### tail\nOf `tail-5`.\n\n### idle\n"), ["tail-1"]);
        assert_eq!(not_explained(page, "# Where\n\n### idle\nOf `tail-1`.\n"), ["tail-1"]);
        assert_eq!(not_explained(page, "# Where\n\n### tail\nOf `tail-1`.\n"), ["idle"]);
        assert!(not_explained(page, "\n### tail\n`tail-1`\n### idle\n").is_empty());
    }
}
