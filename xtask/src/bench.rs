//! `cargo xtask bench`: builds Ottla, the floor and the loader, all as they are released, and lets the loader do the rest.
//!
//! `bench/` is a workspace of its own, so that nobody builds it to run a unit test. What a row is and how it is measured
//! stands there.

use std::path::Path;
use std::process::Command;

use crate::test::java;
use crate::test::tally::Trouble;

pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let target = program.ancestors().nth(2).ok_or("xtask is run by cargo, from its target folder")?;
    build(target, root, &["--package", "ottla"])?;
    build(target, &root.join("bench"), &[])?;
    let built = target.join("release");
    let mut loader = Command::new(built.join("ottla-loader"));
    loader.current_dir(root);
    loader.arg("--ottla").arg(built.join("ottla")).arg("--floor").arg(built.join("ottla-floor"));
    loader.arg("--out").arg(target.join("bench"));
    let (without, arguments): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| *argument == "--without-kafka");
    if without.is_empty() {
        match java::jars(root, target) {
            Ok(jars) => drop(loader.arg("--kafka").arg(jars)),
            Err(Trouble::Skipped(why)) => crate::say(&format!("without Apache Kafka: {why}")),
            Err(Trouble::Failed(why)) => return Err(why),
        }
    }
    ended(loader.args(arguments))
}

/// Builds a workspace, or some packages of it, into the one target folder.
fn build(target: &Path, workspace: &Path, packages: &[&str]) -> Result<(), String> {
    let mut cargo = Command::new(crate::cargo());
    cargo.current_dir(workspace).args(["build", "--quiet", "--release", "--target-dir"]).arg(target).args(packages);
    ended(&mut cargo)
}

/// Runs a program that tells by itself what went wrong.
fn ended(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    if status.success() { Ok(()) } else { Err(String::new()) }
}
