//! `ottla-sim`: one seed with its story, twice the same, or many in search of one that fails.

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use ottla_sim::{Trace, run};

const USAGE: &str = "usage: ottla-sim SEED | twice SEED | hunt COUNT FIRST_SEED";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().ok();
    let is_well = match arguments[..] {
        ["twice", seed] => number(seed).map_or_else(usage, twice),
        ["hunt", count, first] => {
            number(count).zip(number(first)).map_or_else(usage, |(count, first)| hunt(count, first))
        }
        [seed] => number(seed).map_or_else(usage, one),
        _ => usage(),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> bool {
    say(USAGE);
    false
}

fn one(seed: u64) -> bool {
    let violations = run(seed, &Trace::to(std::io::stdout()));
    violations.iter().for_each(|violation| say(&format!("!! {violation}")));
    say(&format!("seed {seed}: {} violations", violations.len()));
    violations.is_empty()
}

fn twice(seed: u64) -> bool {
    let [first, second] = [(); 2].map(|()| story_of(seed));
    if first == second {
        say(&format!("seed {seed}: the same {} lines twice", first.lines().count()));
        return true;
    }
    let differs = first.lines().zip(second.lines()).position(|(first, second)| first != second);
    let line = differs.unwrap_or(first.lines().count().min(second.lines().count()));
    say(&format!("seed {seed}: two runs part at line {}", line + 1));
    for story in [&first, &second] {
        story.lines().skip(line.saturating_sub(5)).take(8).for_each(say);
        say("--");
    }
    false
}

fn hunt(count: u64, first: u64) -> bool {
    let mut failed = 0;
    for seed in first..first + count {
        let violations = run(seed, &Trace::none());
        failed += u64::from(!violations.is_empty());
        violations.iter().for_each(|violation| say(&format!("seed {seed}: {violation}")));
    }
    say(&format!("{failed} of {count} seeds from {first} on failed"));
    failed == 0
}

fn story_of(seed: u64) -> String {
    let story = Story::default();
    run(seed, &Trace::to(story.clone()));
    let bytes = std::mem::take(&mut *story.0.lock().unwrap_or_else(PoisonError::into_inner));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(Clone, Default)]
struct Story(Arc<Mutex<Vec<u8>>>);

impl Write for Story {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whoever does not read to the end is not told.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
