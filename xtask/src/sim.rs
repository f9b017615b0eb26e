//! `cargo xtask sim`: whole brokers in simulation. What a seed is and what is checked stands in `sim/`.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const USAGE: &str = "usage: cargo xtask sim [SEED] | sim twice [SEED] | sim hunt COUNT [FIRST SEED]";

pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let mut arguments = arguments.to_vec();
    // All but the seed; the simulation itself knows no chance, so a seed that was not given is drawn here.
    let given = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["hunt", _, ..] => 2,
        ["twice", ..] => 1,
        ["hunt"] => return Err(USAGE.into()),
        _ => 0,
    };
    if arguments.len() == given {
        arguments.push(draw().to_string());
    }
    let mut simulation = Command::new(crate::cargo());
    simulation.current_dir(root).args(["run", "--quiet", "--package", "ottla-sim", "--"]).args(&arguments);
    let status = simulation.status().map_err(|e| format!("{}: {e}", simulation.get_program().display()))?;
    if status.success() { Ok(()) } else { Err(String::new()) }
}

fn draw() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_micros() as u64 % 1_000_000
}
