//! Other programs as stages: their lines are shown as they come, and counted.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::tally::{Tally, Trouble};

/// A command that passes or fails as a whole.
pub fn one(mut command: Command) -> Result<Tally, Trouble> {
    let status = command.status().map_err(|e| Trouble::Failed(format!("{}: {e}", name(&command))))?;
    match status.success() {
        true => Ok(Tally::passed(1)),
        false => Err(Trouble::Failed(format!("{} ended with {status}", name(&command)))),
    }
}

/// A command that runs many tests and closes with their numbers.
pub fn many(command: Command) -> Result<Tally, Trouble> {
    count(command, Tally::of_line)
}

/// Cargo running many tests: it closes each program of them with a line of its own, and what the programs print may be
/// anything.
pub fn cargo_test(command: Command) -> Result<Tally, Trouble> {
    count(command, Tally::of_cargo)
}

fn count(mut command: Command, read: fn(&str) -> Option<Tally>) -> Result<Tally, Trouble> {
    let program = name(&command);
    let failed = |e: std::io::Error| Trouble::Failed(format!("{program}: {e}"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let output = child.stdout.take().expect("it was asked for");
    let (mut tally, mut closed) = (Tally::default(), false);
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line.map_err(failed)?).into_owned();
        crate::say(&line);
        if let Some(part) = read(&line) {
            tally += part;
            closed = true;
        }
    }
    let status = child.wait().map_err(failed)?;
    if !status.success() && tally.failed == 0 {
        crate::say(&format!("{program} ended with {status}"));
        tally.failed += 1;
    }
    match closed || tally.failed > 0 {
        true => Ok(tally),
        false => Err(Trouble::Failed(format!("{program} ran no test"))),
    }
}

/// Runs a step of a set-up, whose output only matters when it fails.
pub fn quietly(command: &mut Command) -> Result<(), Trouble> {
    let output = command.output().map_err(|e| Trouble::Failed(format!("{}: {e}", name(command))))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Err(Trouble::Failed(format!("{} ended with {}\n{}", name(command), output.status, text.trim())))
}

/// What a program says of its version, if it is there.
pub fn version(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn lines_are_added_up() {
        let tally = many(shell(
            "echo '1 passed, 0 failed, 2 skipped'; echo other; echo '3 passed, 1 failed, 0 skipped'; exit 1",
        ));
        assert_eq!(tally.unwrap(), Tally { passed: 4, failed: 1, skipped: 2 });
    }

    #[test]
    fn a_bad_end_is_a_failure() {
        assert_eq!(
            many(shell("echo '1 passed, 0 failed, 0 skipped'; exit 3")).unwrap(),
            Tally { passed: 1, failed: 1, skipped: 0 }
        );
        assert!(matches!(many(shell("true")), Err(Trouble::Failed(_))), "no test is no success");
        assert!(matches!(one(shell("exit 1")), Err(Trouble::Failed(_))));
        assert_eq!(one(shell("true")).unwrap(), Tally::passed(1));
    }
}
