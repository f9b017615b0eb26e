//! What a stage came to, and how that is read from the lines that runners print.

use std::ops::AddAssign;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Tally {
    pub fn passed(passed: u64) -> Tally {
        Tally { passed, ..Tally::default() }
    }

    /// Reads a closing line: `3 passed, 0 failed, 1 skipped`, or cargo's `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    pub fn of_line(line: &str) -> Option<Tally> {
        let counts = line
            .strip_prefix("test result: ")
            .map_or(Some(line), |rest| rest.split_once(". ").map(|(_, counts)| counts))?;
        let mut tally = Tally::default();
        let mut seen = [false; 2];
        for part in counts.split([',', ';']) {
            let (count, what) = part.trim().split_once(' ')?;
            match (count.parse(), what) {
                (Ok(n), "passed") => (tally.passed, seen[0]) = (n, true),
                (Ok(n), "failed") => (tally.failed, seen[1]) = (n, true),
                (Ok(n), "skipped" | "ignored") => tally.skipped = n,
                _ if line.starts_with("test result: ") => {}
                _ => return None,
            }
        }
        (seen == [true; 2]).then_some(tally)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Why a stage has no tally of its own.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The machine lacks what the stage needs.
    Skipped(String),
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines() {
        let of = |passed, failed, skipped| Some(Tally { passed, failed, skipped });
        assert_eq!(Tally::of_line("3 passed, 2 failed, 1 skipped"), of(3, 2, 1));
        let cargo = "test result: FAILED. 9 passed; 1 failed; 4 ignored; 0 measured; 2 filtered out; finished in 0.35s";
        assert_eq!(Tally::of_line(cargo), of(9, 1, 4));
        for other in [
            "",
            "PASS one 0.1s",
            "3 passed",
            "passed, failed",
            "he passed, they failed",
            "3 passed, 1 failed, 2 unclear",
            "test result: unclear",
        ] {
            assert_eq!(Tally::of_line(other), None, "{other}");
        }
    }
}
